/** The Prompts view in Chromium, on the real engine. */

import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, expectAccessible, SOON, STORY } from "./chromium";

describeExplorer((opened) => {
  const prompts = ["Once upon a time", "The fox ran.", "There was a ☃"];

  test("a set is imported, named, scored with the engine's numbers, sorted, and saved as CSV", async () => {
    const { live, page, tab } = opened();
    const { trace } = await live.show(CHARACTERS, STORY);
    await tab("Prompts").click();
    live.imported.push(...prompts);
    await page.getByRole("button", { name: "Import…" }).click();
    await page.getByText("3 prompts added.").waitFor();
    await page.getByRole("textbox", { name: "Name of the set" }).fill("Tales");
    await page.getByRole("button", { name: "Save as" }).click();
    await page.getByText("Saved. Changes of this set").waitFor();

    const { found } = await live.engine.call("findTokens", { trace, query: "#5", count: 1 });
    const field = page.getByRole("textbox", { name: "Token to add as a column" });
    await field.fill("#5");
    await field.press("Enter");
    await page.getByRole("columnheader", { name: "#5" }).waitFor();
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.getByText("3 prompts, 2 scored · 1 failed").waitFor();
    const table = page.getByRole("region", { name: "Scores of the prompts" });
    const cells = () =>
      table
        .locator("tbody tr")
        .evaluateAll((rows) =>
          rows.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.innerText)),
        );
    expect((await cells()).map(([number, prompt]) => [number, prompt])).toEqual(
      prompts.map((text, i) => [`${i + 1}`, text]),
    );
    expect((await cells())[2]?.[2]).toMatch(/☃/);

    await page.getByRole("button", { name: "Save CSV" }).click();
    const { name, data } = live.saved.at(-1) ?? { name: "", data: new Uint8Array() };
    expect(name).toBe("Tales.csv");
    const lines = new TextDecoder().decode(data).trim().split("\r\n");
    expect(lines).toHaveLength(4);
    for (const [i, text] of prompts.slice(0, 2).entries()) {
      const inspected = await live.engine.call("inspect", { dir: CHARACTERS, text });
      const [best] = inspected.nextToken.top;
      const { surprisal } = await live.engine.call("expectations", { trace: inspected.trace });
      const bits = surprisal.slice(1).reduce((sum, each) => sum + each, 0);
      const row = (lines[i + 1] ?? "").split(",");
      expect([row[1], Number(row[2]), Number(row[3])]).toEqual([text, inspected.tokens.length, best?.id]);
      expect(Number(row[5])).toBeCloseTo(best?.probability ?? 0, 5);
      expect(Number(row[6])).toBeCloseTo((bits * Math.LN2) / (inspected.tokens.length - 1), 5);
      const ranked = await live.engine.call("findTokens", { trace: inspected.trace, query: "#5", count: 1 });
      expect(Number(row[7])).toBeCloseTo(ranked.found[0]?.probability ?? 0, 5);
    }
    expect(lines[0]).toContain(`probability of #5 ${found[0]?.token}`);

    const byLoss = page.getByRole("columnheader", { name: "loss per token" });
    await byLoss.getByRole("button").press("Enter");
    const losses = async () => (await cells()).map((row) => row[5]);
    const ascending = await losses();
    expect(await byLoss.getAttribute("aria-sort")).toBe("ascending");
    await page.keyboard.press("Enter");
    expect(await byLoss.getAttribute("aria-sort")).toBe("descending");
    expect(await losses()).toEqual([ascending[1], ascending[0], undefined]);
    await expectAccessible(page);
  });

  test("a set is opened again after a reload, changed in place, and deleted", async () => {
    const { live, page } = opened();
    await page.reload();
    await live.show(CHARACTERS, STORY);
    const lines = page.getByRole("textbox", { name: "Prompts, one per line" });
    await expect.poll(() => lines.inputValue(), SOON).toBe(prompts.join("\n"));
    await page.getByRole("columnheader", { name: "#5" }).waitFor();
    await lines.fill("Once\nThe cat↵sat");
    await lines.blur();
    const picker = page.getByRole("combobox", { name: "Set of prompts" });
    await picker.click();
    await page.getByRole("option", { name: "not saved" }).click();
    await expect.poll(() => lines.inputValue()).toBe("");
    await picker.click();
    await page.getByRole("option", { name: "Tales" }).click();
    await expect.poll(() => lines.inputValue()).toBe("Once\nThe cat↵sat");
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByText("Deleted.").waitFor();
    expect(await lines.inputValue()).toBe("Once\nThe cat↵sat");
    await page.getByRole("button", { name: "Once", exact: true }).click();
    await expect.poll(() => page.getByRole("textbox", { name: "Prompt", exact: true }).inputValue(), SOON).toBe("Once");
  });
});
