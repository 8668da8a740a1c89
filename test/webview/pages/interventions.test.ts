/** The Interventions view in Chromium, on the real engine. */

import { expect, test } from "vitest";
import { BUNDLED, describeExplorer, SOON, STORY, tableOf } from "./chromium";

describeExplorer((opened) => {
  test("ablating a head by keyboard shows the engine's numbers before and after, and in every view once applied", async () => {
    const { live, page, tab } = opened();
    const { trace } = await live.show(BUNDLED, STORY);
    await page
      .getByRole("listbox", { name: "Tokens of the text" })
      .getByRole("option", { selected: true })
      .press("End");
    await tab("Interventions").click();
    await page.getByRole("application", { name: /Factor of each part/ }).press("Enter");
    const off = [{ kind: "scale", part: { kind: "head", layer: 0, head: 0 }, factor: 0 }] as const;
    const changed = await live.engine.call("intervene", { trace, interventions: off });
    const { divergence } = await live.engine.call("compareTraces", { a: trace, b: changed.trace });
    const read = (title: RegExp) => tableOf(page, title);
    await expect.poll(async () => (await read(/^Next token/)).length, SOON).toBeGreaterThan(9);
    for (const [id = "", , , after] of await read(/^Next token/)) {
      const { found } = await live.engine.call("findTokens", { trace: changed.trace, query: `#${id}`, count: 1 });
      expect(Number(after)).toBeCloseTo(found[0]?.probability ?? Number.NaN, 5);
    }
    await expect.poll(async () => (await read(/^Divergence/)).length, SOON).toBe(divergence.length);
    for (const [i, [, , bits]] of (await read(/^Divergence/)).entries())
      expect(Number(bits)).toBeCloseTo(divergence[i] ?? 0, 5);

    await page.getByRole("button", { name: "Sweep" }).click();
    await page.getByText("20 forward passes done").waitFor();
    const rows = await read(/^Effect on the probability/);
    const swept = rows.find(([, , layer, head]) => layer === "0" && head === "0");
    const best = (await read(/^Next token/))[0];
    expect(swept?.slice(5, 7)).toEqual(best?.slice(2, 4));

    await page.getByRole("button", { name: "Apply to all views" }).click();
    const chips = page.getByRole("group", { name: "Active interventions" });
    await chips.getByText("layer 0, head 0 ablated").waitFor();
    // The button is disabled after the click, so the focus moves.
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    expect(await focused()).toMatch(/^Factor of each part/);

    await tab("Compare").click();
    const text = page.getByRole("textbox", { name: "Text to compare with" });
    await text.press("Enter");
    await page.getByText("Both traces are the same.").waitFor();
    await text.fill("Once upon a tree");
    await text.press("Enter");
    await page.getByText("“this text” has interventions applied.").waitFor();
    await text.fill("");

    await tab("Interventions").click();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByText("No interventions yet.").waitFor();
    await chips.waitFor({ state: "hidden" });
    expect(await focused()).toMatch(/^Factor of each part/);
  });

  test("a value patched after the last layer brings the other prompt's prediction with it", async () => {
    const { live, page, tab } = opened();
    await live.show(BUNDLED, STORY);
    const strip = page.getByRole("listbox", { name: "Tokens of the text" });
    await strip.getByRole("option", { selected: true }).press("End");
    await tab("Interventions").click();
    const { nextToken, model } = await live.engine.call("inspect", { dir: BUNDLED, text: "The fox ran." });
    const field = page.getByRole("textbox", { name: "Text to patch from" });
    await field.fill("The fox ran.");
    await field.press("Enter");
    await page.getByRole("spinbutton", { name: "Position in the other text" }).fill("11");
    await page.getByRole("combobox", { name: "Layer", exact: true }).click();
    await page.getByRole("option", { name: `layer ${model.config.nLayers - 1}` }).click();
    await page.getByRole("button", { name: "Patch", exact: true }).click();
    const furthest = async () => {
      const after = new Map((await tableOf(page, /^Next token/)).map(([id, , , value]) => [Number(id), Number(value)]));
      const best = nextToken.top.slice(0, 10);
      return Math.max(...best.map(({ id, probability }) => Math.abs((after.get(id) ?? 1) - probability)));
    };
    await expect.poll(furthest, SOON).toBeLessThan(1e-5);
  });
});
