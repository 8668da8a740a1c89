/** Requests of the Model Explorer, through the protocol, on a character model. */

import { resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { EngineApi, TraceInfo } from "../../src/protocol/engineApi";
import { type Client, connect, serve } from "../../src/protocol/rpc";
import type { Intervention } from "../../src/protocol/traceApi";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";

const dir = resolve(import.meta.dirname, "../golden/characters");
let engine: Client<EngineApi, Record<never, never>>;
let plain: TraceInfo;
beforeAll(async () => {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  engine = connect<EngineApi>(ours);
  plain = await engine.call("inspect", { dir, text: "The cat and" });
});

test("an intervened trace lists its interventions, and one with none equals the original", async () => {
  const other = await engine.call("inspect", { dir, text: "A dog" });
  const interventions: Intervention[] = [
    { kind: "scale", part: { kind: "head", layer: 0, head: 1 }, factor: 0 },
    { kind: "patch", value: { kind: "mlpOut", layer: 1 }, position: 2, from: { trace: other.trace, position: 4 } },
  ];
  const changed = await engine.call("intervene", { trace: plain.trace, interventions });
  expect(changed).toMatchObject({ interventions, tokens: plain.tokens, values: plain.values });
  expect(changed.nextToken.top).not.toEqual(plain.nextToken.top);
  const of = ({ trace }: TraceInfo, name: string, head?: number) =>
    engine.call("traceTensor", { trace, name, ...(head !== undefined && { head }) });
  expect((await of(changed, "blocks.0.attn.z", 1)).data.every((x) => x === 0)).toBe(true);
  const D = plain.model.config.dModel;
  const row = async (trace: TraceInfo, t: number) =>
    (await of(trace, "blocks.1.mlpOut")).data.slice(t * D, (t + 1) * D);
  expect(await row(changed, 2)).toEqual(await row(other, 4));

  const same = await engine.call("intervene", { trace: changed.trace, interventions: [] });
  expect(same.nextToken).toEqual(plain.nextToken);
  expect(same.residualNorms).toEqual(plain.residualNorms);
});

test("the lens ends in the model's own next token and has the text of every token", async () => {
  const T = plain.tokens.length;
  const lens = await engine.call("lens", { trace: plain.trace, positions: [T - 2, T], count: 5, token: 3 });
  const [first] = plain.nextToken.top;
  const last = lens.depths.length * 2 - 1;
  expect(lens.depths.at(-1)).toBe(`blocks.${plain.model.config.nLayers - 1}.residPost`);
  expect(lens.ids[last * 5]).toBe(first?.id);
  expect(lens.probabilities[last * 5]).toBeCloseTo(first?.probability as number, 5);
  expect(lens.entropies[last]).toBeCloseTo(plain.nextToken.entropyBits, 4);
  expect(lens.tracked?.ranks.length).toBe(last + 1);
  expect([...lens.ids].every((id) => lens.tokens[id] !== undefined)).toBe(true);
});

test("the parts of a logit sum to it, with interventions too", async () => {
  const changed = await engine.call("intervene", {
    trace: plain.trace,
    interventions: [{ kind: "scale", part: { kind: "layer", layer: 2 }, factor: 0 }],
  });
  const asked = { position: plain.tokens.length - 1, token: plain.nextToken.top[0]?.id as number };
  const attribution = await engine.call("attribution", { trace: changed.trace, ...asked });
  const sum = attribution.parts.reduce((total, { value }) => total + value, 0);
  expect(sum + attribution.remainder).toBeCloseTo(attribution.logit, 6);
  expect(Math.abs(attribution.remainder)).toBeLessThan(1e-4);
  const ofLayer = attribution.parts.filter(({ layer }) => layer === 2);
  expect(ofLayer.length).toBeGreaterThan(0);
  expect(ofLayer.every(({ value }) => value === 0)).toBe(true);
});

test("the sampler at any position agrees with generation and with the lens", async () => {
  const { trace, tokens, model } = plain;
  const position = tokens.length - 2;
  const settings = { temperature: 0.7, topK: 40, topP: 0.9, minP: 0.05 };
  const sampler = await engine.call("sampler", { trace, position, count: 10, ids: [3], ...settings });
  const lens = await engine.call("lens", { trace, positions: [position, position + 1], count: 10 });
  const last = lens.depths.length - 1;
  expect(sampler.model.top.map(({ id }) => id)).toEqual([...lens.ids.slice(last * 10)]);
  expect(sampler.model.entropyBits).toBeCloseTo(lens.entropies[last] as number, 4);
  const { found } = await engine.call("findTokens", { trace, query: "#3", count: 1, position });
  const named = sampler.model.top.find(({ id }) => id === 3);
  if (named) expect(found[0]).toEqual(named);
  expect(sampler.cuts.reduce((sum, { removed }) => sum + removed, 0)).toBeLessThan(1);
  expect(sampler.cuts.map(({ tokens: left }) => left)[1]).toBe(40);
  expect(sampler.kept.tokens).toBe(sampler.cuts.at(-1)?.tokens);

  // The first step of a generation from the same position.
  const prompt = tokens.slice(0, position + 1).map(({ id }) => id);
  const generated = await engine.call("generationTrace", {
    dir,
    prompt,
    count: 10,
    maxNewTokens: 1,
    seed: 1,
    ...settings,
  });
  const [step] = generated.steps;
  const drawn = sampler.model.top.findIndex(({ id }) => id === step?.id);
  expect(sampler.drawn[drawn]).toBeCloseTo(step?.drawnWith as number, 4);
  expect(sampler.kept).toMatchObject({ tokens: step?.kept.tokens, mass: expect.closeTo(step?.kept.mass as number, 4) });

  const ask = (temperature: number) =>
    engine.call("sampler", { trace, position, count: 200, temperature, topK: 0, topP: 1, minP: 0 });
  const own = await ask(1);
  expect(own.kept).toEqual({ tokens: model.config.vocabSize, mass: 1 });
  expect(own.drawnEntropyBits).toBeCloseTo(own.model.entropyBits, 6);
  const greedy = await ask(0);
  expect([greedy.drawn[0], greedy.drawn[1], greedy.kept.tokens, greedy.drawnEntropyBits]).toEqual([1, 0, 1, 0]);
});

test("the expectations of a trace equal the surprisal of its text and change with interventions", async () => {
  const expected = await engine.call("expectations", { trace: plain.trace });
  const { surprisal, entropy, rank } = await engine.call("surprisal", { dir, text: "The cat and", alternatives: 1 });
  const T = plain.tokens.length;
  expect(expected.surprisal.length).toBe(T);
  expect(expected.surprisal[0]).toBeNaN();
  for (let t = 1; t < T; t++) {
    expect(expected.surprisal[t]).toBeCloseTo(surprisal.at(t - T) as number, 4);
    expect(expected.entropy[t]).toBeCloseTo(entropy.at(t - T) as number, 4);
    expect(expected.rank[t]).toBe(rank.at(t - T));
  }
  const part = { kind: "layer", layer: 1 } as const;
  const changed = await engine.call("intervene", {
    trace: plain.trace,
    interventions: [{ kind: "scale", part, factor: 0 }],
  });
  expect((await engine.call("expectations", { trace: changed.trace })).surprisal).not.toEqual(expected.surprisal);
});
