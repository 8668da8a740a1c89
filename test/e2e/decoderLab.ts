/** The views and commands of Decoder Lab as a user operates them. */

import type { Frame, Locator } from "playwright-core";
import { appears, type Workbench } from "./workbench.ts";

export interface Training {
  /** The title in the quick pick, such as "Character GPT". */
  readonly preset: string;
  /** The source of the text; missing for presets that need none. */
  readonly text?: string;
  /** Settings to change first, by their labels in the quick pick. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** A model that improves visibly within seconds, in a run that does not end on its own. */
export const tinyCharacters: Training = {
  preset: "Character GPT",
  text: "Active file",
  settings: { "Training steps": 100_000, Layers: 2, "Attention heads": 2, "Width (dModel)": 64 },
};

/** Starts a training run from the palette. */
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

/** Imports a folder from the palette, and uses the model. */
export async function importFolder(workbench: Workbench, dir: string, precision: string): Promise<void> {
  await workbench.runCommand("Decoder Lab: Import Model");
  await workbench.pick("Choose a folder…");
  // In a browser, VS Code has its own file dialog. It is usable after it has filled in the initial folder.
  const dialog = workbench.page.locator(".quick-input-widget:visible");
  await dialog.locator(".monaco-list-row", { hasText: ".." }).waitFor();
  await workbench.quickInput.fill(dir);
  // The dialog ignores clicks while it lists folders.
  await workbench.until("the choice of a precision", async () => {
    const accept = dialog.locator(".monaco-button", { hasText: "Import" });
    await accept.click({ timeout: 500 }).catch(() => undefined);
    return appears(workbench.quickRow(precision), 2000);
  });
  await workbench.pick(precision);
  await useModel(workbench, "is imported");
}

/** Answers the notification about a new model: it completes text from now on. */
export async function useModel(workbench: Workbench, news: string | RegExp): Promise<void> {
  const notification = workbench.notification(news);
  await notification.waitFor();
  await notification.hover();
  await notification.getByRole("button", { name: "Use for Completions" }).click();
}

/** The page of the training view. */
export const trainingView = (workbench: Workbench): Promise<Frame> => workbench.webview("Training");

/** The page of the Layer Inspector. */
export const inspectorView = (workbench: Workbench): Promise<Frame> => workbench.webview("Layer Inspector");

/** A figure of the training view, such as "Training loss"; undefined until it is shown. */
export async function figure(view: Frame, name: string): Promise<number | undefined> {
  const value = view.locator(".figure").filter({ hasText: name }).locator(".figure-value");
  if ((await value.count()) === 0) return undefined;
  const number = Number.parseFloat((await value.first().innerText()).replaceAll(/[,\s]/g, ""));
  return Number.isNaN(number) ? undefined : number;
}

/** Waits until the run has reached a step and returns the training loss that is then shown. */
export function lossAfter(workbench: Workbench, view: Frame, steps: number, timeout = 60_000): Promise<number> {
  const reached = async () => {
    const step = await figure(view, "Step");
    return step !== undefined && step >= steps ? figure(view, "Training loss") : undefined;
  };
  return workbench.until(`step ${steps}`, reached, timeout);
}

/** The rows of the Models view. */
export async function modelRows(workbench: Workbench): Promise<Locator> {
  await workbench.openContainer("Decoder Lab");
  return workbench.treeRows;
}

/** Clicks a button of a page by its text. */
export const press = (view: Frame, text: string): Promise<void> =>
  view.locator("vscode-button:visible", { hasText: text }).first().click();
