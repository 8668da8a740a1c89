/** The Model Explorer in the window: it agrees with the command line and survives a reload. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { random } from "../../src/engine/random";
import { stepOf } from "../../src/extension/surprisal/shading";
import { inspectorView } from "./decoderLab.ts";
import { columnsOf, type Drawn } from "./editorColors.ts";
import {
  agrees,
  type Cell,
  cellsOf,
  describeModel,
  generateText,
  type Known,
  mostLikely,
  readTables,
  type Scored,
  scoreText,
  type TraceReport,
  tracePrompt,
} from "./explorerTables.ts";
import { engineProcesses } from "./processes.ts";
import { probeHost, useWorkbench, whenActive } from "./window.ts";
import { appears } from "./workbench.ts";

const window = useWorkbench();
/** The text that the explorer has before the user chooses one. */
const sampleText = 'Tom was a clever frog. Then Tom met his friend Mia, a cat. "Why are you sad?" asked';
/** Long enough for 200 numbers of each view. */
const text =
  'Once upon a time, there was a little fox named Tim. He had a red ball and took it everywhere. One day, Tim went to the park to play. When it was time to go home, he could not find the red ball. Tim was very sad. Then Tim met his friend Anna, a goat. "Why are you sad?" asked';
const otherText = text.replace("fox", "dog");

let known: Pick<Known, "modules" | "generation">;
let shown: TraceReport;
/** The second traces of views that compare two: with an ablated head, and of another text. */
let secondTraces: Readonly<Record<string, TraceReport>>;
let home: string;
let model: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "dlab-explorer-"));
  model = join((await whenActive(window())).extensionPath, "media", "model");
  // The token that views track by default.
  const expected = await mostLikely(model, text);
  const trace = (name: string, prompt: string, ...changes: string[]) =>
    tracePrompt(model, prompt, `#${expected}`, join(home, `${name}.safetensors`), ...changes);
  shown = await trace("shown", text);
  secondTraces = {
    Interventions: await trace("without", text, "--scale", "blocks.0.head.0=0"),
    Compare: await trace("other", otherText),
  };
  known = { modules: await describeModel(model), generation: await generateText(model, text, 24) };
});
afterAll(() => rm(home, { recursive: true, force: true }));

const explorerView = () => window().webview("Model Explorer");
const tabs = (explorer: Frame) => explorer.getByRole("tablist", { name: "Views" }).getByRole("tab");

test("the explorer opens on the bundled model if the user has none", async () => {
  const workbench = window();
  await workbench.openPalette("Decoder Lab: Open Model Explorer");
  const start = performance.now();
  await workbench.pick("Decoder Lab: Open Model Explorer");
  const explorer = await explorerView();
  await explorer.locator(".strip-token").nth(22).waitFor();
  const seconds = (performance.now() - start) / 1000;
  console.log(`the Model Explorer shows the trace ${seconds.toFixed(2)} s after the command`);
  expect(await explorer.getByRole("textbox", { name: "Prompt" }).inputValue()).toBe(sampleText);
  expect(seconds).toBeLessThan(30);
});

test("200 numbers of each view equal those of the command line", async () => {
  const explorer = await explorerView();
  const prompt = explorer.getByRole("textbox", { name: "Prompt" });
  await prompt.fill(text);
  await prompt.press("Enter");
  const last = shown.tokens.length - 1;
  await explorer.locator(".strip-token").nth(last).waitFor();
  const views = await tabs(explorer).allInnerTexts();
  expect(views.length).toBeGreaterThan(9);
  // The Prompts view shows nothing before a set is run.
  for (const view of views.filter((each) => each !== "Prompts")) {
    await tab(explorer, view).click();
    await prepare[view]?.(explorer);
    const traces = [shown, secondTraces[view]] as const;
    const cells = await window().until(`200 numbers of ${view}`, async () => {
      const tables = await readTables(explorer);
      const all = tables.flatMap((table) => cellsOf(table, { ...known, traces, token: last, head: 0 }));
      return all.length >= leastCells(view) && all;
    });
    const sampled = sample(cells, 200);
    console.log(`${view}: ${sampled.length} of ${cells.length} cells`);
    expect.soft({ view, wrong: sampled.filter((cell) => !agrees(cell)).slice(0, 5) }).toEqual({ view, wrong: [] });
  }
});

/** The Overview has a row for each of the four layers, with five numbers and the weights of up to three tokens. */
const leastCells = (view: string): number => (view === "Overview" ? 20 : secondTraces[view] ? 900 : 200);

/** Actions that a view needs before it shows numbers. */
const prepare: Readonly<Record<string, (explorer: Frame) => Promise<void>>> = {
  async Interventions(explorer) {
    const parts = explorer.locator(".pane:visible .heatmap-scroller").first();
    await parts.press("Home");
    await parts.press("Enter");
  },
  async Compare(explorer) {
    // The interventions of the view before apply to all views.
    await explorer.getByRole("button", { name: "Remove all" }).filter({ visible: true }).click();
    const other = explorer.getByRole("textbox", { name: "Text to compare with" });
    await other.fill(otherText);
    await other.press("Enter");
  },
};

test("selections are restored after the explorer was hidden and after a reload", async () => {
  const workbench = window();
  const before = await explorerView();
  await tab(before, "Attention").click();
  await before.locator(".strip-token").nth(10).click();
  await workbench.openFile("stories.txt");
  await workbench.page.locator('.tab[aria-label^="Model Explorer"]').click();
  const selections = { text, view: "Attention", token: "10" };
  expect(await selectionsIn(await explorerView())).toEqual(selections);
  // As a user reloads. After a reload of the page alone, VS Code may not have stored the latest state.
  await Promise.all([
    workbench.page.waitForEvent("domcontentloaded"),
    workbench.runCommand("Developer: Reload Window"),
  ]);
  const reloaded = await explorerView();
  expect(await selectionsIn(reloaded)).toEqual(selections);
  // A choice of the last moment counts too.
  await workbench.openPalette("Developer: Reload Window");
  await tab(reloaded, "Embeddings").evaluate((node) => (node as unknown as { click(): void }).click());
  await Promise.all([workbench.page.waitForEvent("domcontentloaded"), workbench.pick("Developer: Reload Window")]);
  expect(await selectionsIn(await explorerView())).toEqual({ ...selections, view: "Embeddings" });
  await workbench.page.locator('.tab[aria-label^="Model Explorer"]').click();
  await workbench.runCommand("View: Close Editor");
});

test("an ablation is undone by keyboard, and it and a named set of prompts survive a reload of the window", async () => {
  const workbench = window();
  await workbench.runCommand("Decoder Lab: Open Model Explorer");
  const before = await explorerView();
  const chips = (explorer: Frame) =>
    explorer.getByRole("group", { name: "Active interventions" }).filter({ visible: true }).getByRole("listitem");
  await tab(before, "Interventions").click();
  const parts = before.getByRole("grid");
  await parts.press("Control+Home");
  await parts.press("Enter");
  await chips(before).filter({ hasText: "layer 0, head 0 ablated" }).waitFor();
  await workbench.page.keyboard.press("Control+z");
  await chips(before).first().waitFor({ state: "detached" });
  await workbench.page.keyboard.press("Control+y");
  await chips(before).filter({ hasText: "layer 0, head 0 ablated" }).waitFor();

  await tab(before, "Prompts").click();
  await before.getByRole("textbox", { name: "Prompts, one per line" }).fill("The fox\nThe cat");
  await before.getByRole("textbox", { name: "Name of the set" }).fill("animals");
  await before.getByRole("button", { name: "Save as" }).click();
  await before.getByText("Saved. Changes of this set").waitFor();
  await Promise.all([
    workbench.page.waitForEvent("domcontentloaded"),
    workbench.runCommand("Developer: Reload Window"),
  ]);
  const after = await explorerView();
  await chips(after).filter({ hasText: "layer 0, head 0 ablated" }).waitFor();
  await after.locator(".pane-summary", { hasText: "animals" }).waitFor();
  const prompts = after.getByRole("textbox", { name: "Prompts, one per line" });
  await workbench.until("its prompts", async () => (await prompts.inputValue()) === "The fox\nThe cat");
  await after.getByRole("button", { name: "Delete" }).click();
  await workbench.page.locator(".monaco-dialog-box").getByRole("button", { name: "Delete" }).click();
  await after.getByText("Deleted.").waitFor();
  await tab(after, "Tokens").click();
  await workbench.page.locator('.tab[aria-label^="Model Explorer"]').click();
  await workbench.runCommand("View: Close Editor");
});

/** A line of stories.txt that fits into the context of the model, with its 1-based number and its tokens. */
async function lineThatFits() {
  const lines = (await readFile(join(inject("workspace"), "stories.txt"), "utf8")).split("\n");
  const line = lines.findIndex(({ length }) => length > 200 && length < 300);
  const text = lines[line] as string;
  const tokens = await scoreText(model, text);
  const tokenAt = (offset: number) => tokens.findIndex(({ start, end }) => start <= offset && offset < end);
  return { line: line + 1, text, tokens, tokenAt };
}

/** The value of each character's token. */
const byCharacter = <T>(tokens: readonly Scored[], values: readonly T[]): T[] =>
  tokens.flatMap(({ start, end }, i) => Array<T>(end - start).fill(values[i] as T));

test("a selected token is shared by the explorer, the inspector, and the editor", async () => {
  const workbench = window();
  const { line, tokens, tokenAt } = await lineThatFits();
  const last = tokens.length - 1;
  await workbench.openFile("stories.txt");
  await workbench.goTo(line, 1);
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  const inspector = await inspectorView(workbench);
  const inInspector = (token: number) =>
    inspector.locator(".token-details", { hasText: new RegExp(`position\\s*${token}(?!\\d)`) }).waitFor();
  await workbench.runCommand("Decoder Lab: Open Model Explorer");
  const explorer = await explorerView();
  const inExplorer = (token: number) =>
    explorer.locator(`.strip-token[data-token="${token}"][aria-selected="true"]`).waitFor();
  await Promise.all([inExplorer(last), inInspector(last)]);

  await explorer.locator(".strip-token").nth(7).click();
  await Promise.all([inExplorer(7), inInspector(7)]);
  await workbench.page.locator(".view-overlays [class*='ced-']").first().waitFor();

  await workbench.openFile("stories.txt");
  await workbench.goTo(line, 21);
  await workbench.page.keyboard.press("ArrowLeft");
  await Promise.all([inExplorer(tokenAt(19)), inInspector(tokenAt(19))]);
});

test("the text in the editor is shaded by the attention of the selected token until that is turned off", async () => {
  const workbench = window();
  const { line, text, tokens, tokenAt } = await lineThatFits();
  const { tensors } = await tracePrompt(model, text, "e", join(home, "line.safetensors"));
  const pattern = tensors.get("blocks.0.attn.pattern");
  if (!pattern) throw new Error("the trace has no attention pattern of the first layer");
  // Weights of the first head relative to the largest one, in eighths.
  const shades = (token: number) => {
    const row = [...pattern.data.subarray(token * tokens.length, (token + 1) * tokens.length)];
    return byCharacter(
      tokens,
      row.map((weight) => Math.round((8 * weight) / Math.max(...row)) || undefined),
    );
  };
  const isShaded = (expected: readonly (number | undefined)[]) =>
    workbench.until(
      `shades ${expected}`,
      async () => String(await columnsOf(workbench, line, eighths)) === String(expected),
    );

  const toggle = () => workbench.runCommand("Decoder Lab: Toggle Attention Shading");
  await toggle();
  await isShaded(shades(tokenAt(19)));
  const explorer = await explorerView();
  await explorer.locator(".strip-token").nth(30).click();
  await workbench.openFile("stories.txt");
  await isShaded(shades(30));
  await toggle();
  await isShaded(Array.from({ length: text.length }));
});

test("the surprisal lens colors a text by the values of the command line, also after edits", async () => {
  const workbench = window();
  const [name, before] = ["surprise.txt", "Tom was a clever frog. Ella had a red hat, and Max Dig the puppy."];
  await writeFile(join(inject("workspace"), name), before);
  await workbench.openFile(name);
  await workbench.runCommand("Decoder Lab: Toggle Surprisal Lens");
  const item = workbench.statusItem("bits/byte");
  const isColored = (scored: readonly Scored[]) =>
    workbench.until("the colors of the text", async () => {
      const bytes = (scored.at(-1)?.end ?? 0) - (scored[0]?.end ?? 0);
      const perByte = sumOf(scored.map(({ surprisal }) => surprisal ?? 0)) / bytes;
      if ((await item.innerText()).trim() !== `${perByte.toFixed(3)} bits/byte`) return false;
      const steps = scored.map(({ surprisal }) =>
        surprisal === null || stepOf(surprisal) < 0 ? undefined : stepOf(surprisal),
      );
      return String(await columnsOf(workbench, 1, stepDrawn)) === String(byCharacter(scored, steps));
    });
  const scored = await scoreText(model, before);
  await isColored(scored);

  const most = scored.reduce((a, b) => ((b.surprisal ?? 0) > (a.surprisal ?? 0) ? b : a));
  expect(stepOf(most.surprisal ?? 0)).toBeGreaterThan(1);
  const hover = await workbench.hoverAt(1, most.end);
  const expectShown = (name: string, pattern: RegExp, expected: number | null | undefined) =>
    expect({
      name,
      hover,
      agrees: agrees({ where: name, shown: pattern.exec(hover)?.[1] ?? "", expected: expected ?? Number.NaN }),
    }).toMatchObject({ agrees: true });
  expectShown("surprisal", /surprisal ([\d.]+) bits/, most.surprisal);
  expectShown("the most likely token", /probability\s+\S+\s+\d+\s+([\d.e-]+)/, most.alternatives[0]?.probability);

  await workbench.goTo(1, 5);
  await workbench.typeText("once ");
  await isColored(await scoreText(model, `${before.slice(0, 4)}once ${before.slice(4)}`));
  await workbench.page.keyboard.press("ControlOrMeta+S");

  await workbench.runCommand("Decoder Lab: Toggle Surprisal Lens");
  await item.waitFor({ state: "detached" });
  const left = await columnsOf(workbench, 1, stepDrawn);
  expect(left.filter((step) => step !== undefined)).toEqual([]);
});

test("a restart after the engine has stopped for good shows the trace again", async () => {
  const workbench = window();
  const host = (await probeHost(workbench)).pid;
  const explorer = await explorerView();
  const typed = explorer.getByRole("textbox", { name: "Prompt" });
  await workbench.until("the engine to stop for good", async () => {
    for (const engine of await engineProcesses(host)) process.kill(engine, "SIGKILL");
    return appears(workbench.notification("was not restarted"), 200);
  });
  await typed.fill("Tom was a clever frog.");
  await explorer.locator(".problem").filter({ hasText: "crashed" }).waitFor();
  await explorer.getByRole("button", { name: "Restart Engine" }).click();
  await explorer.locator(".strip-token").nth(5).waitFor();
  expect(await explorer.locator(".problem").count()).toBe(0);
});

/** Strength of an attention shade in a light theme, in eighths of the strongest shade. */
function eighths({ background }: Drawn): number | undefined {
  const [, strength] = /^rgba\(26, 133, 255, ([\d.]+)\)$/.exec(background) ?? [];
  return strength === undefined ? undefined : Math.round((8 * Number(strength)) / 0.6);
}

/** The step of surprisal, by its kind of underline. */
function stepDrawn({ above, below }: Drawn): number | undefined {
  const step = ["1px dotted", "1px dashed", "1px solid", "2px solid"].indexOf(below);
  return above.startsWith("0px") && step >= 0 ? step : undefined;
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

const tab = (explorer: Frame, view: string) => tabs(explorer).filter({ hasText: view }).first();

async function selectionsIn(explorer: Frame) {
  const token = explorer.locator('.strip-token[aria-selected="true"]');
  await token.waitFor();
  return {
    text: await explorer.getByRole("textbox", { name: "Prompt" }).inputValue(),
    view: await tabs(explorer).and(explorer.locator('[aria-selected="true"]')).innerText(),
    token: await token.getAttribute("data-token"),
  };
}

/** A sample of the cells, the same each time. */
function sample(cells: readonly Cell[], count: number): Cell[] {
  const { below } = random(7, "cells");
  const left = [...cells];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(below(left.length), 1)[0] as Cell);
}
