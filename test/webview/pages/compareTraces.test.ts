/** The Compare view in Chromium, on the real engine. */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BUNDLED, describeExplorer, STORY, tableOf } from "./chromium";

describeExplorer((opened) => {
  test("another prompt is compared value by value, and a model with another tokenizer is rejected", async () => {
    const { live, page, tab } = opened();
    const { trace } = await live.show(BUNDLED, STORY);
    const other = `${STORY.slice(0, -1)}n`;
    const beside = await live.engine.call("inspect", { dir: BUNDLED, text: other });
    const { values } = await live.engine.call("compareTraces", { a: trace, b: beside.trace });
    await tab("Compare").click();
    const field = page.getByRole("textbox", { name: "Text to compare with" });
    await field.fill(other);
    await field.press("Enter");
    await page.getByText(`The texts differ from token ${STORY.length - 1} on`).waitFor();
    const rows = await tableOf(page, /^Relative difference/);
    expect(rows.length).toBeGreaterThan(STORY.length);
    for (const [name, position, , relative] of rows) {
      const expected = values.find((value) => value.name === name)?.relative[Number(position)];
      expect(Number(relative)).toBeCloseTo(expected ?? Number.NaN, 5);
    }

    const dir = await mkdtemp(join(tmpdir(), "dlab-pages-"));
    await cp(BUNDLED, dir, { recursive: true });
    const vocabulary = await readFile(join(dir, "tokenizer.json"), "utf8");
    await writeFile(
      join(dir, "tokenizer.json"),
      vocabulary.replace('"O":', '"A?":').replace('"A":', '"O":').replace('"A?":', '"A":'),
    );
    const { name } = (await live.show(dir, STORY)).model;
    await live.show(BUNDLED, STORY);
    await page.getByRole("combobox", { name: "Model to compare with" }).click();
    await page.getByRole("option", { name }).last().click();
    await page.getByText("The models have different vocabularies").waitFor();
    await rm(dir, { recursive: true, force: true });
  });
});
