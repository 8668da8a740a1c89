/** The browser that the end-to-end tests and the tour drive. */

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

/** Path of a Chromium; installs Debian's where there is none and apt is usable. */
export async function chromium(log: (line: string) => void): Promise<string> {
  const found = await findChromium();
  if (found) return found;
  if (process.getuid?.() === 0 && (await onPath("apt-get"))) {
    log("Installing Chromium with apt …");
    const apt = (...args: string[]) =>
      promisify(execFile)("apt-get", args, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    await apt("update", "-q").catch(() => log("apt-get update failed; trying with the lists that are there."));
    await apt("install", "-y", "-q", "--no-install-recommends", "chromium").catch(() => undefined);
    const installed = await findChromium();
    if (installed) return installed;
  }
  throw new Failure(
    "No Chromium was found: install Chromium or Google Chrome (Debian: `apt-get install chromium`), or set CHROMIUM to its path.",
  );
}

async function findChromium(): Promise<string | undefined> {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of names) {
    const path = await onPath(name);
    if (path) return path;
  }
  return firstExecutable(macApplications);
}

const onPath = (name: string): Promise<string | undefined> =>
  firstExecutable((process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)));

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
