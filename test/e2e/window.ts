/** A test file's window on the VS Code that `globalSetup` started. */

import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import type { CodeServer } from "../../scripts/codeServer.ts";
import { inRoot } from "../../scripts/paths.ts";
import { launchBrowser, Workbench } from "./workbench.ts";

/** Opens a window for the tests of a file; answers a function because the window is there only once they run. */
export function useWorkbench(): () => Workbench {
  let browser: Browser | undefined;
  let workbench: Workbench | undefined;

  beforeAll(async () => {
    await forgetWindows(inject("server"));
    browser = await launchBrowser(inject("chromium"));
    workbench = await Workbench.open(browser, inject("server"));
  });
  afterAll(async () => {
    await workbench?.close();
    await browser?.close();
  });
  // What a failing test saw.
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

/** What windows before left: models, and changes that were not saved. The files run in any order. */
async function forgetWindows({ userDataDir }: CodeServer): Promise<void> {
  for (const left of ["globalStorage/decoder-lab.decoder-lab", "Backups"]) {
    await rm(join(userDataDir, "User", left), { recursive: true, force: true });
  }
}

export interface ProbeReport {
  readonly time: number;
  /** Process id of the extension host. */
  readonly pid: number;
  /** Most milliseconds that the host's event loop worked in one turn since the report before. */
  readonly worstTurn: number;
  /** Longest time in milliseconds between two turns; on a busy machine also time that other processes took. */
  readonly worstStall: number;
  /** Milliseconds that Decoder Lab took: to load its bundle, and from calling `activate` to its end. */
  readonly activation: { readonly load: number; readonly activate: number };
  /** Native libraries that the host has loaded. */
  readonly sharedObjects: readonly string[];
  readonly extensionPath: string;
  readonly active: boolean;
}

/** The probe's report once Decoder Lab is active. */
export const whenActive = (workbench: Workbench): Promise<ProbeReport> =>
  workbench.until("activation", async () => {
    const report = await probeHost(workbench);
    return report.active && report.activation.activate > 0 && report;
  });

/** Asks the probe extension, which shares Decoder Lab's extension host. */
export async function probeHost(workbench: Workbench): Promise<ProbeReport> {
  const path = inject("probeReport");
  await rm(path, { force: true });
  await workbench.runCommand("Host Probe: Report");
  return workbench.until("the probe's report", async () => {
    const text = await readFile(path, "utf8").catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as ProbeReport);
  });
}
