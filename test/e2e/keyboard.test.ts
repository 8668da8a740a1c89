/** A text of 300 words through every view, an ablation, a patch, a comparison and an export, with the keyboard alone. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Frame, Locator } from "playwright-core";
import { expect, inject, test } from "vitest";
import { useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();
const press = (key: string) => window().page.keyboard.press(key);
const explorer = () => window().webview("Model Explorer");
const start = performance.now();

/** Opens the palette, types a title, and runs the command. */
async function command(title: string): Promise<void> {
  await window().openPalette(title);
  await press("Enter");
}

const hasFocus = (control: Locator) => control.evaluate((node) => node.matches(":focus, :focus-within"));

/** Moves the focus with one key until a control has it. */
async function moveTo(control: Locator, key: "Tab" | "Shift+Tab" = "Tab", most = 80): Promise<void> {
  await control.waitFor();
  for (let presses = 0; !(await hasFocus(control)); presses++) {
    if (presses === most) throw new Error(`${most} presses of ${key} do not reach ${control}`);
    await press(key);
  }
}

/** Expects that the view has settled, without an error. */
async function settled(page: Frame): Promise<void> {
  await page.locator(".pane:visible [aria-busy='true']").first().waitFor({ state: "detached" });
  expect(
    await page.locator(":is(.problem, .inline-problem):visible").filter({ hasText: /\S/ }).allInnerTexts(),
  ).toEqual([]);
  expect(await window().page.locator(".notification-toast .codicon-error").count()).toBe(0);
}

async function openView(page: Frame, name: string): Promise<void> {
  const tabs = page.getByRole("tablist", { name: "Views" });
  await moveTo(tabs, (await hasFocus(page.locator(".panes"))) ? "Shift+Tab" : "Tab");
  const tab = tabs.getByRole("tab", { name, exact: true });
  for (let presses = 0; !(await hasFocus(tab)); presses++) {
    if (presses > 12) throw new Error(`the arrow keys do not reach ${name}`);
    await press("ArrowRight");
  }
  await page.getByRole("tab", { name, exact: true, selected: true }).waitFor();
  await settled(page);
}

test("a text of 300 words is shown in every view", async () => {
  await whenActive(window());
  const stories = await readFile(join(inject("workspace"), "stories.txt"), "utf8");
  const text = stories.split(/\s+/).slice(0, 300).join(" ");
  await command("Decoder Lab: Open Model Explorer");
  const page = await explorer();
  await page.locator(".strip-token").nth(3).waitFor();
  await moveTo(page.getByRole("textbox", { name: "Prompt", exact: true }));
  await press("ControlOrMeta+A");
  await window().page.keyboard.insertText(text);
  await press("Enter");
  await page.locator(".strip-token").nth(100).waitFor();

  const views = await page.getByRole("tab").allInnerTexts();
  expect(views.length).toBeGreaterThan(10);
  for (const view of views) {
    await openView(page, view);
    // Behind each picture is a table; the last two views show nothing before they are asked.
    if (view !== "Compare" && view !== "Prompts") await page.locator(".pane:visible .more-button").first().waitFor();
  }
});

test("a head is ablated, and a value is patched from another text", async () => {
  const page = await explorer();
  await openView(page, "Interventions");
  const pane = page.locator(".pane:visible");
  const parts = pane.locator(".heatmap-scroller").first();
  await moveTo(parts);
  await press("Home");
  await press("Enter");
  const ablated = pane.getByText("layer 0, head 0 ablated").first();
  await ablated.waitFor();
  await settled(page);

  await moveTo(pane.getByRole("textbox", { name: "Text to patch from" }));
  await window().page.keyboard.insertText("Lily was a happy goat. Then Lily met her friend Max, a dog.");
  await press("Enter");
  const patch = pane.getByRole("button", { name: "Patch", exact: true });
  await moveTo(patch);
  await press("Enter");
  await pane.getByText("Remove all").first().waitFor();
  await settled(page);
});

test("the trace is compared with that of another text, and the comparison is saved", async () => {
  const page = await explorer();
  await openView(page, "Compare");
  const pane = page.locator(".pane:visible");
  await moveTo(pane.getByRole("textbox", { name: "Text to compare with" }));
  await window().page.keyboard.insertText("Ella was a clever mouse. One cold day, Ella walked home with Tom the frog.");
  await press("Enter");
  const menu = pane.locator(".more-button").first();
  await menu.waitFor();
  await settled(page);
  await moveTo(menu);
  await press("Enter");
  const item = page.getByRole("menuitem", { name: "Save CSV" });
  while (!(await hasFocus(item))) await press("ArrowDown");
  await press("Enter");
  const { quickInput } = window();
  await quickInput.waitFor();
  const path = await window().until("the name of the file", async () => {
    const name = await quickInput.inputValue();
    return name.endsWith(".csv") && name;
  });
  await press("Enter");
  await window().notification("Saved").waitFor();
  const csv = await readFile(path, "utf8");
  expect(csv.split("\n").length).toBeGreaterThan(3);
  console.log(`the journey by keyboard took ${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
});
