// `npm run demo`. This file runs on the user's Node without dependencies, because a clean clone has none. It installs
// the packages if needed and starts demo.ts with the project's own Node.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (Number(process.versions.node.split(".")[0]) < 20) {
  fail(`The demo needs Node 20 or newer. This is ${process.version}.`);
}
if (process.platform === "win32") {
  fail("The demo needs Linux or macOS, or the Windows Subsystem for Linux: code-server does not run on Windows.");
}

// npm writes this hidden lockfile at the end of an install.
const lock = join(root, "package-lock.json");
const installedLock = join(root, "node_modules", ".package-lock.json");
if (!existsSync(installedLock) || statSync(installedLock).mtimeMs < statSync(lock).mtimeMs) {
  console.log("Installing the packages (npm ci) …");
  const { status } = spawnSync("npm", ["ci"], { cwd: root, stdio: "inherit" });
  if (status !== 0) fail("npm ci failed. The lines above say why.");
}

const node = join(root, "node_modules", "node", "bin", "node");
const demo = spawn(node, [join(root, "scripts", "demo.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
// Ctrl+C reaches both processes. The demo cleans up and exits, and this process exits with it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => demo.kill("SIGTERM"));
demo.once("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));

function fail(message) {
  console.error(message);
  process.exit(1);
}
