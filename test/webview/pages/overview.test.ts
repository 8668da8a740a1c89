/** The Overview in Chromium, on the real engine. */

import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, SOON, STORY } from "./chromium";

describeExplorer((opened) => {
  test("it is the first view, and is painted soon", async () => {
    const { live, page } = opened();
    const start = performance.now();
    const { nextToken } = await live.show(CHARACTERS, STORY);
    const traced = performance.now() - start;
    const panel = page.getByRole("tabpanel", { name: "Overview" });
    await panel.locator(".overview-scroller:not([aria-busy])").waitFor();
    await panel.getByRole("button", { name: /^Logit lens after layer 3/ }).waitFor();
    const painted = performance.now() - start - traced;
    console.log(`Overview painted ${painted.toFixed(0)} ms after the trace, which took ${traced.toFixed(0)} ms`);
    const [best] = nextToken.top;
    await panel.getByRole("button", { name: `probability ${best!.probability.toPrecision(6)}` }).waitFor();
  });

  test("each part opens its view by keyboard, with its layer and head", async () => {
    const { live, page, tab } = opened();
    const panel = page.getByRole("tabpanel", { name: "Overview" });
    const doors: readonly [part: RegExp, view: string][] = [
      [/^Token “c” at position 2/, "Tokens"],
      [/^Embedding of “e”/, "Embeddings"],
      [/^Residual stream after layer 1/, "Hidden states"],
      [/^MLP of layer 0/, "Hidden states"],
      [/^Logit lens after layer 2/, "Logit lens"],
      [/^Next token/, "Next token"],
      [/^Attention of layer 2/, "Attention"],
    ];
    for (const [part, view] of doors) {
      await tab("Overview").click();
      const button = panel.getByRole("button", { name: part }).first();
      await button.focus();
      await page.keyboard.press("Enter");
      expect(await page.getByRole("tab", { selected: true }).allInnerTexts(), view).toEqual([view]);
      if (view === "Tokens") await page.getByRole("option", { name: "e", exact: true }).last().click();
    }
    const { trace } = await live.engine.call("inspect", { dir: CHARACTERS, text: STORY });
    const { sources } = await live.engine.call("overview", { trace, position: STORY.length - 1 });
    const head = sources.heads[2 * sources.count];
    await page.getByRole("application", { name: `Attention of layer 2, head ${head}` }).waitFor(SOON);
  });

  test("arrow keys move between parts, whose numbers appear beside them", async () => {
    const { page, tab } = opened();
    await tab("Overview").click();
    const panel = page.getByRole("tabpanel", { name: "Overview" });
    const button = (name: RegExp) => panel.getByRole("button", { name });
    await button(/^Attention of layer 1/).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    expect(await button(/^MLP of layer 1/).evaluate((node) => node === document.activeElement)).toBe(true);
    expect(await panel.locator(".tooltip").innerText()).toMatch(/^MLP of layer 1\nadds a vector of norm \d/);
    await page.keyboard.press("Escape");
    await panel.locator(".tooltip").waitFor({ state: "hidden" });
  });

  test("Play shows one token after the other, until it is paused", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, "Tom");
    await tab("Overview").click();
    const panel = page.getByRole("tabpanel", { name: "Overview" });
    await page.emulateMedia({ reducedMotion: "reduce" });
    const before = live.selected.length;
    await panel.getByRole("button", { name: "Play" }).click();
    await panel.getByRole("button", { name: "Pause" }).waitFor();
    await panel.getByRole("button", { name: "Play" }).waitFor(SOON);
    expect(live.selected.slice(before).map(({ token }) => token)).toEqual([0, 1, 2]);
    await panel.getByRole("button", { name: "Play" }).click();
    await panel.getByRole("button", { name: "Embedding of “T”" }).waitFor();
    await panel.getByRole("button", { name: "Pause" }).click();
    await page.waitForTimeout(2000);
    expect(live.selected.at(-1)?.token).toBe(0);
    await page.emulateMedia({ reducedMotion: null });
  });

  test("an explanation that was closed stays behind its button after a reload", async () => {
    const { live, page, tab } = opened();
    const panel = page.getByRole("tabpanel", { name: "Overview" });
    const text = panel.getByText("The stream of the selected token");
    const button = panel.getByRole("button", { name: "Explanation" });
    await text.waitFor();
    await button.press("Enter");
    await text.waitFor({ state: "hidden" });
    await page.reload();
    await live.show(CHARACTERS, STORY);
    await tab("Logit lens").click();
    await page.getByRole("tabpanel", { name: "Logit lens" }).getByText("Read upward").waitFor();
    await tab("Overview").click();
    expect(await button.getAttribute("aria-expanded")).toBe("false");
    expect(await text.isVisible()).toBe(false);
    await button.press("Enter");
    await text.waitFor();
  });
});
