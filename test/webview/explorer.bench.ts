/**
 * How long the Explorer takes at 1,024 tokens of a model of GPT-2 124M's shape with random weights, in Chromium and on
 * the real engine: `npm run bench:explorer`. Prints each figure beside what it should be; a slow machine is no failure.
 *
 * Large arrays reach this page by fetch from this machine; the editor hands them over as messages. What that costs is
 * printed by itself, and is in every figure that fetches values.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeRandomModel } from "../../src/cli/bench/models";
import { saveTokenizer, trainBytePairs } from "../../src/engine/tokenizers";
import { openLiveExplorer } from "./liveExplorer";
import { bundlePage, launch } from "./openPage";

const TOKENS = 1024;

let dir: string;
let text: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-bench-"));
  await writeRandomModel(dir, "gpt2", "F32");
  const sample = (await readFile(join(import.meta.dirname, "../../samples/stories.txt"), "utf8")).slice(0, 60_000);
  const tokenizer = await trainBytePairs([sample], { vocabSize: 1000 });
  await saveTokenizer(tokenizer, dir);
  text = tokenizer.decode(tokenizer.encode(sample).slice(0, TOKENS));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("the Explorer at 1,024 tokens of GPT-2 124M's shape", async () => {
  const browser = await launch();
  const tell = (what: string, samples: readonly number[], limit: number | null, unit = "ms") => {
    const median = [...samples].sort((a, b) => a - b)[samples.length >> 1] as number;
    const figure = (value: number) => `${value.toFixed(1)} ${unit}`;
    const wanted = limit === null ? "" : `, should be below ${limit} ${unit}`;
    console.log(`${what}: ${figure(median)}, at most ${figure(Math.max(...samples))}${wanted}`);
  };
  try {
    const files = await bundlePage("explorer", "relayInPage");
    const { page, errors, parcel, show } = await openLiveExplorer(browser, files, "dark", { width: 1200, height: 900 });
    // All of the page is there; requests that go through the routes take longer.
    await page.unrouteAll();

    const began = performance.now();
    const info = await show(dir, text);
    const shownAfter = performance.now() - began;
    expect(info.tokens.length).toBeGreaterThan(TOKENS - 8);
    tell("first forward pass, opening the model included", [shownAfter], null);
    tell("first forward pass by the engine's clock", [info.milliseconds], 3000);
    await page.getByRole("tab", { name: "Tokens", exact: true }).click();
    await painted(page);
    tell("opening after the forward pass, to Tokens painted", [performance.now() - began - shownAfter], 1000);
    const again: number[] = [];
    for (let i = 0; i < 3; i++) again.push((await show(dir, text)).milliseconds);
    tell("forward pass of the same length again", again, null);

    tell("of every fetched value: handing over one pattern", await handingOver(page, parcel), null);
    await page.getByRole("tab", { name: "Attention", exact: true }).click();
    await page.waitForSelector("[aria-label*='head 0, 1024 ×'], [aria-label*='head 0,']");
    await page.waitForSelector("[data-head='0.0'] canvas[width='40']");
    const near = ["0.1", "0.9", "0.2", "0.11", "0.4"];
    tell("switching to a head of the same layer, from click to painted", await switchHeads(page, near, 0), 100);
    const pointedAt = ["7.3", "2.8", "11.5", "4.10", "9.0"];
    tell("to a head pointed at for 150 ms before the click", await switchHeads(page, pointedAt, 150), 100);
    const unseen = ["3.6", "8.1", "1.11", "10.9", "5.5"];
    tell("to a head of another layer, nothing of it fetched before", await switchHeads(page, unseen, 0), 100);
    tell("hovering over a pattern, from the move to painted", await hovers(page), 16);
    tell("the page's memory", [await memoryOf(page)], 300, "MB");
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
  }
});

/** Once what was drawn is on the screen: the frame after it has begun. */
const painted = (page: Page): Promise<void> =>
  page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => setTimeout(done))));

/** What a pattern's way into the page takes by itself. */
async function handingOver(page: Page, parcel: (bytes: Uint8Array) => string): Promise<number[]> {
  const pattern = new Uint8Array(4 * TOKENS * TOKENS);
  const samples: number[] = [];
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    await page.evaluate(async (address) => (await (await fetch(address)).arrayBuffer()).byteLength, parcel(pattern));
    samples.push(performance.now() - began);
  }
  return samples;
}

/**
 * Chooses heads in small, each a while after the pointer has come to it, and looks at each for a moment, as a person
 * does; meanwhile the view may fetch those beside it.
 */
const switchHeads = (page: Page, order: readonly string[], pointedFor: number): Promise<number[]> =>
  page.evaluate(
    async ({ places, pause }) => {
      const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
      const wait = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));
      const samples: number[] = [];
      for (const place of places) {
        await wait(1500);
        const button = document.querySelector<HTMLElement>(`[data-head='${place}']`);
        if (!button) throw new Error(`there is no picture of head ${place}`);
        if (pause > 0) button.dispatchEvent(new PointerEvent("pointerenter"));
        await wait(pause);
        const [layer, head] = place.split(".");
        const began = performance.now();
        button.click();
        while (!document.querySelector(`.heatmap-scroller[aria-label*='layer ${layer}, head ${head},']`)) await frame();
        await frame();
        await wait(0);
        samples.push(performance.now() - began);
      }
      return samples;
    },
    { places: order, pause: pointedFor },
  );

const hovers = (page: Page): Promise<number[]> =>
  page.evaluate(async () => {
    const scroller = [...document.querySelectorAll<HTMLElement>(".heatmap-scroller[aria-label*='head']")].at(-1);
    if (!scroller) throw new Error("there is no pattern");
    const target = scroller.querySelector("canvas") as HTMLElement;
    const { left, top } = target.getBoundingClientRect();
    const samples: number[] = [];
    for (let i = 0; i < 60; i++) {
      // Between frames, so that only the work counts and not the wait for the screen.
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const began = performance.now();
      const at = { clientX: left + 60 + 4 * i, clientY: top + 60 + 3 * i, bubbles: true };
      for (const kind of ["pointermove", "mousemove"]) {
        target.dispatchEvent(kind === "mousemove" ? new MouseEvent(kind, at) : new PointerEvent(kind, at));
      }
      // Drawing to a canvas is put off until somebody reads it or the frame ends.
      for (const canvas of scroller.querySelectorAll("canvas")) canvas.getContext("2d")?.getImageData(0, 0, 1, 1);
      samples.push(performance.now() - began);
    }
    return samples;
  });

/** After a collection, in megabytes: JavaScript's objects, array buffers included. */
async function memoryOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const usage = (await session.send("Runtime.getHeapUsage")) as { usedSize: number; backingStorageSize?: number };
  return (usage.usedSize + (usage.backingStorageSize ?? 0)) / 1e6;
}
