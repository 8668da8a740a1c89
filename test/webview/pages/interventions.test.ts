/** The Interventions view in Chromium, on the real engine. */

import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, expectAccessible, SOON, STORY, tableOf } from "./chromium";

describeExplorer((opened) => {
  test("ablating a head by keyboard shows the engine's numbers before and after, and in every view once applied", async () => {
    const { live, page, tab } = opened();
    const { trace } = await live.show(CHARACTERS, STORY);
    await page
      .getByRole("listbox", { name: "Tokens of the text" })
      .getByRole("option", { selected: true })
      .press("End");
    await tab("Interventions").click();
    const parts = page.getByRole("grid", { name: /Parts of the model/ });
    await parts.press("Enter");
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
    await page.getByText("28 forward passes done").waitFor();
    const rows = await read(/^Effect on the probability/);
    const swept = rows.find(([, , layer, head]) => layer === "0" && head === "0");
    const best = (await read(/^Next token/))[0];
    expect(swept?.slice(5, 7)).toEqual(best?.slice(2, 4));

    await tab("Compare").click();
    const chips = page.getByRole("group", { name: "Active interventions" }).filter({ visible: true });
    await chips.getByText("layer 0, head 0 ablated").waitFor();
    const text = page.getByRole("textbox", { name: "Text to compare with" });
    await text.press("Enter");
    await page.getByText("Both traces are the same.").waitFor();
    await text.fill("Once upon a tree");
    await text.press("Enter");
    await page.getByText("“this text” has interventions applied.").waitFor();
    await text.fill("");
    await chips.getByRole("button", { name: "Remove all" }).click();
    await page.getByText("has interventions applied.").waitFor({ state: "hidden" });
    await tab("Interventions").click();
    await page.getByText("No interventions yet.").waitFor();
  });

  test("a screen reader hears each part with its state, and the menu scales it", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Interventions").click();
    const parts = page.getByRole("grid", { name: /^(Parts of the model|Effect on)/ });
    const spoken = () => parts.getByRole("gridcell").innerText();
    await parts.press("Control+Home");
    await parts.press("End");
    expect(await spoken()).toMatch(/^layer 0: unchanged /);
    expect(await parts.getByRole("row").getAttribute("aria-rowindex")).toBe("1");
    expect(await parts.getByRole("gridcell").getAttribute("aria-colindex")).toBe("7");
    await parts.press("ArrowLeft");
    await parts.press("Space");
    await expect.poll(spoken).toMatch(/^layer 0 MLP: ablated /);
    await parts.press("Space");
    await expect.poll(spoken).toMatch(/^layer 0 MLP: unchanged /);

    await parts.press("Shift+F10");
    const menu = page.getByRole("menu", { name: "layer 0 MLP" });
    await menu.getByRole("menuitem", { name: "Ablate" }).press("ArrowDown");
    await menu.getByRole("menuitem", { name: "Scale × 0.5" }).press("Enter");
    const chips = page.getByRole("group", { name: "Active interventions" }).filter({ visible: true });
    await chips.getByText("layer 0 MLP × 0.5").waitFor();
    expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("grid");
    await parts.press("Shift+F10");
    await expectAccessible(page);
    await menu.getByRole("menuitem", { name: "Ablate" }).press("Escape");
    await menu.waitFor({ state: "detached" });
    await chips.getByRole("button", { name: "Remove all" }).click();
  });

  test("keys and buttons undo and redo, and a reload keeps interventions, a patch, and the undo history", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Interventions").click();
    const shown = () => page.getByRole("group", { name: "Active interventions" }).filter({ visible: true });
    const list = () => shown().getByRole("listitem").allInnerTexts();
    const button = (name: string) => shown().getByRole("button", { name, exact: true });
    const parts = page.getByRole("grid", { name: /^(Parts of the model|Effect on)/ });
    await parts.press("Control+Home");
    await parts.press("Enter");
    const slider = page.getByRole("slider", { name: "Factor" });
    const place = await slider.boundingBox();
    for (const factor of ["0.9", "0.7", "0.5"]) {
      await slider.evaluate((node, value) => {
        (node as HTMLInputElement).value = value;
        node.dispatchEvent(new Event("input", { bubbles: true }));
      }, factor);
      // The slider stays under the pointer that drags it.
      expect(await slider.boundingBox()).toEqual(place);
    }
    await slider.dispatchEvent("change");
    const half = ["layer 0, head 0 × 0.5\n×"];
    await expect.poll(list).toEqual(half);
    await page.keyboard.press("Control+z");
    await expect.poll(list).toEqual(["layer 0, head 0 ablated\n×"]);
    await page.keyboard.press("Control+Shift+z");
    await expect.poll(list).toEqual(half);
    await button("Undo").click();
    await button("Undo").click();
    await expect.poll(list).toEqual([]);
    await page.keyboard.press("Control+y");
    await page.keyboard.press("Control+y");
    await expect.poll(list).toEqual(half);
    const field = page.getByRole("textbox", { name: "Text to patch from" });
    await field.fill("The fox ran.");
    await field.press("Enter");
    await page.getByRole("button", { name: "Patch", exact: true }).click();
    const both = [
      ...half,
      expect.stringMatching(/^blocks\.0\.residPost at \d+ patched from “The fox ran\.” at \d+\n×$/),
    ];
    await expect.poll(list).toEqual(both);
    // The field's own undo, not the interventions'.
    await field.press("Control+z");
    expect(await list()).toEqual(both);
    const divergence = () => tableOf(page, /^Divergence/);
    await expect.poll(async () => (await divergence()).length, SOON).toBe(STORY.length);
    const before = await divergence();

    await page.reload();
    await live.show(CHARACTERS, STORY);
    await expect.poll(list, SOON).toEqual(both);
    await expect.poll(divergence, SOON).toEqual(before);
    await button("Undo").click();
    await expect.poll(list).toEqual(half);
    await button("Remove all").click();
  });

  test("a value patched after the last layer brings the other prompt's prediction with it", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    const strip = page.getByRole("listbox", { name: "Tokens of the text" });
    await strip.getByRole("option", { selected: true }).press("End");
    await tab("Interventions").click();
    const { nextToken, model } = await live.engine.call("inspect", { dir: CHARACTERS, text: "The fox ran." });
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
