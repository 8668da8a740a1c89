import { expect, test, vi } from "vitest";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer, type TraceScope } from "../../../src/engine/inspect/tracer";
import { Session } from "../../../src/engine/runtime/session";
import { placeWeights } from "../../../src/engine/runtime/weights";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const { nHeads: H, dModel: D, vocabSize: V } = tinyConfig;
const K = D / H;

async function traced(rows: readonly (readonly number[])[], scope?: TraceScope) {
  const { cfg, weights } = await tinyModel();
  return new Tracer(cfg, weights).trace(rows, scope);
}
const get = (trace: Awaited<ReturnType<typeof traced>>, name: string) => trace.get(name) as TraceValue;

test("a trace has every value by its name, batch first", async () => {
  const [B, T] = [2, 7];
  const trace = await traced([someIds(T), someIds(T, V, 9)]);
  const shapes = Object.fromEntries([...trace].map(([name, { shape }]) => [name, shape.join()]));
  const block = (l: number) => ({
    ...Object.fromEntries(
      ["residPre", "attnOut", "residMid", "mlpOut", "residPost"].map((n) => [`blocks.${l}.${n}`, `${B},${T},${D}`]),
    ),
    ...Object.fromEntries(["q", "k", "v", "z"].map((n) => [`blocks.${l}.attn.${n}`, `${B},${H},${T},${K}`])),
    ...Object.fromEntries(["scores", "pattern"].map((n) => [`blocks.${l}.attn.${n}`, `${B},${H},${T},${T}`])),
  });
  expect(shapes).toEqual({
    ids: `${B},${T}`,
    mask: `${B},${T}`,
    embed: `${B},${T},${D}`,
    posEmbed: `${B},${T},${D}`,
    ...block(0),
    ...block(1),
    lnFinal: `${B},${T},${D}`,
    logits: `${B},${T},${V}`,
  });
});

test("a position never sees a later one", async () => {
  const pattern = get(await traced([someIds(9)]), "blocks.1.attn.pattern");
  for (let h = 0; h < H; h++) {
    for (let query = 0; query < 9; query++) {
      const row = pattern.data.subarray((h * 9 + query) * 9, (h * 9 + query + 1) * 9);
      expect(row.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
      expect([...row.subarray(query + 1)].every((p) => p === 0)).toBe(true);
    }
  }
});

test("attention and MLP outputs are the differences of the residual stream", async () => {
  const trace = await traced([someIds(6)]);
  const sum = (a: string, b: string) => get(trace, a).data.map((x, i) => x + (get(trace, b).data[i] as number));
  expect(largestDifference(sum("embed", "posEmbed"), get(trace, "blocks.0.residPre").data)).toBeLessThan(1e-6);
  expect(
    largestDifference(sum("blocks.0.residPre", "blocks.0.attnOut"), get(trace, "blocks.0.residMid").data),
  ).toBeLessThan(1e-6);
  expect(
    largestDifference(sum("blocks.0.residMid", "blocks.0.mlpOut"), get(trace, "blocks.0.residPost").data),
  ).toBeLessThan(1e-6);
  expect(largestDifference(get(trace, "blocks.0.residPost").data, get(trace, "blocks.1.residPre").data)).toBe(0);
});

test("padding does not change the values of real positions", async () => {
  const [short, long] = [someIds(5), someIds(11, V, 8)];
  const [both, alone] = [await traced([short, long]), await traced([short])];
  expect([...get(both, "mask").data]).toEqual([
    ...Array.from({ length: 11 }, (_, t) => +(t < 5)),
    ...Array(11).fill(1),
  ]);
  const logits = get(both, "logits").data.subarray(0, 5 * V);
  expect(largestDifference(logits, get(alone, "logits").data)).toBeLessThan(1e-5);
});

test("a light trace has the whole trace's logits after each row's last token", async () => {
  const rows = [someIds(7), someIds(4, V, 9)];
  const [light, whole] = [await traced(rows, "light"), await traced(rows)];
  expect(get(light, "logits").shape).toEqual([2, 1, V]);
  const [after, all] = [get(light, "logits").data, get(whole, "logits").data];
  expect(largestDifference(after.subarray(0, V), all.subarray(6 * V, 7 * V))).toBeLessThan(1e-5);
  expect(largestDifference(after.subarray(V), all.subarray((7 + 3) * V, (7 + 4) * V))).toBeLessThan(1e-5);
});

test("keys and values have nKvHeads heads, queries and patterns nHeads", async () => {
  const { cfg, weights } = await tinyModel(modernConfig);
  const trace = await new Tracer(cfg, weights).trace([someIds(7), someIds(3)]);
  const heads = ["q", "k", "v", "scores", "pattern", "z"].map((name) => get(trace, `blocks.1.attn.${name}`).shape[1]);
  expect(heads).toEqual([4, 2, 2, 4, 4, 4]);
  expect(trace.has("posEmbed")).toBe(false);
});

test("a model with NaN weights fails and names the first wrong value", async () => {
  const { cfg, params } = await tinyModel();
  params.get("blocks.1.fc.weight")?.fill(Number.NaN, 5, 6);
  const tracer = new Tracer(cfg, await placeWeights(cfg, params, "cpu"));
  await expect(tracer.trace([someIds(5)])).rejects.toThrow(
    "The model computes values that are not numbers, first in blocks.1.mlpOut. Its weights are damaged: download or import them again.",
  );
});

test("a position attends only to its window", async () => {
  const { cfg, weights } = await tinyModel({ ...tinyConfig, windows: [3, null] });
  const trace = await new Tracer(cfg, weights).trace([someIds(9)]);
  for (const layer of [0, 1]) {
    const row = get(trace, `blocks.${layer}.attn.pattern`).data.subarray(8 * 9, 9 * 9);
    expect([...row].map((p) => p > 0)).toEqual(Array.from({ length: 9 }, (_, key) => layer === 1 || key > 5));
  }
});

test("one compiled graph serves texts of any length", async () => {
  const { cfg, weights } = await tinyModel();
  const create = vi.spyOn(Session, "create");
  const tracer = new Tracer(cfg, weights);
  const long = await tracer.trace([someIds(40)]);
  const short = await tracer.trace([someIds(11)]);
  expect(create).toHaveBeenCalledTimes(1);
  create.mockRestore();
  const common = get(long, "logits").data.subarray(0, 11 * V);
  expect(largestDifference(common, get(short, "logits").data)).toBeLessThan(1e-5);
});
