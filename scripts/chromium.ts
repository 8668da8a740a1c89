/** The browser for the tests of the pages, the end-to-end tests and the tour. */

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { Failure } from "./paths.ts";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const macApplications = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** Returns the path of a Chromium. Installs Debian's if there is none and apt may be used. */
export async function chromium(
  log: (line: string) => void,
  { env = process.env, isRoot = process.getuid?.() === 0 } = {},
): Promise<string> {
  const found = await findChromium(env);
  if (found) return found;
  const aptGet = isRoot ? await onPath("apt-get", env) : undefined;
  if (aptGet) {
    log("Installing Chromium with apt …");
    const apt = (...args: string[]) =>
      promisify(execFile)(aptGet, args, { env: { ...env, DEBIAN_FRONTEND: "noninteractive" } });
    await apt("update", "-q").catch(() => log("apt-get update failed; trying with the package lists on this machine."));
    await apt("install", "-y", "-q", "--no-install-recommends", "chromium").catch(() => undefined);
    const installed = await findChromium(env);
    if (installed) return installed;
  }
  throw new Failure(
    "No Chromium was found. Install Chromium or Google Chrome (Debian: `apt-get install chromium`), or set CHROMIUM to its path.",
  );
}

/** Path of an installed Chromium: `CHROMIUM`, or the first on the `PATH`. */
export async function findChromium(env = process.env): Promise<string | undefined> {
  if (env.CHROMIUM) return env.CHROMIUM;
  for (const name of names) {
    const path = await onPath(name, env);
    if (path) return path;
  }
  return process.platform === "darwin" ? firstExecutable(macApplications) : undefined;
}

const onPath = (name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> =>
  firstExecutable((env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)));

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}
