/**
 * Times the Model Explorer at 1,024 tokens of a model with the shape of GPT-2 124M and random weights, in Chromium and on
 * the real engine: `npm run bench:explorer`. Prints each figure beside its target; a slow machine does not fail.
 *
 * Here the page fetches large arrays from this machine, whereas VS Code sends them as messages. That cost is printed
 * separately and is part of every figure that reads values.
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
  const print = (name: string, samples: readonly number[], limit: number | null, unit = "ms") => {
    const median = [...samples].sort((a, b) => a - b)[samples.length >> 1] as number;
    const figure = (value: number) => `${value.toFixed(1)} ${unit}`;
    const wanted = limit === null ? "" : `, should be below ${limit} ${unit}`;
    console.log(`${name}: ${figure(median)}, at most ${figure(Math.max(...samples))}${wanted}`);
  };
  try {
    const files = await bundlePage("explorer", "relayInPage");
    const { page, errors, parcel, show } = await openLiveExplorer(browser, files, "dark", { width: 1200, height: 900 });
    // The page is loaded, and intercepted requests are slower.
    await page.unrouteAll();

    const start = performance.now();
    const info = await show(dir, text);
    const shownAfter = performance.now() - start;
    expect(info.tokens.length).toBeGreaterThan(TOKENS - 8);
    print("first forward pass, including loading the model", [shownAfter], null);
    print("first forward pass by the engine's clock", [info.milliseconds], 3000);
    await page.getByRole("button", { name: /^Logit lens after layer 11/ }).waitFor({ state: "attached" });
    await painted(page);
    print("from the forward pass until the Overview is painted", [performance.now() - start - shownAfter], 1500);
    const opening = performance.now();
    await page.getByRole("tab", { name: "Tokens", exact: true }).click();
    await painted(page);
    print("from a click until Tokens is painted", [performance.now() - opening], 1000);
    const again: number[] = [];
    for (let i = 0; i < 3; i++) again.push((await show(dir, text)).milliseconds);
    print("second forward pass of the same length", again, null);

    print("fetching one pattern, which is part of the figures below", await transferTimes(page, parcel), null);
    await page.getByRole("tab", { name: "Attention", exact: true }).click();
    await page.waitForSelector("[aria-label*='head 0, 1024 ×'], [aria-label*='head 0,']");
    await page.waitForSelector("[data-head='0.0'] canvas[width='40']");
    const near = ["0.1", "0.9", "0.2", "0.11", "0.4"];
    print("switching to a head of the same layer, from click until painted", await switchHeads(page, near, 0), 100);
    const pointedAt = ["7.3", "2.8", "11.5", "4.10", "9.0"];
    print("switching to a head after hovering for 150 ms", await switchHeads(page, pointedAt, 150), 100);
    const unseen = ["3.6", "8.1", "1.11", "10.9", "5.5"];
    print("switching to a head of another layer without prefetching", await switchHeads(page, unseen, 0), 100);
    print("hovering over a pattern, from the move until painted", await hovers(page), 16);
    print("memory of the page", [await memoryOf(page)], 300, "MB");
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
  }
});

/** Resolves once the current drawing is on the screen. */
const painted = (page: Page): Promise<void> =>
  page.evaluate(() => new Promise<void>((done) => requestAnimationFrame(() => setTimeout(done))));

/** Times fetching one attention pattern into the page. */
async function transferTimes(page: Page, parcel: (bytes: Uint8Array) => string): Promise<number[]> {
  const pattern = new Uint8Array(4 * TOKENS * TOKENS);
  const samples: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await page.evaluate(async (address) => (await (await fetch(address)).arrayBuffer()).byteLength, parcel(pattern));
    samples.push(performance.now() - start);
  }
  return samples;
}

/**
 * Times clicks on head thumbnails, each `pointedFor` ms after the pointer entered it. Between clicks it pauses as a person
 * would, so that the view can prefetch the neighbors.
 */
const switchHeads = (page: Page, order: readonly string[], pointedFor: number): Promise<number[]> =>
  page.evaluate(
    async ({ heads, pause }) => {
      const frame = () => new Promise<number>((done) => requestAnimationFrame(done));
      const wait = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));
      const samples: number[] = [];
      for (const each of heads) {
        await wait(1500);
        const button = document.querySelector<HTMLElement>(`[data-head='${each}']`);
        if (!button) throw new Error(`No picture of head ${each}`);
        if (pause > 0) button.dispatchEvent(new PointerEvent("pointerenter"));
        await wait(pause);
        const [layer, head] = each.split(".");
        const start = performance.now();
        button.click();
        while (!document.querySelector(`.heatmap-scroller[aria-label*='layer ${layer}, head ${head},']`)) await frame();
        await frame();
        await wait(0);
        samples.push(performance.now() - start);
      }
      return samples;
    },
    { heads: order, pause: pointedFor },
  );

const hovers = (page: Page): Promise<number[]> =>
  page.evaluate(async () => {
    const scroller = [...document.querySelectorAll<HTMLElement>(".heatmap-scroller[aria-label*='head']")].at(-1);
    if (!scroller) throw new Error("No pattern");
    const target = scroller.querySelector("canvas") as HTMLElement;
    const { left, top } = target.getBoundingClientRect();
    const samples: number[] = [];
    for (let i = 0; i < 60; i++) {
      // Between frames, to time the work and not the wait for the screen.
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const start = performance.now();
      const at = { clientX: left + 60 + 4 * i, clientY: top + 60 + 3 * i, bubbles: true };
      for (const kind of ["pointermove", "mousemove"]) {
        target.dispatchEvent(kind === "mousemove" ? new MouseEvent(kind, at) : new PointerEvent(kind, at));
      }
      // Reading a pixel forces the drawing, which is deferred otherwise.
      for (const canvas of scroller.querySelectorAll("canvas")) canvas.getContext("2d")?.getImageData(0, 0, 1, 1);
      samples.push(performance.now() - start);
    }
    return samples;
  });

/** JavaScript memory after a garbage collection, including array buffers, in MB. */
async function memoryOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const usage = (await session.send("Runtime.getHeapUsage")) as { usedSize: number; backingStorageSize?: number };
  return (usage.usedSize + (usage.backingStorageSize ?? 0)) / 1e6;
}
