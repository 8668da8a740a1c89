/** Starts the VS Code that all end-to-end tests share, with the packaged extension installed. */

import { execFile } from "node:child_process";
import { access, cp, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { chromium } from "../../scripts/chromium.ts";
import { type CodeServer, installCodeServer, startCodeServer } from "../../scripts/codeServer.ts";
import { inRoot } from "../../scripts/paths.ts";
import { requireHostTarget, vsixPath } from "../../scripts/targets.ts";

declare module "vitest" {
  interface ProvidedContext {
    server: CodeServer;
    chromium: string;
    /** The open folder: a copy of samples/, which tests may change. */
    workspace: string;
    probeReport: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const vsix = vsixPath(requireHostTarget());
  await access(vsix).catch(() => {
    throw new Error(`${vsix} is missing: run \`npm run package\` first.`);
  });
  const browser = await chromium(console.log);
  await installCodeServer(console.log);

  const home = await realpath(await mkdtemp(join(tmpdir(), "dlab-e2e-")));
  const workspace = join(home, "workspace");
  const probeReport = join(home, "probe.json");
  await cp(inRoot("samples"), workspace, { recursive: true });
  const { server, close } = await startCodeServer({
    folder: workspace,
    extensions: [vsix, await packageProbe()],
    // An empty cache for imported models, and no token or mirror of this machine.
    env: { HOST_PROBE_REPORT: probeReport, HF_HOME: join(home, "hf"), HF_TOKEN: "", HF_ENDPOINT: "" },
  });
  project.provide("server", server);
  project.provide("chromium", browser);
  project.provide("workspace", workspace);
  project.provide("probeReport", probeReport);
  return async () => {
    await close();
    await rm(home, { recursive: true, force: true });
  };
}

async function packageProbe(): Promise<string> {
  const out = inRoot("out", "stage", "host-probe.vsix");
  await mkdir(inRoot("out", "stage"), { recursive: true });
  const options = ["--out", out, "--no-dependencies", "--allow-missing-repository", "--skip-license"];
  await promisify(execFile)(process.execPath, [inRoot("node_modules/@vscode/vsce/vsce"), "package", ...options], {
    cwd: inRoot("test", "e2e", "probe"),
  });
  return out;
}
