import { describe, expect, test } from "vitest";
import { input, type Node } from "../../../src/engine/graph/node";
import { sizeOf } from "../../../src/engine/graph/shape";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { initParams, paramSpecs } from "../../../src/engine/nn/params";
import { pack, packNodes, segmentsOf, unpack, unpackNodes } from "../../../src/engine/train/segments";
import { evaluate } from "../../helpers/evaluate";
import { goldenDecoders } from "../../helpers/golden";

/** Has parameters larger than a segment, and more small ones than fit in one. */
const wide: DecoderConfig = {
  ...(goldenDecoders[0]?.config as DecoderConfig),
  vocabSize: 3000,
  nLayers: 6,
  nHeads: 4,
  nKvHeads: 4,
  dModel: 128,
  dHead: 32,
  dEmbed: 128,
  dMlp: 512,
  attentionBias: true,
  outBias: true,
};
const configs = [["wide", wide] as const, ...goldenDecoders.map(({ name, config }) => [name, config] as const)];

describe("segments", () => {
  test.each(configs)("%s: contain every parameter exactly once", (_name, config) => {
    const specs = paramSpecs(config);
    const packed = segmentsOf(specs).flatMap(({ params }) => params);
    expect(packed.map(({ name }) => name).sort()).toEqual(specs.map(({ name }) => name).sort());
  });

  test.each(configs)(
    "%s: matrices decay, embeddings, norms and biases do not, and they never share",
    (_name, config) => {
      for (const { params, decays } of segmentsOf(paramSpecs(config))) {
        for (const { name, role } of params) expect(role === "matrix" || role === "residualMatrix", name).toBe(decays);
      }
    },
  );

  test("have sizes and names that add up", () => {
    const segments = segmentsOf(paramSpecs(wide));
    for (const { size, params } of segments) expect(size).toBe(params.reduce((n, { shape }) => n + sizeOf(shape), 0));
    expect(new Set(segments.map(({ name }) => name)).size).toBe(segments.length);
  });

  test("contain many small parameters or one large parameter", () => {
    const segments = segmentsOf(paramSpecs(wide));
    expect(
      segments.find(({ params }) => params.some(({ name }) => name === "embed.tokens.weight"))?.params,
    ).toHaveLength(1);
    expect(segments.length).toBeLessThan(paramSpecs(wide).length / 4);
    for (const { size, params } of segments) if (params.length > 1) expect(size).toBeLessThanOrEqual(1 << 18);
  });
});

describe("packing", () => {
  const params = initParams(wide, "xavier", 1);
  const segments = segmentsOf(paramSpecs(wide));

  test("and unpacking returns the parameters as views", () => {
    const flat = pack(segments, params);
    const unpacked = unpack(segments, flat);
    expect([...unpacked.keys()].sort()).toEqual([...params.keys()].sort());
    for (const [name, values] of params) expect(unpacked.get(name)).toEqual(values);
    (flat[0] as Float32Array)[0] = 42;
    expect(unpacked.get(segments[0]?.params[0]?.name ?? "")?.[0]).toBe(42);
  });

  test("names the parameter that is missing or has the wrong size", () => {
    const broken = new Map(params).set("blocks.3.fc.bias", new Float32Array(5));
    expect(() => pack(segments, broken)).toThrow("pack: blocks.3.fc.bias has 5 elements, not [512]");
    broken.delete("blocks.3.fc.bias");
    expect(() => pack(segments, broken)).toThrow("pack: blocks.3.fc.bias has undefined elements");
  });

  test("in a graph equals packing outside it", () => {
    const { config, params } = goldenDecoders[0] as (typeof goldenDecoders)[number];
    const small = segmentsOf(paramSpecs(config));
    const vectors = small.map(({ name, size }) => input(name, [size]));
    const flat = pack(small, params);
    const feeds = Object.fromEntries(small.map(({ name }, i) => [name, flat[i] as Float32Array]));

    const nodes = unpackNodes(small, vectors);
    const names = [...params.keys()];
    const values = evaluate(names.map(nodes), feeds);
    names.forEach((name, i) => {
      expect(values[i], name).toEqual(Float64Array.from(params.get(name) as Float32Array));
    });

    const packed = evaluate(
      small.map((segment) => packNodes(segment, (name): Node => nodes(name))),
      feeds,
    );
    expect(packed).toEqual(flat.map((vector) => Float64Array.from(vector)));
  });
});
