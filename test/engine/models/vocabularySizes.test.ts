/** Models whose vocabulary has another size than their tokenizer. */

import { cp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { GREEDY } from "../../../src/engine/generate/sampling";
import { describeModel } from "../../../src/engine/models/describe";
import { openModel } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";
import { openStored, readStored, writeSafetensors } from "../../../src/engine/weights";
import { temporaryFolder } from "../../helpers/storedTensors";

const CHARACTERS = resolve(import.meta.dirname, "../../golden/characters");
const OPTIONS = { ...GREEDY, maxNewTokens: 8, eosIds: [] };
const TEXT = "Once upon a time";

/** The character model with `rows` more or fewer rows in its vocabulary. */
async function resized(rows: number): Promise<{ dir: string; vocabSize: number }> {
  const dir = temporaryFolder();
  await cp(CHARACTERS, dir, { recursive: true });
  const config = JSON.parse(await readFile(join(dir, "config.json"), "utf8"));
  const [field, V] = "vocab_size" in config ? ["vocab_size", config.vocab_size] : ["vocabSize", config.vocabSize];
  const tensors = new Map<string, { dtype: "F32"; shape: readonly number[]; data: Float32Array }>();
  for (const [name, tensor] of await openStored(CHARACTERS)) {
    const data = await readStored(tensor);
    const at = tensor.shape.indexOf(V);
    if (at < 0) tensors.set(name, { dtype: "F32", shape: tensor.shape, data });
    else {
      const shape = tensor.shape.map((n, d) => (d === at ? n + rows : n));
      const [width = 1] = at === 0 ? tensor.shape.slice(1) : [1];
      const columns = at === 0 ? 1 : (tensor.shape[0] as number);
      const changed = new Float32Array(shape.reduce((a, b) => a * b, 1));
      // Padded rows are zero, as after resizing with padding.
      for (let c = 0; c < columns; c++) {
        const row = data.subarray(c * V * width, (c * V + Math.min(V, V + rows)) * width);
        changed.set(row, c * (V + rows) * width);
      }
      tensors.set(name, { dtype: "F32", shape, data: changed });
    }
  }
  await writeSafetensors(join(dir, "model.safetensors"), tensors);
  await writeFile(join(dir, "config.json"), JSON.stringify({ ...config, [field as string]: V + rows }));
  return { dir, vocabSize: V + rows };
}

describe("a vocabulary with padded rows", () => {
  test("shows their ids, which have no text", async () => {
    const { dir, vocabSize } = await resized(8);
    const loaded = await LoadedModel.open(dir, "cpu");
    const id = vocabSize - 1;
    expect(loaded.model.info.notes).toBeUndefined();
    expect(loaded.vocabulary[id]).toBe(`<${id}>`);
    const { text } = await loaded.generate([1, id], OPTIONS);
    expect(typeof text).toBe("string");
    const trace = await loaded.trace([[1, id]]);
    expect(trace.get("logits")!.shape).toEqual([1, 2, vocabSize]);
    const { prompt } = await loaded.generationTrace([1, id], { ...OPTIONS, count: 3 });
    expect(prompt.map(({ token }) => token)[1]).toBe(`<${id}>`);
    await loaded.lens(trace, { positions: [0, 2], count: vocabSize });
    const { tokens } = await loaded.surprisal(TEXT, {
      alternatives: vocabSize,
      signal: new AbortController().signal,
      report: () => {},
    });
    expect(tokens.length).toBeGreaterThan(0);
    await loaded.release();
  });
});

describe("a vocabulary with fewer rows than the tokenizer has tokens", () => {
  test("opens, and only using a missing token is an error", async () => {
    const { dir, vocabSize } = await resized(-1);
    const { info } = await openModel(dir);
    expect(info.notes).toEqual([
      `The tokenizer has ${vocabSize + 1} tokens, but the model only ${vocabSize}: ids from ${vocabSize} fail.`,
    ]);
    expect((await describeModel(dir)).notes).toEqual(info.notes);
    const loaded = await LoadedModel.open(dir, "cpu");
    const { tokenizer } = loaded.model;
    const ids = [...tokenizer.encodePrompt(TEXT)].filter((id) => id < vocabSize);
    const whole = await LoadedModel.open(CHARACTERS, "cpu");
    // The eighth token of the whole model is the missing one.
    const options = { ...OPTIONS, maxNewTokens: 7 };
    const { ids: expected } = await whole.generate(ids, options);
    expect((await loaded.generate(ids, options)).ids).toEqual(expected);
    const missing = `The model has no token ${vocabSize}; its ids are 0 to ${vocabSize - 1}. Remove that token from the text.`;
    await expect(loaded.generate([1, vocabSize], OPTIONS)).rejects.toThrow(missing);
    await expect(loaded.generateBatch([[1], [vocabSize]], OPTIONS)).rejects.toThrow(missing);
    await expect(loaded.trace([[1, vocabSize]])).rejects.toThrow(missing);
    await whole.release();
    await loaded.release();
  });
});
