/** THIRD_PARTY_NOTICES.md of a VSIX: the packages in it and their licenses. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { inRoot } from "./paths.ts";

/** Names of the packages with code in the bundles. */
export function packagesIn(metafiles: readonly Metafile[]): string[] {
  const paths = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap(({ inputs }) =>
      Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
    ),
  );
  const names = paths.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  return [...new Set(names)].sort();
}

export async function notices(packages: readonly string[]): Promise<string> {
  const parts = await Promise.all(packages.map(noticeOf));
  return `# Third-party notices\n\nDecoder Lab contains code of these packages.\n\n${parts.join("\n")}`;
}

async function noticeOf(name: string): Promise<string> {
  const dir = inRoot("node_modules", name);
  const { version, license, repository } = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
  const source = String(repository?.url ?? repository ?? "").replace(/^git\+/, "");
  const file = (await readdir(dir)).find((entry) => /^licen[cs]e\b/i.test(entry));
  // Some packages name their license without including its text.
  const text = file ? `\n\`\`\`\n${(await readFile(join(dir, file), "utf8")).trim()}\n\`\`\`\n` : "";
  return `## ${name} ${version}\n\n${[license, source].filter(Boolean).join(", ")}\n${text}`;
}
