import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import type { OnnxGraph, OnnxTensor } from "../../../src/engine/runtime/onnx";
import { Session } from "../../../src/engine/runtime/session";
import { openStored, readStored, type TensorToWrite, writeSafetensors } from "../../../src/engine/weights";
import {
  type Bits,
  dequantize,
  quantizeFolder,
  quantizeMatrix,
  relativeError,
} from "../../../src/engine/weights/quantize";

const normals = (count: number, label: string) => Float32Array.from({ length: count }, random(1, label).normal);

describe.each<Bits>([8, 4])("%i bits", (bits) => {
  test("no value is off by more than half a step, except opposite the extreme with 4 bits", () => {
    const values = normals(6 * 96, "values");
    const quantized = quantizeMatrix(values, [6, 96], bits);
    dequantize(quantized, bits).forEach((value, i) => {
      const step = Math.abs(quantized.scales[i >> 5]!);
      // 4 bits range from -8 to 7: values opposite the extreme may be clipped by up to a whole step.
      expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(step * (bits === 8 ? 0.5001 : 1.0001));
    });
  });

  test("the largest value of a block, of either sign, and zero are exact", () => {
    const values = normals(64, "extremes");
    values[5] = -9;
    values[40] = 9;
    values[7] = values[41] = 0;
    const back = dequantize(quantizeMatrix(values, [2, 32], bits), bits);
    for (const i of [5, 7, 40, 41]) expect(back[i]).toBeCloseTo(values[i]!, 6);
  });

  test("zeros and the smallest numbers never become NaN", () => {
    const values = new Float32Array(64);
    values.fill(1e-45, 32);
    const back = dequantize(quantizeMatrix(values, [2, 32], bits), bits);
    expect(back.every((x) => x === 0 || Math.abs(x) < 1e-43)).toBe(true);
  });

  test.each([64, 256])("a transposed matrix with rows of %i values gets the same codes", (width) => {
    const rows = 5;
    const values = normals(rows * width, "transposed");
    const columns = Float32Array.from(values, (_, i) => values[(i % rows) * width + Math.floor(i / rows)]!);
    const quantized = quantizeMatrix(values, [rows, width], bits);
    expect(quantizeMatrix(columns, [rows, width], bits, true)).toEqual(quantized);
    expect(relativeError(columns, [rows, width], quantized, bits, true)).toBeCloseTo(
      relativeError(values, [rows, width], quantized, bits),
      12,
    );
  });
});

test("with 8 bits, blocks have 128 values if rows are a multiple of that, else 32", () => {
  const scalesOf = (width: number, bits: Bits) => quantizeMatrix(normals(2 * width, "w"), [2, width], bits).scales;
  expect([256, 96, 64].map((width) => scalesOf(width, 8).length / 2)).toEqual([2, 3, 2]);
  expect(scalesOf(256, 4).length / 2).toBe(8);
});

test("8-bit codes have an offset of 128, and the scale is the largest value divided by 127", () => {
  const values = Float32Array.from({ length: 32 }, (_, i) => i - 15);
  const { codes, scales } = quantizeMatrix(values, [1, 32], 8);
  expect(scales[0]).toBeCloseTo(16 / 127, 7);
  expect([codes[0], codes[15], codes[16], codes[31]]).toEqual([128 - 119, 128, 136, 255]);
});

test("4-bit codes have an offset of 8, the first of a pair in the low half, and the extreme is -8", () => {
  const values = new Float32Array(32);
  values.set([8, -7, 1, 0, -1, 2]);
  const { codes, scales } = quantizeMatrix(values, [1, 32], 4);
  expect(scales[0]).toBe(-1);
  expect([...codes.slice(0, 4)]).toEqual([0xf0, 0x87, 0x69, 0x88]);
});

test("the relative error is the RMS of the difference divided by the RMS of the values", () => {
  const values = normals(4096, "error");
  const of = (bits: Bits) => {
    const quantized = quantizeMatrix(values, [32, 128], bits);
    const back = dequantize(quantized, bits);
    const sum = (f: (i: number) => number) => values.reduce((total, _, i) => total + f(i) ** 2, 0);
    const expected = Math.sqrt(sum((i) => values[i]! - back[i]!) / sum((i) => values[i]!));
    expect(relativeError(values, [32, 128], quantized, bits)).toBeCloseTo(expected, 9);
    return expected;
  };
  expect(of(8)).toBeLessThan(0.007);
  expect(of(4)).toBeGreaterThan(0.05);
  expect(of(4)).toBeLessThan(0.12);
});

test.each<Bits>([8, 4])(
  "onnxruntime multiplies by %i-bit matrices and looks up their rows in this layout",
  async (bits) => {
    const [rows, width] = [5, 64];
    const quantized = quantizeMatrix(normals(rows * width, "weights"), [rows, width], bits);
    const matrix = dequantize(quantized, bits);
    const blocks = width / 32;
    const codes: Omit<OnnxTensor, "name" | "shape"> = { type: "uint8", data: quantized.codes };
    const graph: OnnxGraph = {
      name: "blocks",
      inputs: [
        { name: "x", type: "float32", shape: [2, width] },
        { name: "ids", type: "int32", shape: [3] },
      ],
      outputs: [
        { name: "product", type: "float32", shape: [2, rows] },
        { name: "found", type: "float32", shape: [3, width] },
      ],
      initializers: [
        { ...codes, name: "matrix", shape: [rows, blocks, 4 * bits] },
        { ...codes, name: "table", shape: [rows, (width * bits) / 8] },
        { name: "scales", type: "float32", shape: [rows, blocks], data: quantized.scales },
      ],
      nodes: [
        {
          op: "MatMulNBits",
          domain: "com.microsoft",
          inputs: ["x", "matrix", "scales"],
          outputs: ["product"],
          attributes: { N: rows, K: width, bits, block_size: 32 },
        },
        {
          op: "GatherBlockQuantized",
          domain: "com.microsoft",
          inputs: ["table", "ids", "scales"],
          outputs: ["found"],
          attributes: { gather_axis: 0, quantize_axis: 1, block_size: 32, bits },
        },
      ],
    };
    const x = normals(2 * width, "x");
    const session = await Session.create(graph, "cpu");
    const { product, found } = await session.compute({ x, ids: Int32Array.of(4, 0, 4) });
    await session.release();

    const row = (n: number) => matrix.subarray(n * width, (n + 1) * width);
    const expected = [0, 1].flatMap((b) =>
      Array.from({ length: rows }, (_, n) => row(n).reduce((sum, w, k) => sum + w * x[b * width + k]!, 0)),
    );
    product!.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 4);
    });
    expect([...found!]).toEqual([...row(4), ...row(0), ...row(4)]);
  },
);

describe("a folder", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "quantize-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const out = () => join(dir, "out");
  const f32 = (shape: number[], data: Float32Array): TensorToWrite => ({ shape, dtype: "F32", data });
  async function save(tensors: Record<string, TensorToWrite>): Promise<void> {
    await writeFile(join(dir, "config.json"), JSON.stringify({ model_type: "gpt2", n_embd: 64 }));
    await writeSafetensors(join(dir, "model.safetensors"), new Map(Object.entries(tensors)));
  }
  const model = () => ({
    "wte.weight": f32([7, 64], normals(7 * 64, "wte")),
    "fc.weight": f32([64, 5], normals(5 * 64, "fc")),
    "odd.weight": f32([4, 33], normals(4 * 33, "odd")),
    "ln.weight": { shape: [3], dtype: "BF16", data: Uint16Array.of(0x3f80, 0xbf80, 0) } as TensorToWrite,
    ids: { shape: [], dtype: "I64", data: BigInt64Array.of(7n) } as TensorToWrite,
  });
  const choose = (name: string) => (name === "fc.weight" ? { transpose: true } : /wte|odd|ln/.test(name));

  test("gets the chosen matrices quantized, other tensors copied, and a report", async () => {
    const tensors = model();
    await save(tensors);
    const fractions: number[] = [];
    const report = await quantizeFolder(dir, out(), 4, choose, { onProgress: (f) => fractions.push(f) });

    const stored = await openStored(out());
    expect(stored.get("wte.weight")).toMatchObject({ dtype: "U8", shape: [7, 2, 16] });
    expect(stored.get("wte.weight.scales")).toMatchObject({ dtype: "F32", shape: [7, 2] });
    expect(stored.get("fc.weight")).toMatchObject({ dtype: "U8", shape: [5, 2, 16] });
    expect(stored.get("odd.weight")).toMatchObject({ dtype: "F32", shape: [4, 33] });
    expect(stored.get("ids")).toMatchObject({ dtype: "I64", shape: [] });
    expect([...(await readStored(stored.get("ln.weight")!))]).toEqual([1, -1, 0]);
    expect(await readStored(stored.get("odd.weight")!)).toEqual(tensors["odd.weight"].data);

    const fc = quantizeMatrix(tensors["fc.weight"].data as Float32Array, [5, 64], 4, true);
    expect(await readStored(stored.get("fc.weight.scales")!)).toEqual(fc.scales);
    const { file, offset, length } = stored.get("fc.weight")!;
    expect(new Uint8Array(await readFile(file)).slice(offset, offset + length)).toEqual(fc.codes);

    expect(Object.keys(report.tensors).sort()).toEqual(["fc.weight", "wte.weight"]);
    expect(report.tensors["fc.weight"]).toEqual({
      shape: [5, 64],
      relativeError: relativeError(tensors["fc.weight"].data as Float32Array, [5, 64], fc, 4, true),
    });
    expect(JSON.parse(await readFile(join(out(), "quantization.json"), "utf8"))).toEqual(report);
    expect(JSON.parse(await readFile(join(out(), "config.json"), "utf8"))).toEqual({
      model_type: "gpt2",
      n_embd: 64,
      quantization_config: { quant_method: "decoder_lab", bits: 4 },
    });
    expect(fractions.at(-1)).toBe(1);
  });

  test("is quantized in pieces with the same result as at once", async () => {
    const [rows, width] = [70_000, 64];
    const values = Float32Array.from({ length: rows * width }, (_, i) => ((i * 7919) % 1009) - 504);
    await save({ w: f32([rows, width], values) });
    const report = await quantizeFolder(dir, out(), 8, () => true);
    const stored = await openStored(out());
    const whole = quantizeMatrix(values, [rows, width], 8);
    const { file, offset, length } = stored.get("w")!;
    expect((await readFile(file)).subarray(offset, offset + length).equals(whole.codes)).toBe(true);
    expect(
      Buffer.from((await readStored(stored.get("w.scales")!)).buffer).equals(Buffer.from(whole.scales.buffer)),
    ).toBe(true);
    expect(report.tensors.w!.relativeError).toBeCloseTo(relativeError(values, [rows, width], whole, 8), 9);
  });

  test.each([
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
  ])("with %s in a matrix is rejected with its name, and nothing is left behind", async (_, value) => {
    await save({ ...model(), "wte.weight": f32([7, 64], normals(7 * 64, "wte").fill(value, 100, 101)) });
    await expect(quantizeFolder(dir, out(), 8, choose)).rejects.toThrow(
      /the tensor "wte\.weight" contains NaN or infinite values, which cannot be quantized\. .*\.$/,
    );
    expect(await readdir(out())).toEqual([]);
  });

  test("with a quantized matrix is rejected", async () => {
    await save({ ...model(), "wte.weight.scales": f32([7, 2], new Float32Array(14)) });
    await expect(quantizeFolder(dir, out(), 8, choose)).rejects.toThrow(
      /the tensor "wte\.weight" of type F32 is already quantized/,
    );
  });

  test("that is canceled leaves nothing behind", async () => {
    await save(model());
    const controller = new AbortController();
    const stopped = quantizeFolder(dir, out(), 8, choose, {
      signal: controller.signal,
      onProgress: () => {
        controller.abort(new Error("enough"));
        for (const end = performance.now() + 15; performance.now() < end; );
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(await readdir(out())).toEqual([]);
  });
});
