/** Decoder Lab's own views and commands in the window, as a person finds them. */

import type { Frame, Locator } from "playwright-core";
import { appears, type Workbench } from "./workbench.ts";

export interface Training {
  /** As the quick pick shows it, such as "Character GPT". */
  readonly preset: string;
  /** Which text; task presets ask for none. */
  readonly text?: string;
  /** Settings to change first, by what the quick pick calls them. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** A model that learns something visible within seconds, in a run that does not end by itself. */
export const tinyCharacters: Training = {
  preset: "Character GPT",
  text: "Active file",
  settings: { "Training steps": 100_000, Layers: 2, "Attention heads": 2, "Width (dModel)": 64 },
};

/** Starts a training from the palette, answering its questions. */
export async function startTraining(workbench: Workbench, { preset, text, settings }: Training): Promise<void> {
  await workbench.runCommand("Decoder Lab: Train Tiny GPT");
  await workbench.pick(preset);
  if (text) await workbench.pick(text);
  for (const [label, value] of Object.entries(settings ?? {})) {
    await workbench.pick(label);
    await workbench.answer(String(value));
  }
  await workbench.pick("Start training");
}

/** Imports a folder from the palette, and waits until it is there. */
export async function importFolder(workbench: Workbench, dir: string, precision: string): Promise<void> {
  await workbench.runCommand("Decoder Lab: Import Model");
  await workbench.pick("Choose a folder…");
  // The editor's own dialog, which a browser has instead of the system's. It writes where it starts before it can be used.
  const dialog = workbench.page.locator(".quick-input-widget:visible");
  await dialog.locator(".monaco-list-row", { hasText: ".." }).waitFor();
  await workbench.quickInput.fill(dir);
  // While the dialog still lists folders it lets a click go by.
  await workbench.until("the question of the precision", async () => {
    const accept = dialog.locator(".monaco-button", { hasText: "Import" });
    await accept.click({ timeout: 500 }).catch(() => undefined);
    return appears(workbench.quickRow(precision), 2000);
  });
  await workbench.pick(precision);
  await workbench.notification("is imported and active").waitFor();
}

/** The training view's page. */
export const trainingView = (workbench: Workbench): Promise<Frame> => workbench.webview("Training");

/** The Layer Inspector's page. */
export const inspectorView = (workbench: Workbench): Promise<Frame> => workbench.webview("Layer Inspector");

/** A figure of the training view, such as "Training loss"; undefined until it is there. */
export async function figure(view: Frame, name: string): Promise<number | undefined> {
  const value = view.locator(".figure").filter({ hasText: name }).locator(".figure-value");
  if ((await value.count()) === 0) return undefined;
  const number = Number.parseFloat((await value.first().innerText()).replaceAll(/[,\s]/g, ""));
  return Number.isNaN(number) ? undefined : number;
}

/** Waits until the run has made at least so many steps, and answers the training loss that is shown then. */
export function lossAfter(workbench: Workbench, view: Frame, steps: number, timeout = 60_000): Promise<number> {
  const reached = async () => {
    const step = await figure(view, "Step");
    return step !== undefined && step >= steps ? figure(view, "Training loss") : undefined;
  };
  return workbench.until(`step ${steps}`, reached, timeout);
}

/** The rows of the models view. */
export async function modelRows(workbench: Workbench): Promise<Locator> {
  await workbench.openContainer("Decoder Lab");
  return workbench.treeRows;
}

/** Presses a button of a webview page by its text. */
export const press = (view: Frame, text: string): Promise<void> =>
  view.locator("vscode-button:visible", { hasText: text }).first().click();
