import { resolve } from "node:path";
import { expect, test } from "vitest";
import { LoadedModel } from "../../../src/engine/models/loadedModel";

const MODEL = resolve(import.meta.dirname, "../../golden/characters");
const SAMPLING = { temperature: 0.8, topK: 5, topP: 0.9, seed: 3, maxNewTokens: 12 };

test("a recorded generation equals an unrecorded one", async () => {
  const loaded = await LoadedModel.open(MODEL, "cpu");
  const prompt = "The ";
  const ids = loaded.model.tokenizer.encodePrompt(prompt);
  const plain = await loaded.generate(ids, SAMPLING);
  const told: number[] = [];
  const trace = await loaded.generationTrace(prompt, { ...SAMPLING, count: 8 }, ({ id }) => told.push(id));
  expect(trace.steps.map(({ id }) => id)).toEqual(plain.ids);
  expect(told).toEqual(plain.ids);
  expect(trace).toMatchObject({ text: plain.text, reason: "length" });
  expect(trace.prompt.map(({ id }) => id)).toEqual(ids);

  for (const [i, step] of trace.steps.entries()) {
    // Temperature keeps the order, so the model's own distribution shows which tokens the filters keep.
    const kept = step.top.slice(0, step.kept.tokens);
    expect(step.kept.tokens).toBeLessThanOrEqual(5);
    expect(step.kept.mass).toBeCloseTo(
      kept.reduce((sum, { probability }) => sum + probability, 0),
      6,
    );
    const tempered = (p: number) => p ** (1 / SAMPLING.temperature);
    const total = kept.reduce((sum, { probability }) => sum + tempered(probability), 0);
    expect(kept.map(({ id }) => id)).toContain(step.id);
    expect(step.drawnWith).toBeCloseTo(tempered(step.probability) / total, 5);
    // A step's distribution is that of a forward pass over the tokens before it.
    if (i !== 4) continue;
    const before = [...ids, ...plain.ids.slice(0, i)];
    const branch = await loaded.generationTrace(before, { ...SAMPLING, temperature: 0, maxNewTokens: 1, count: 8 });
    expect(branch.prompt.map(({ token }) => token).join("")).toBe(prompt + plain.text.slice(0, i));
    expect(branch.steps[0]).toMatchObject({ id: step.top[0]?.id, kept: { tokens: 1 }, drawnWith: 1 });
    expect(branch.steps[0]?.entropyBits).toBeCloseTo(step.entropyBits, 4);
  }
  await loaded.release();
});
