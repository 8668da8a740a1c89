import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bundleOf, translatedCalls } from "../scripts/l10n";
import { inRoot } from "../scripts/paths";

const calls = await translatedCalls();

test("the bundle for translators has the sentences of the sources: `npm run l10n` writes it", async () => {
  expect(calls.flatMap(({ sentences }) => sentences).length).toBeGreaterThan(800);
  expect(await readFile(inRoot("l10n", "bundle.l10n.json"), "utf8")).toBe(bundleOf(calls));
});

test("every translated sentence is a string literal, which the script can find", () => {
  const computed = calls.filter(
    ({ file, sentences, count }) => sentences.length !== count && !file.endsWith("strings.ts"),
  );
  expect(computed.map(({ file }) => file)).toEqual([]);
});
