/** The Compare view in Chromium, on the real engine. */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, STORY, tableOf } from "./chromium";

describeExplorer((opened) => {
  test("a prompt with one more token is compared token by token, and a model with another tokenizer is rejected", async () => {
    const { live, page, tab } = opened();
    const { trace, tokens } = await live.show(CHARACTERS, STORY);
    const other = STORY.replace("upon", "upon, upon");
    const beside = await live.engine.call("inspect", { dir: CHARACTERS, text: other });
    const { positions, values, divergence } = await live.engine.call("compareTraces", { a: trace, b: beside.trace });
    await page
      .getByRole("listbox", { name: "Tokens of the text" })
      .getByRole("option", { selected: true })
      .press("End");
    await tab("Compare").click();
    const field = page.getByRole("textbox", { name: "Text to compare with" });
    await field.fill(other);
    await field.press("Enter");
    const more = beside.tokens.length - tokens.length;
    await page.getByText(`0 of this text and ${more} of the other have no counterpart`).waitFor();
    const rows = await tableOf(page, /^Relative difference/);
    expect(rows.length).toBeGreaterThan(STORY.length);
    for (const [name, position, , relative] of rows) {
      const expected = values.find((value) => value.name === name)?.relative[Number(position)];
      expect(Number(relative)).toBeCloseTo(expected ?? Number.NaN, 5);
    }

    const strip = await tableOf(page, /^Divergence/);
    expect(strip.map(([, , , position]) => Number(position))).toEqual([...positions.b]);
    expect(positions.b.at(-1)).toBe(beside.tokens.length - 1);
    for (const [i, [, , bits]] of strip.entries()) expect(Number(bits)).toBeCloseTo(divergence[i] ?? Number.NaN, 5);
    // Both lenses are those after the last token.
    await page
      .getByRole("heading", {
        name: new RegExp(`^Logit lens after .* at ${tokens.length - 1}, and after .* at ${beside.tokens.length - 1}$`),
      })
      .waitFor();

    const dir = await mkdtemp(join(tmpdir(), "dlab-pages-"));
    await cp(CHARACTERS, dir, { recursive: true });
    const vocabulary = await readFile(join(dir, "tokenizer.json"), "utf8");
    await writeFile(
      join(dir, "tokenizer.json"),
      vocabulary.replace('"O":', '"A?":').replace('"A":', '"O":').replace('"A?":', '"A":'),
    );
    const { name } = (await live.show(dir, STORY)).model;
    await live.show(CHARACTERS, STORY);
    await page.getByRole("combobox", { name: "Model to compare with" }).click();
    await page.getByRole("option", { name }).last().click();
    await page.getByText("The models have different vocabularies").waitFor();
    await rm(dir, { recursive: true, force: true });
  });
});
