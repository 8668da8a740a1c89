/** The walkthrough from its first step to its last, with the fastest choice at each: no dead end and no error. */

import type { Frame } from "playwright-core";
import { expect, test } from "vitest";
import { lossAfter, press, trainingView, useModel } from "./decoderLab.ts";
import { useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();
const start = performance.now();

/** Opens a step of the walkthrough and presses its first button. */
async function follow(title: string): Promise<void> {
  const workbench = window();
  await workbench.runCommand("Decoder Lab: Get Started");
  const step = workbench.page.locator(".getting-started-step:visible").filter({ hasText: title });
  await step.click();
  await step.locator(".monaco-button").first().click();
}

/** Expects no error, in a notification or in a page. */
async function expectNoError(page?: Frame): Promise<void> {
  expect(await window().page.locator(".notification-toast .codicon-error").count()).toBe(0);
  if (page)
    expect(await page.locator(":is(.problem, .inline-problem):visible").filter({ hasText: /\S/ }).count()).toBe(0);
}

/** The Model Explorer, once it shows a trace. */
async function explorer(): Promise<Frame> {
  const page = await window().webview("Model Explorer");
  await page.locator(".strip-token").nth(3).waitFor();
  await page.locator(".pane:visible [aria-busy='true']").first().waitFor({ state: "detached" });
  await expectNoError(page);
  return page;
}

test("the Explorer opens on a picture of the whole model", async () => {
  await whenActive(window());
  await window().openFile("stories.txt");
  await follow("Open the Model Explorer");
  await explorer();
});

test("tokens, attention and the next token each open their view", async () => {
  for (const [step, view] of [
    ["Select a token", "Tokens"],
    ["See what each head attends to", "Attention"],
    ["Change the temperature", "Next token"],
  ] as const) {
    await follow(step);
    const page = await explorer();
    await page.getByRole("tab", { name: view, selected: true }).waitFor();
  }
});

test("a model is trained with the first choices, and its checkpoints are compared", async () => {
  const workbench = window();
  await workbench.openFile("stories.txt");
  await follow("Train your own model");
  for (const title of ["choose a preset", "choose a text", "start, or change a setting first"]) {
    await workbench.page.locator(".quick-input-widget:visible", { hasText: title }).waitFor();
    await workbench.page.locator(".quick-input-widget:visible .monaco-list-row").first().click();
  }
  const view = await trainingView(workbench);
  await lossAfter(workbench, view, 50, 90_000);
  await expectNoError(view);
  await press(view, "Stop");
  await useModel(workbench, /stopped at step \d+/);
  // The test does not know which of several Explorers is new.
  await workbench.runCommand("View: Close All Editors");
  await follow("Compare its checkpoints");
  const page = await explorer();
  await page.getByRole("slider", { name: "Checkpoint" }).waitFor();
});

test("the model completes text, explains it, and colors it", async () => {
  const workbench = window();
  await workbench.runCommand("View: Close All Editors");
  await follow("Write with it");
  await workbench.page.locator(".tab.active", { hasText: "Untitled" }).waitFor();
  await workbench.page.locator(".monaco-editor:visible .view-lines").last().click();
  await workbench.typeText("Tom was a ");
  await workbench.until("ghost text", async () => (await workbench.ghostText()) !== "", 20_000);
  await workbench.page.keyboard.press("Tab");
  await follow("Explain a completion");
  await explorer();
  await workbench.openFile("stories.txt");
  await follow("Color text by surprisal");
  await workbench.page.locator(".view-overlays [class*='ced-']").nth(5).waitFor();
  await expectNoError();
});

test("import and device ask, and can be dismissed", async () => {
  const workbench = window();
  await follow("Import a pretrained model");
  await workbench.quickRow("Choose a folder…").waitFor();
  await workbench.page.keyboard.press("Escape");
  await follow("Choose the device");
  await workbench.quickRow("Automatic").waitFor({ timeout: 120_000 });
  await workbench.page.keyboard.press("Escape");
  await expectNoError();
  const minutes = (performance.now() - start) / 60_000;
  console.log(`the walkthrough took ${minutes.toFixed(1)} minutes`);
});
