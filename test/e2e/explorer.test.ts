/** The Explorer in the window: what it shows is what the command line says, and it is still there after a reload. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inRoot } from "../../scripts/paths.ts";
import { random } from "../../src/engine/random";
import { agrees, type Cell, cellsOf, type Run, readTables, runOnCommandLine } from "./explorerTables.ts";
import { useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();
const text = "Once upon a time, there was a little fox who lived in the wood.";
const head = 1;

let run: Run;
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "dlab-explorer-"));
  run = await runOnCommandLine(inRoot("media", "model"), text, join(home, "run.safetensors"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const explorerView = () => window().webview("Explorer");
const tabs = (explorer: Frame) => explorer.getByRole("tablist", { name: "Views" }).getByRole("tab");

test("without a model of the user's own, it opens on the one that comes with the extension", async () => {
  const workbench = window();
  await whenActive(workbench);
  await workbench.openPalette("Decoder Lab: Open Explorer");
  const asked = performance.now();
  await workbench.pick("Decoder Lab: Open Explorer");
  const explorer = await explorerView();
  await explorer
    .locator(".strip-token")
    .nth(text.length - 1)
    .waitFor();
  const seconds = (performance.now() - asked) / 1000;
  console.log(`the Explorer shows the run ${seconds.toFixed(2)} s after the command`);
  expect(await explorer.getByRole("textbox", { name: "Text to run" }).inputValue()).toBe(text);
  expect(seconds).toBeLessThan(30);
});

test("200 numbers of each view are those of the command line's trace", async () => {
  const explorer = await explorerView();
  const views = await tabs(explorer).allInnerTexts();
  expect(views.length).toBeGreaterThan(6);
  for (const view of views) {
    await tabs(explorer).filter({ hasText: view }).first().click();
    const cells = (await readTables(explorer)).flatMap((table) => cellsOf(table, run, head));
    const chosen = sample(cells, 200);
    console.log(`${view}: ${chosen.length} of ${cells.length} cells`);
    expect.soft({ view, wrong: chosen.filter((cell) => !agrees(cell)).slice(0, 5) }).toEqual({ view, wrong: [] });
  }
});

/** So many of the cells, the same each time. */
function sample(cells: readonly Cell[], count: number): Cell[] {
  const { below } = random(7, "cells");
  const left = [...cells];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(below(left.length), 1)[0] as Cell);
}
