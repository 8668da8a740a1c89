/** What the Explorer asks of a run, through the protocol and on the model that the extension brings. */

import { resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { EngineApi, TraceInfo } from "../../src/protocol/engineApi";
import { type Client, connect, serve } from "../../src/protocol/rpc";
import type { Intervention } from "../../src/protocol/traceApi";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";

const dir = resolve(import.meta.dirname, "../../media/model");
let engine: Client<EngineApi, Record<never, never>>;
let plain: TraceInfo;
beforeAll(async () => {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  engine = connect<EngineApi>(ours);
  plain = await engine.call("inspect", { dir, text: "The cat and" });
});

test("a changed run is a trace that says how, and one changed by nothing is the same as before", async () => {
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

test("the lens ends in the run's own next token, with the text of every token it tells", async () => {
  const T = plain.tokens.length;
  const lens = await engine.call("lens", { trace: plain.trace, positions: [T - 2, T], count: 5, token: 3 });
  const [first] = plain.nextToken.top;
  const last = lens.places.length * 2 - 1;
  expect(lens.places.at(-1)).toBe(`blocks.${plain.model.config.nLayers - 1}.residPost`);
  expect(lens.ids[last * 5]).toBe(first?.id);
  expect(lens.probabilities[last * 5]).toBeCloseTo(first?.probability as number, 5);
  expect(lens.entropies[last]).toBeCloseTo(plain.nextToken.entropyBits, 4);
  expect(lens.tracked?.ranks.length).toBe(last + 1);
  expect([...lens.ids].every((id) => lens.tokens[id] !== undefined)).toBe(true);
});

test("what the parts of a run add to a logit is all of it, also of a run that was changed", async () => {
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
