import { describe, expect, test } from "vitest";
import { sizeOf } from "../../../src/engine/graph/shape";
import { type ClassicConfig, classicDecoder } from "../../../src/engine/nn/config";
import { countParameters, initParams, paramNodes, paramSpecs } from "../../../src/engine/nn/params";

/** The adder of the notebook that introduced it. */
const adderConfig: ClassicConfig = {
  vocabSize: 18,
  nCtx: 11,
  nLayers: 2,
  nHeads: 4,
  dModel: 128,
  dMlp: 256,
  norm: "post",
  finalNorm: true,
  normEps: 1e-5,
  normBias: true,
  activation: "relu",
  attentionBias: false,
  mlpBias: true,
  tiedHead: false,
  headBias: true,
};
const adder = classicDecoder(adderConfig);
const withBiases = classicDecoder({ ...adderConfig, attentionBias: true });

describe("the number of parameters", () => {
  test("of the adder is 270,226", () => expect(countParameters(adder)).toBe(270_226));

  test("counts a tied head once", () => {
    expect(countParameters(adder) - countParameters({ ...adder, tiedHead: true })).toBe(18 * 128);
  });

  test("of GPT-2 is 124,439,808", () => {
    const sizes = { vocabSize: 50257, nCtx: 1024, nLayers: 12, nHeads: 12, dModel: 768, dMlp: 3072 };
    const gpt2 = classicDecoder({ ...adderConfig, ...sizes, attentionBias: true, tiedHead: true, headBias: false });
    expect(countParameters(gpt2)).toBe(124_439_808);
    expect(countParameters({ ...gpt2, qkv: "fused" })).toBe(124_439_808);
  });
});

describe("initialized parameters", () => {
  const shapes = new Map(paramSpecs(adder).map((spec) => [spec.name, spec]));

  test.each(["xavier", "gpt2"] as const)(
    "%s: every parameter has its size, and is the same for the same seed",
    (init) => {
      const params = initParams(adder, init, 7);
      expect([...params].map(([name, { length }]) => [name, length])).toEqual(
        paramSpecs(adder).map(({ name, shape }) => [name, sizeOf(shape)]),
      );
      expect(initParams(adder, init, 7)).toEqual(params);
      const other = initParams(adder, init, 8);
      for (const [name, values] of params) {
        const drawn = values.some((x) => x !== values[0]);
        expect(
          other.get(name)?.every((x, i) => x === values[i]),
          name,
        ).toBe(!drawn);
      }
    },
  );

  test("no two parameters have the same values", () => {
    const firsts = [...initParams(withBiases, "xavier", 1)]
      .filter(([name]) => !name.includes("ln"))
      .map(([, values]) => values[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });

  test.each(["xavier", "gpt2"] as const)("%s: norms start as the identity", (init) => {
    const params = initParams(adder, init, 1);
    for (const [name, values] of params) {
      if (name.includes("ln"))
        expect(
          values.every((x) => x === (name.endsWith("weight") ? 1 : 0)),
          name,
        ).toBe(true);
    }
  });

  test("xavier: matrices and embeddings are uniform in ±sqrt(6 / (rows + columns))", () => {
    for (const [name, values] of initParams(adder, "xavier", 1)) {
      const shape = shapes.get(name)?.shape ?? [];
      if (shape.length < 2) continue;
      const bound = Math.sqrt(6 / ((shape[0] as number) + (shape[1] as number)));
      expectUniform(name, values, bound);
    }
  });

  test("xavier: biases are uniform in ±1 / sqrt(rows) of their matrix", () => {
    const params = initParams(withBiases, "xavier", 1);
    for (const name of ["blocks.0.q.bias", "blocks.1.o.bias", "blocks.0.fc.bias"])
      expectUniform(name, params.get(name) as Float32Array, 1 / Math.sqrt(128));
    for (const name of ["blocks.0.proj.bias", "blocks.1.proj.bias"])
      expectUniform(name, params.get(name) as Float32Array, 1 / Math.sqrt(256));
    expectUniform("head.bias", params.get("head.bias") as Float32Array, 1 / Math.sqrt(128));
  });

  test("gpt2: normal with deviation 0.02, smaller for projections into the residual stream, biases 0", () => {
    for (const [name, values] of initParams(adder, "gpt2", 1)) {
      const role = shapes.get(name)?.role;
      if (role === "bias")
        expect(
          values.every((x) => x === 0),
          name,
        ).toBe(true);
      if (shapes.get(name)?.shape.length !== 2) continue;
      const deviation = role === "residualMatrix" ? 0.02 / Math.sqrt(2 * adder.nLayers) : 0.02;
      const { mean, rms, share } = statistics(values, deviation);
      const error = 4 / Math.sqrt(values.length);
      expect(Math.abs(mean / deviation), name).toBeLessThan(error);
      expect(Math.abs(rms / deviation - 1), name).toBeLessThan(error);
      // 68.3 % of a normal distribution is within one standard deviation.
      expect(Math.abs(share - 0.683), name).toBeLessThan(error);
    }
    expect(shapes.get("blocks.1.o.weight")?.role).toBe("residualMatrix");
    expect(shapes.get("blocks.1.proj.weight")?.role).toBe("residualMatrix");
  });

  test("are finite", () => {
    for (const values of initParams(adder, "gpt2", 3).values()) expect(values.every(Number.isFinite)).toBe(true);
  });
});

test("an unknown parameter name is an error", () => {
  expect(() => paramNodes(new Map())("blocks.9.q.weight")).toThrow("the model has no parameter blocks.9.q.weight");
});

/** Checks for a uniform distribution in ±bound: range, extremes, mean and deviation. */
function expectUniform(name: string, values: Float32Array, bound: number): void {
  const { mean, rms, largest } = statistics(values, bound);
  const error = 4 / Math.sqrt(values.length);
  expect(largest, name).toBeLessThanOrEqual(Math.fround(bound));
  expect(largest / bound, name).toBeGreaterThan(1 - 10 / values.length);
  expect(Math.abs(mean / bound), name).toBeLessThan(error);
  expect(Math.abs((rms * Math.sqrt(3)) / bound - 1), name).toBeLessThan(error);
}

function statistics(values: Float32Array, unit: number) {
  const n = values.length;
  return {
    mean: values.reduce((sum, x) => sum + x, 0) / n,
    rms: Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / n),
    largest: values.reduce((max, x) => Math.max(max, Math.abs(x)), 0),
    share: values.filter((x) => Math.abs(x) < unit).length / n,
  };
}
