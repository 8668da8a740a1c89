/** The bundled model, which hovers, completions, the Explorer, and the walkthrough start with. */

import { stat } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inRoot } from "../../../scripts/paths";
import { GREEDY } from "../../../src/engine/generate/sampling";
import { LoadedModel } from "../../../src/engine/models/loadedModel";

const dir = inRoot("media", "model");

describe("the bundled model", () => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await LoadedModel.open(dir, "cpu");
  });
  afterAll(() => loaded.release());

  test("is smaller than 4 MB", async () => {
    expect((await stat(inRoot("media", "model", "model.safetensors"))).size).toBeLessThan(4e6);
  });

  test("reads a word of the stories as one token, and a rare word as several", () => {
    const { tokenizer } = loaded.model;
    expect(tokenizer.vocabSize).toBe(1000);
    const texts = (text: string) => tokenizer.spans(text).map(({ start, end }) => text.slice(start, end));
    expect(texts("Once upon a time, Mia had a red ball.")).toEqual([
      "Once",
      " upon",
      " a",
      " time",
      ",",
      " Mia",
      " had",
      " a",
      " red",
      " ball",
      ".",
    ]);
    expect(texts(" dragon").length).toBeGreaterThan(2);
  });

  test.each([
    ["Tom was a happy", " frog"],
    ["Once upon a time, there was a little dog named", " Max"],
    ["Once upon a time, there was a little fox named Tim. He had a red ball and", " took"],
    ["One day, Tim went to the garden to play. When it was time to go home, he could not find the red", " ball"],
    ["There once was a clever frog. His name was", " Tom"],
    ['Tom was a clever frog. Then Tom met his friend Mia, a cat. "Why are you sad?" asked', " Mia"],
    ["There once was a little rabbit. Her name was Lily. One day,", " Lily"],
    ['"Why are you sad?" asked Mia. "I lost my ball', ',"'],
  ])("continues “%s” with “%s”", async (prompt, expected) => {
    const { ids } = await loaded.generate(loaded.model.tokenizer.encodePrompt(prompt), { ...GREEDY, maxNewTokens: 1 });
    expect(loaded.model.tokenizer.decode(ids)).toBe(expected);
  });
});
