/** The shell of the Model Explorer in Chromium, and what all of its views have in common. */

import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, expectAccessible, SOON, STORY } from "./chromium";

describeExplorer((opened) => {
  test("no view has accessibility violations in any theme", async () => {
    const { live, page, tab, tabs } = opened();
    await live.show(CHARACTERS, STORY);
    // Two views at a time, since an audit needs a second.
    const names = await tabs();
    for (let i = 0; i < names.length; i += 2) {
      await tab(names[i] as string).click();
      await tab(names[(i + 1) % names.length] as string).click({ modifiers: ["Shift"] });
      await page.waitForTimeout(100);
      // Every view finishes loading, even if there is nothing to compare.
      await expect.poll(() => page.locator(".pane:visible [aria-busy='true']").count(), SOON).toBe(0);
      expect(await page.getByRole("tabpanel").allInnerTexts()).not.toContain("");
      await expectAccessible(page);
      await page.getByRole("button", { name: "One view" }).click();
    }
  }, 120_000);

  test("digits open views, Shift opens them beside the other, and no content is wider than 400 pixels", async () => {
    const { page, tabs } = opened();
    const [first, second] = (await tabs()) as [string, string];
    await page.locator("body").press("1");
    await page.locator("body").press("Shift+2");
    const shown = await page.getByRole("tab", { selected: true }).allInnerTexts();
    expect(shown).toEqual([first, second]);
    await page.setViewportSize({ width: 400, height: 800 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
    await page.setViewportSize({ width: 1100, height: 800 });
    await page.getByRole("button", { name: "Maximize" }).last().click();
    expect(await page.getByRole("tab", { selected: true }).allInnerTexts()).toEqual([second]);
  });

  test("arrow keys open the tab that they reach, and the tabs do not move", async () => {
    const { page, tab, tabs } = opened();
    const [first, second] = (await tabs()) as [string, string];
    await tab(first).click();
    const places = () => page.getByRole("tab").evaluateAll((all) => all.map((each) => each.getBoundingClientRect().x));
    await page.setViewportSize({ width: 620, height: 800 });
    const before = await places();
    await tab(first).press("ArrowRight");
    expect(await page.getByRole("tab", { selected: true }).allInnerTexts()).toEqual([second]);
    expect(await places()).toEqual(before);
    await page.setViewportSize({ width: 1100, height: 800 });
  });

  test("attention has at least half of a small window, its tooltip is inside, and its reading is in words", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Attention").click();
    const panel = page.getByRole("tabpanel", { name: "Attention" });
    const matrix = panel.getByRole("application", { name: /^Attention of layer/ });
    await matrix.waitFor();
    await panel.getByText(/reads (mostly|only) /).waitFor();
    for (const size of [
      { width: 1390, height: 800 },
      { width: 900, height: 500 },
      { width: 420, height: 520 },
    ]) {
      await page.setViewportSize(size);
      await page.waitForTimeout(200);
      await matrix.evaluate((node) => node.scrollIntoView({ block: "center" }));
      const box = (await matrix.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
      const visible = Math.min(size.height, box.y + box.height) - box.y;
      expect(visible / size.height).toBeGreaterThanOrEqual(0.5);
      for (const share of [0.1, 0.98]) {
        await page.mouse.move(box.x + box.width * share, Math.min(box.y + box.height * 0.97, size.height - 3));
        const tip = (await page.locator(".tip:visible").first().boundingBox()) ?? { x: -1, y: -1, width: 0, height: 0 };
        expect(tip.x).toBeGreaterThanOrEqual(0);
        expect(tip.y).toBeGreaterThanOrEqual(0);
        expect(tip.x + tip.width).toBeLessThanOrEqual(size.width);
        expect(tip.y + tip.height).toBeLessThanOrEqual(size.height);
      }
    }
    await page.setViewportSize({ width: 1100, height: 800 });
  });

  test("a token selected in the strip is selected in every view, sent to the host and kept over a reload", async () => {
    const { live, page, tab } = opened();
    const strip = page.getByRole("listbox", { name: "Tokens of the text" });
    await strip.getByRole("option", { selected: true }).press("Home");
    await page.keyboard.press("ArrowRight");
    await tab("Embeddings").click();
    await page.getByRole("heading", { name: /Token “n” at position 1/ }).waitFor();
    await expect.poll(() => live.selected.at(-1)?.token).toBe(1);
    await page.reload();
    await live.show(CHARACTERS, STORY);
    await page.getByRole("heading", { name: /Token “n” at position 1/ }).waitFor();
    expect(await strip.getByRole("option", { selected: true }).innerText()).toBe("n");
  });

  test("a failed question about a new trace leaves nothing of the old trace on the page", async () => {
    const { live, page, tab } = opened();
    const pictures = {
      Embeddings: /^Cosine similarity/,
      Attention: /^Attention of layer/,
      "Logit lens": /^Logit lens/,
      "Hidden states": /^blocks\.\d\.resid\w+\[0, \d+\]/,
    };
    for (const [name, title] of Object.entries(pictures)) {
      await live.show(CHARACTERS, STORY);
      await tab(name).click();
      const panel = page.getByRole("tabpanel", { name });
      const picture = panel.getByRole("application", { name: title });
      await picture.waitFor();
      await tab("Tokens").click();
      const { trace } = await live.show(CHARACTERS, `${STORY}, again`);
      await page.getByRole("tabpanel", { name: "Tokens" }).getByText("23 tokens", { exact: true }).waitFor();
      await live.engine.call("releaseTrace", { trace });
      await tab(name).click();
      await panel.getByRole("button", { name: "Retry" }).first().waitFor();
      await picture.waitFor({ state: "hidden" });
    }
  });

  test("every picture is saved as PNG and as SVG with text, its numbers as JSON with their trace, and heads in sorted order", async () => {
    const { browser, live, page, tab, tabs } = opened();
    // A new text, so that the generation belongs to this trace.
    const text = "Tom had a frog";
    // A page without the strict policy, to parse the files.
    const plain = await browser.newPage();
    const { trace, model } = await live.show(CHARACTERS, text);
    const panel = page.getByRole("tabpanel");
    const menus = panel.locator(".more-button:visible");
    const items = () =>
      menus.evaluateAll((all) =>
        all.map((button) => {
          (button as HTMLElement).click();
          const menu = document.querySelector<HTMLElement>(".menu");
          const text = menu?.innerText;
          menu?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
          return text;
        }),
      );
    const press = async (label: string): Promise<string[]> => {
      const before = live.saved.length;
      const count = await menus.evaluateAll((all, label) => {
        for (const button of all as HTMLElement[]) {
          button.click();
          const items = [...document.querySelectorAll<HTMLElement>("[role=menuitem]")];
          items.find(({ textContent }) => textContent === label)?.click();
        }
        return all.length;
      }, label);
      await expect.poll(() => live.saved.length, SOON).toBe(before + count);
      return live.saved.slice(before).map(({ data }) => new TextDecoder().decode(data));
    };
    const score = { name: "firstToken", label: "first token" } as const;
    const prepare: Readonly<Record<string, () => Promise<void>>> = {
      Architecture: async () => {
        await page
          .getByRole("row", { name: /weight/ })
          .first()
          .click();
        await page.getByText("Histogram").waitFor();
      },
      "Logit lens": () =>
        page.getByRole("button", { name: "Track this token" }).or(page.locator(".lens-top button")).first().click(),
      Attention: async () => {
        await page.getByRole("combobox", { name: "Head score" }).click();
        await page.getByRole("option", { name: score.label, exact: true }).click();
        await page.getByRole("checkbox", { name: "Sort by score" }).click();
      },
      Generation: () => page.getByRole("button", { name: "Stop" }).waitFor({ state: "hidden" }),
    };
    const pictures = new Map<string, number>();
    for (const name of await tabs()) {
      // Interventions and Compare have their own tests, and Prompts has no picture.
      if (["Interventions", "Compare", "Prompts"].includes(name)) continue;
      await tab(name).click();
      await panel.locator(".data-bar:visible").first().waitFor();
      await prepare[name]?.();
      await page.waitForTimeout(100);
      await expect.poll(() => panel.locator("[aria-busy='true']:visible").count(), SOON).toBe(0);
      const bars = await items();
      pictures.set(name, bars.length);
      for (const bar of bars) expect(bar, name).toMatch(/Save CSV.*Save JSON.*Save PNG.*Save SVG/s);
      for (const json of await press("Save JSON")) {
        const { runs, columns, rows } = JSON.parse(json);
        expect(runs, name).toMatchObject([{ model: { name: model.name }, number: trace, text }]);
        for (const row of rows) expect(row.length, name).toBe(columns.length);
        expect(rows.length, name).toBeGreaterThan(0);
      }
      const svgs = await press("Save SVG");
      const texts = await plain.evaluate(
        (files) =>
          files.map((file) => {
            const svg = new DOMParser().parseFromString(file, "image/svg+xml");
            return [...svg.querySelectorAll("text")].map(({ textContent }) => textContent ?? "");
          }),
        svgs,
      );
      // A title or a label, and the model with its trace and the text.
      const origin = [expect.stringContaining(`${model.name}, step 4,000, trace ${trace}`), text];
      for (const words of texts) {
        expect(words.length, name).toBeGreaterThan(2);
        expect(words, name).toEqual(expect.arrayContaining(origin));
      }
      for (const png of await press("Save PNG")) expect(png.slice(1, 4), name).toBe("PNG");
      const pngWidths = live.saved
        .slice(-svgs.length)
        .map(({ data }) => new DataView(data.slice(16, 20).buffer).getUint32(0));
      const svgWidths = svgs.map((svg) => Number(/ width="(\d+)"/.exec(svg)?.[1]));
      // PNGs are written in any order.
      const ascending = (widths: readonly number[]) => [...widths].sort((a, b) => a - b);
      expect(ascending(pngWidths), name).toEqual(ascending(svgWidths.map((width) => 2 * width)));
      if (name !== "Attention") continue;
      const { heads, scores } = await live.engine.call("attentionGrid", { trace, size: 40 });
      const order = [...scores[score.name].keys()].sort((a, b) => scores[score.name][b]! - scores[score.name][a]!);
      const named = texts.map((words) => words.filter((word) => /^L\d+ H\d+$/.test(word)));
      expect(named).toContainEqual(order.map((i) => `L${Math.floor(i / heads)} H${i % heads}`));
    }
    await plain.close();
    expect(Object.fromEntries(pictures)).toEqual({
      Overview: 1,
      Tokens: 1,
      "Next token": 1,
      Architecture: 3,
      Embeddings: 5,
      "Hidden states": 3,
      Attention: 3,
      "Logit lens": 2,
      Generation: 1,
    });
  }, 60_000);
});
