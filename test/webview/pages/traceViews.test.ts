/** The views that show one trace, in the Model Explorer in Chromium: their numbers are those of the engine. */

import { expect, test } from "vitest";
import { setTheme } from "../openPage";
import { CHARACTERS, describeExplorer, expectAccessible, STORY, THEMES } from "./chromium";

describeExplorer((opened) => {
  test("a sampler slider reads out what it removes, and the list the probabilities after the selected token", async () => {
    const { live, page, tab } = opened();
    const { nextToken, tokens } = await live.show(CHARACTERS, STORY);
    await tab("Next token").click();
    const list = page.getByRole("list", { name: "Most likely next tokens" });
    const status = page.getByRole("tabpanel", { name: "Next token" }).locator(".readout");
    const { id, probability } = nextToken.top[0]!;
    const own = probability.toPrecision(6);
    const expected = (drawn: string) =>
      `softmax(logits)[0, ${tokens.length - 1}, ${id}] = ${own}\nsampled with ${drawn}\n`;
    await list.getByRole("listitem").first().focus();
    await expect.poll(() => status.textContent()).toContain(expected(own));
    await page.getByRole("slider", { name: "Temperature" }).focus();
    await page.keyboard.press("Home");
    await page.getByText("always the most likely token").waitFor();
    await list.getByRole("listitem").first().focus();
    await expect.poll(() => status.textContent()).toContain(expected("1.00000"));
    await page.getByRole("button", { name: "Reset" }).click();
  });

  test("vectors are compared and projected by keyboard, with the engine's numbers", async () => {
    const { live, page, tab } = opened();
    const { trace, tokens, residualNorms } = await live.show(CHARACTERS, STORY);
    const T = tokens.length;
    await page
      .getByRole("listbox", { name: "Tokens of the text" })
      .getByRole("option", { selected: true })
      .press("End");
    const status = (text: string) => page.getByRole("status").filter({ hasText: text });

    await tab("Embeddings").click();
    const of = { kind: "token", id: tokens[T - 1]?.id ?? 0 } as const;
    const { nearest } = await live.engine.call("neighbors", { trace, of, among: "embeddings", count: 1 });
    const best = nearest[0]!;
    const neighbor = page.locator(".neighbors li").first();
    // Three digits on screen, all on hover.
    await neighbor.getByText(best.cosine.toPrecision(3), { exact: true }).waitFor();
    expect(await neighbor.getAttribute("title")).toContain(`cos = ${best.cosine.toPrecision(6)}`);
    await neighbor.getByRole("button").press("Enter");
    const plot = page.getByRole("application", {
      name: `Principal components, embed, ${T + 1}`,
    });
    await plot.press("End");
    const { coordinates } = await live.engine.call("projection", { trace, name: "embed", ids: [best.id] });
    await status(`input embedding of token #${best.id}`).waitFor();
    expect(await status("input embedding").textContent()).toContain((coordinates[3 * T] as number).toPrecision(6));
    const busy = await page
      .getByRole("button", { name: /^Remove .* from the chart$/ })
      .evaluate((button: HTMLElement) => {
        button.click();
        const parts = document.querySelectorAll(".embedding-part[aria-busy]");
        return Array.from(parts, (part) => part.querySelector("h3")?.textContent);
      });
    expect(busy).toEqual([expect.stringMatching(/^Principal components.*computing…$/)]);
    await expect.poll(() => page.locator("[aria-busy=true]").count()).toBe(0);

    await tab("Hidden states").click();
    const map = page.getByRole("application", { name: "Norm of the residual stream" });
    // The last layer is on top, and the last token at the end.
    await map.press("Control+Home");
    await map.press("End");
    const value = `blocks.${residualNorms.length / T - 2}.residPost[0, ${T - 1}]`;
    const norm = residualNorms.at(-1) as number;
    await status(`‖${value}‖ = ${norm.toPrecision(6)}`).waitFor();
    await map.press("Enter");
    await page.getByRole("heading", { name: value }).waitFor();
    const shown = page.locator(".vector-statistics").getByTitle(norm.toPrecision(6), { exact: true });
    await shown.getByText(norm.toPrecision(3), { exact: true }).waitFor();
  });

  test("a head selected by keyboard shows the engine's pattern, its computation, lines, and shading in the editor", async () => {
    const { live, page, tab } = opened();
    const { trace } = await live.show(CHARACTERS, STORY);
    await tab("Attention").click();
    const shown = page.getByRole("tabpanel", { name: "Attention" });
    await shown.getByRole("group", { name: "All heads" }).getByRole("button", { pressed: true }).press("Home");
    for (const key of ["ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
    const picture = shown.getByRole("application", { name: /^Attention of layer 1, head 1, 16 × 16$/ });
    for (const key of ["Control+Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"]) {
      await picture.press(key);
    }
    const { data } = await live.engine.call("traceTensor", { trace, name: "blocks.1.attn.pattern", head: 1 });
    const row = data.subarray(3 * 16, 3 * 16 + 4);
    const name = "blocks.1.attn.pattern[0, 1, 3, 1]";
    const steps = shown.locator("dl", { hasText: name });
    await steps.waitFor();
    const [, computed] = / = ([\d.e-]+)/.exec(await steps.innerText()) ?? [];
    const [, stored] = / = ([\d.e-]+)/.exec(await steps.locator("dd", { hasText: name }).innerText()) ?? [];
    expect(Number(stored)).toBeCloseTo(row[1] as number, 6);
    expect(Number(computed)).toBeCloseTo(row[1] as number, 6);

    const shade = shown.getByRole("checkbox", { name: /^Shade the text/ });
    await shade.press("Space");
    await expect.poll(() => live.shaded.at(-1)?.length).toBe(16);
    const most = Math.max(...row);
    row.forEach((weight, key) => void expect(live.shaded.at(-1)?.[key]).toBeCloseTo(weight / most, 5));
    await shade.press("Space");
    await expect.poll(() => live.shaded.at(-1)).toBeNull();

    await shown.getByRole("combobox", { name: "Display" }).click();
    await page.getByRole("option", { name: "lines", exact: true }).click();
    await shown.getByRole("application", { name: /as lines/ }).press("Home");
    const status = shown.getByRole("status").filter({ hasText: "lines drawn" });
    expect(await status.textContent()).toContain("blocks.1.attn.pattern[0, 1, 0, 0] = 1");
  });

  test("heads are overlaid with Ctrl+click and by keyboard, named in the legend, and gone with the next choice", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Attention").click();
    const shown = page.getByRole("tabpanel", { name: "Attention" });
    const thumbnail = (layer: number, head: number) =>
      shown.getByRole("button", { name: `Layer ${layer}, head ${head}`, exact: true });
    await thumbnail(0, 0).click();
    await thumbnail(0, 1).click({ modifiers: ["ControlOrMeta"] });
    await shown.getByRole("application", { name: /^Attention of L0 H0, L0 H1, 16 × 16$/ }).waitFor();
    await thumbnail(0, 0).focus();
    for (const key of ["Control+ArrowDown", "Control+Space"]) await page.keyboard.press(key);
    await shown.getByRole("application", { name: /^Attention of L0 H0, L0 H1, L1 H0, 16 × 16$/ }).waitFor();
    expect(await shown.locator(".attention-main .legend:visible").innerText()).toMatch(
      /L0 H0\s*L0 H1\s*L1 H0\s*masked/,
    );
    await expectAccessible(page);
    await thumbnail(1, 1).click({ modifiers: ["Shift"] });
    const swatches = shown.locator(".attention-main .legend:visible .legend-hatch");
    await expect.poll(() => swatches.count()).toBe(5);
    for (const theme of THEMES) {
      await page.evaluate(setTheme(theme));
      await page.waitForTimeout(100);
      const colors = await swatches.evaluateAll((all) =>
        all.map((each) => (getComputedStyle(each).backgroundColor.match(/\d+/g) ?? []).map(Number)),
      );
      for (const [i, a] of colors.entries())
        for (const b of colors.slice(i + 1))
          expect(Math.hypot(...a.map((x, c) => x - (b[c] ?? 0))), theme).toBeGreaterThan(60);
    }
    await page.evaluate(setTheme("dark"));
    await thumbnail(1, 1).click({ modifiers: ["Shift"] });
    await thumbnail(1, 0).press("Control+Space");
    await shown.getByRole("application", { name: /^Attention of L0 H0, L0 H1, 16 × 16$/ }).waitFor();
    await thumbnail(0, 0).click();
    await shown.getByRole("application", { name: /^Attention of layer 0, head 0, 16 × 16$/ }).waitFor();
  });
});
