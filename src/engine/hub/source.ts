/** Parses the source of a model as the user writes it. */

import { open, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { quoted } from "../../text/untrusted";
import { EngineError } from "../errors";
import { readError } from "../weights";

export type Source =
  /** A model on the Hub; `file` is one of its .gguf files. */
  | { readonly kind: "hub"; readonly id: string; readonly revision: string; readonly file?: string }
  | { readonly kind: "folder"; readonly dir: string }
  | { readonly kind: "gguf"; readonly file: string };

const DEFAULT_REVISION = "main";

/** `org/name`, `org/name@revision` or `org/name:file.gguf`, also in the form of the Hub's URLs. */
const HUB_SOURCE =
  /^(?<id>[\w-][\w.-]*(?:\/[\w-][\w.-]*)?)(?:(?:@|\/tree\/)(?<revision>\w[\w./-]*))?(?::(?<file>[\w-][\w./ -]*\.gguf))?$/;
const HUB_ADDRESS = /^https:\/\/huggingface\.co\//;
/** `./x`, `../x`, `/x`, `C:\x`: never the name of a model on the Hub. */
const PATH = /^(\.{1,2}([/\\]|$)|[/\\]|[A-Za-z]:[/\\])|\\/;

/** Validates a branch, tag or commit: `main`, `v1.0`, `refs/pr/1`. */
export function requireRevision(revision: string): string {
  if (/^\w[\w./-]*$/.test(revision) && !revision.split("/").includes("..")) return revision;
  throw new EngineError(
    "config",
    `${quoted(revision)} is not a valid revision. Use a branch, tag or commit, such as main.`,
  );
}

/** Returns true for a GGUF file. Some programs store them under other names, such as a hash. */
export const isGguf = async (path: string): Promise<boolean> => path.endsWith(".gguf") || startsLikeGguf(path);

async function startsLikeGguf(path: string): Promise<boolean> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw readError(error, path);
  });
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString("latin1") === "GGUF";
  } catch (error) {
    throw readError(error, path);
  } finally {
    await file.close();
  }
}

/** Parses a source. An existing file or folder takes precedence over a model on the Hub. */
export async function parseSource(text: string): Promise<Source> {
  const path = resolve(text.trim().replace(/^~(?=$|[/\\])/, () => homedir()));
  const info = text.trim() === "" ? null : await stat(path).catch(() => null);
  if (info?.isDirectory()) return { kind: "folder", dir: path };
  if (info && !info.isFile())
    throw new EngineError("config", `${path} is a pipe or a device, not a file. Choose a model folder or a GGUF file.`);
  if (info && (await isGguf(path))) return { kind: "gguf", file: path };
  if (info) throw new EngineError("config", `${path} is a file. Import its folder or a .gguf file.`);
  if (PATH.test(text.trim()) || text.trim().startsWith("~")) {
    throw new EngineError("notFound", `${path} does not exist. Choose a model folder or a .gguf file.`);
  }
  const named = HUB_SOURCE.exec(text.trim().replace(HUB_ADDRESS, ""))?.groups;
  if (!named || /\.\.|--/.test(named.id as string) || `${named.revision}/${named.file}`.split("/").includes("..")) {
    throw new EngineError(
      "config",
      `${quoted(text)} is neither a folder nor the name of a model. Use org/name, org/name@revision, or the path of a folder.`,
    );
  }
  const { id = "", revision = DEFAULT_REVISION, file } = named;
  return { kind: "hub", id, revision, ...(file !== undefined && { file }) };
}
