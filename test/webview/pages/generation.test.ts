/** The Generation view in Chromium, on the real engine. */

import { expect, test } from "vitest";
import { CHARACTERS, chooseMore, describeExplorer, STORY } from "./chromium";

describeExplorer((opened) => {
  test("the labels of the settings take one line each at any panel width, even with longer words", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Generation").click();
    const fields = page.locator(".sampling-fields vscode-text-field");
    await fields.filter({ hasText: "Temperature" }).evaluate((field) => field.append(" (Verteilung der Wörter)"));
    for (const width of [320, 480, 1100]) {
      await page.setViewportSize({ width, height: 800 });
      const [tallest, overflows] = await fields.evaluateAll((all) => {
        const heights = all.map((field) => field.shadowRoot?.querySelector("[part=label]")?.clientHeight ?? 0);
        const { scrollWidth = 0, clientWidth = 0 } = all[0]?.parentElement ?? {};
        return [Math.max(...heights), scrollWidth > clientWidth] as const;
      });
      expect(tallest, `${width}`).toBeGreaterThan(10);
      expect(tallest, `${width}`).toBeLessThan(24);
      expect(overflows, `${width}`).toBe(false);
    }
  });

  test("a generation matches the engine, branches by keyboard, opens in all views and survives a reload", async () => {
    const { live, page, tab } = opened();
    await live.show(CHARACTERS, STORY);
    await tab("Generation").click();
    const shown = page.getByRole("tabpanel", { name: "Generation" });
    const branches = shown.getByRole("treeitem");
    const prompt = (await live.engine.call("tokenize", { dir: CHARACTERS, text: STORY })).map(({ id }) => id);
    const traced = await live.engine.call("generationTrace", { dir: CHARACTERS, prompt, maxNewTokens: 24, count: 10 });
    await shown.getByText("step 1 of 24").waitFor();
    await chooseMore(shown, "Show table");
    const cells = () => shown.locator(".data-table td").allTextContents();
    const columns = 8 + 3 * 10;
    await expect.poll(async () => (await cells()).length).toBe(24 * (columns - 1));
    const cellTexts = await cells();
    traced.steps.forEach((step, i) => {
      const row = cellTexts.slice(i * (columns - 1), (i + 1) * (columns - 1));
      const numbers = [row[1], row[2], row[3], row[4], row[5], row[6], ...row.filter((_, k) => k >= 7 && k % 3 === 0)];
      const { id, probability, entropyBits, kept, drawnWith, top } = step;
      const expected = [id, probability, entropyBits, kept.tokens, kept.mass, drawnWith];
      // Six significant digits are shown, so numbers above 1 have fewer decimals.
      expect(numbers.map(Number), `step ${i}`).toEqual(
        [...expected, ...top.map((each) => each.probability)].map((x) => expect.closeTo(x, x >= 1 ? 4 : 5)),
      );
    });
    await chooseMore(shown, "Hide table");

    // Two steps later, pick the second choice.
    await shown.getByRole("listbox", { name: "Generated tokens" }).getByRole("option", { selected: true }).focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await shown.getByRole("heading", { name: /^Step 3/ }).waitFor();
    await shown.getByRole("list", { name: "Tokens to choose from" }).getByRole("button").nth(1).focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => branches.count()).toBe(2);
    await shown.getByText("You picked this token.").waitFor();
    const other = traced.steps[2]?.top[1]?.id as number;
    const goesOn = [...prompt, ...traced.steps.slice(0, 2).map(({ id }) => id), other];
    const branch = await live.engine.call("generationTrace", {
      dir: CHARACTERS,
      prompt: goesOn,
      maxNewTokens: 21,
      count: 1,
    });
    await shown.getByRole("button", { name: "Open this text in all views" }).click();
    await shown.getByText("The step that is shown is the selected token").waitFor();
    const run = await page.getByRole("textbox", { name: "Prompt" }).inputValue();
    expect(run.endsWith(branch.text)).toBe(true);
    await expect.poll(() => live.selected.at(-1)?.token).toBe(prompt.length + 2);

    await page.reload();
    await live.show(CHARACTERS, run);
    await shown.getByText("You picked this token.").waitFor();
    expect(await branches.count()).toBe(2);
    await shown.getByRole("button", { name: "Back to the prompt" }).click();
    await shown.getByRole("button", { name: "Back to the prompt" }).waitFor({ state: "hidden" });
  });

  test("the steps of a completion equal those of a repeated generation", async () => {
    const { live, page, tab } = opened();
    const text = "The fox ran";
    const prompt = (await live.engine.call("tokenize", { dir: CHARACTERS, text })).map(({ id }) => id);
    const sampling = { temperature: 1, topK: 3, topP: 1, seed: 7 };
    const made = await live.engine.call("generate", { dir: CHARACTERS, prompt: text, maxNewTokens: 6, ...sampling });
    const completion = { prompt, ids: made.ids, shown: made.text, sampling };
    await tab("Generation").click();
    await live.show(CHARACTERS, text, completion);
    await page.getByText("These steps generated the same 6 tokens.").waitFor();
    await live.show(CHARACTERS, text, { ...completion, ids: made.ids.map((id, i) => (i === 3 ? id ^ 1 : id)) });
    await page.getByText("These steps differ after 3 of its 6 tokens").waitFor();
  });
});
