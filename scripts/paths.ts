import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export const inRoot = (...parts: string[]): string => join(root, ...parts);

/** Runs `main` if Node started this module, not if another module imports it. */
export function runAsScript(moduleUrl: string, main: () => Promise<unknown>): void {
  if (process.argv[1] !== fileURLToPath(moduleUrl)) return;
  main().catch((error) => {
    console.error(error instanceof Error && error.name === "Failure" ? error.message : error);
    process.exitCode = 1;
  });
}

/** An error that the user can act on, printed as one sentence without a stack. */
export class Failure extends Error {
  override readonly name = "Failure";
}
