/** The windows that test files open on the VS Code started by `globalSetup`. */

import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import type { CodeServer } from "../../scripts/codeServer.ts";
import { inRoot } from "../../scripts/paths.ts";
import { launchBrowser, Workbench } from "./workbench.ts";

/** Opens a window for the tests of a file. Returns a function, because the window exists only while they run. */
export function useWorkbench(): () => Workbench {
  let browser: Browser | undefined;
  let workbench: Workbench | undefined;

  beforeAll(async () => {
    await removeState(inject("server"));
    browser = await launchBrowser(inject("chromium"));
    workbench = await Workbench.open(browser, inject("server"));
  });
  afterAll(async () => {
    await workbench?.close();
    await browser?.close();
  });
  // Takes a screenshot when a test fails.
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail" || !workbench) return;
    const folder = inRoot("out", "test");
    await mkdir(folder, { recursive: true });
    await workbench.screenshot(join(folder, `${task.name.replace(/\W+/g, "-")}.png`));
  });

  return () => {
    if (!workbench) throw new Error("the window is open only while tests run");
    return workbench;
  };
}

/** Removes models and unsaved changes of earlier windows, because test files run in any order. */
async function removeState({ userDataDir }: CodeServer): Promise<void> {
  for (const folder of ["globalStorage/decoder-lab.decoder-lab", "Backups"]) {
    await rm(join(userDataDir, "User", folder), { recursive: true, force: true });
  }
}

export interface ProbeReport {
  readonly time: number;
  /** Process id of the extension host. */
  readonly pid: number;
  /** Longest CPU time of one turn of the host's event loop since the previous report, in milliseconds. */
  readonly worstTurn: number;
  /** Longest time between two turns, in milliseconds. Includes time of other processes on a busy machine. */
  readonly worstStall: number;
  /** Time to load the bundle of Decoder Lab and to run `activate`, in milliseconds. */
  readonly activation: { readonly load: number; readonly activate: number };
  /** Native libraries in the process of the host. */
  readonly sharedObjects: readonly string[];
  readonly extensionPath: string;
  readonly active: boolean;
}

/** The report of the probe once Decoder Lab is active. */
export const whenActive = (workbench: Workbench): Promise<ProbeReport> =>
  workbench.until("activation", async () => {
    const report = await probeHost(workbench);
    return report.active && report.activation.activate > 0 && report;
  });

/** A report of the probe extension, which shares the extension host with Decoder Lab. */
export async function probeHost(workbench: Workbench): Promise<ProbeReport> {
  const path = inject("probeReport");
  await rm(path, { force: true });
  await workbench.runCommand("Host Probe: Report");
  return workbench.until("the probe's report", async () => {
    const text = await readFile(path, "utf8").catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as ProbeReport);
  });
}
