import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportModel } from "../../../src/engine/export";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { toConfigJson } from "../../../src/engine/models/decoderLab";
import { openModel, openWeights } from "../../../src/engine/models/folder";
import { type ClassicConfig, classicDecoder } from "../../../src/engine/nn/config";
import { initParams, paramSpecs } from "../../../src/engine/nn/params";
import { mapWeights } from "../../../src/engine/runtime/weights";
import {
  dequantize,
  makeFolder,
  quantizeFolder,
  readStored,
  readStoredBytes,
  readTensor,
  type StoredTensor,
  writeFileWhole,
  writeSafetensors,
} from "../../../src/engine/weights";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";
import { hasTorch, PYTHON } from "../../helpers/pyTorch";
import { largestDifference } from "../../helpers/tinyModel";

const NAMES = Object.values(VARIANTS).flat();
/** The prompts of the golden checkpoints. */
const { prompts } = JSON.parse(readFileSync(join(ARCHITECTURES, "gpt2", "greedy.json"), "utf8")) as {
  readonly prompts: number[][];
};

const classic: ClassicConfig = {
  vocabSize: 99,
  nCtx: 32,
  nLayers: 2,
  nHeads: 4,
  dModel: 32,
  dMlp: 48,
  norm: "pre",
  finalNorm: true,
  normEps: 1e-5,
  normBias: false,
  activation: "gelu",
  attentionBias: false,
  mlpBias: false,
  tiedHead: true,
  headBias: false,
};

/** Configurations that Decoder Lab trains, with the family of their export. */
const TRAINED: Readonly<Record<string, { readonly cfg: ClassicConfig; readonly modelType: string }>> = {
  "the char preset": { cfg: classic, modelType: "gpt2" },
  "a GPT-2 with every bias": {
    cfg: { ...classic, activation: "geluTanh", normBias: true, attentionBias: true, mlpBias: true, normEps: 1e-6 },
    modelType: "gpt2",
  },
  "a head of its own": { cfg: { ...classic, tiedHead: false, mlpBias: true }, modelType: "opt" },
  "norms after, without a last one": {
    cfg: { ...classic, norm: "post", finalNorm: false, activation: "relu", attentionBias: true },
    modelType: "opt",
  },
  "the adder preset": {
    cfg: {
      ...classic,
      norm: "post",
      activation: "relu",
      normBias: true,
      mlpBias: true,
      tiedHead: false,
      headBias: true,
    },
    modelType: "decoder_lab",
  },
  "a head of its own with another epsilon": {
    cfg: { ...classic, tiedHead: false, normEps: 1e-6, activation: "geluTanh", attentionBias: true },
    modelType: "decoder_lab",
  },
  "no positions": { cfg: { ...classic, positions: "none" }, modelType: "decoder_lab" },
  "sines for positions, and no mask": {
    cfg: { ...classic, positions: "sinusoidal", causal: false },
    modelType: "decoder_lab",
  },
};

let dir: string;
const exported = (name: string) => join(dir, `${name.replaceAll(" ", "-")}.exported`);
/** Logits [B][T][V] of the prompts by folder, padded on the right. */
let torch: ReadonlyMap<string, number[][][]>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-export-"));
  for (const name of NAMES) await exportModel(join(ARCHITECTURES, name), { format: "hf", out: exported(name) });
  for (const [name, { cfg }] of Object.entries(TRAINED)) {
    await writeTrained(join(dir, name), cfg);
    await exportModel(join(dir, name), { format: "hf", out: exported(name) });
  }
  // The reference has no OPT with an untied head.
  const readable = [...NAMES, ...Object.keys(TRAINED).filter((name) => name !== "a head of its own")];
  torch = hasTorch ? await torchLogits(readable.map(exported)) : new Map();
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

describe.skipIf(!hasTorch)("PyTorch computes the same with an exported folder as with the original", () => {
  test.each(NAMES)("%s", async (name) => {
    const { data, shape } = await readTensor(join(ARCHITECTURES, name, "reference.safetensors"), "logits");
    const [, T, V] = shape as [number, number, number];
    // The reference is from another PyTorch, whose products may add in another order.
    expectSameLogits(torch.get(exported(name)), (b, length) => data.subarray(b * T * V, (b * T + length) * V), 5e-5);
  });
});

describe("a model trained in Decoder Lab", () => {
  const names = Object.keys(TRAINED);
  test.each(names)("%s is exported as a family that computes the same", async (name) => {
    const { modelType } = TRAINED[name] as { modelType: string };
    const config = JSON.parse(readFileSync(join(exported(name), "config.json"), "utf8"));
    expect(config.model_type).toBe(modelType);
    const [own, theirs] = [await logitsOf(join(dir, name)), await logitsOf(exported(name))];
    prompts.forEach((_, b) => {
      expect(largestDifference(own[b] as Float32Array, theirs[b] as Float32Array)).toBeLessThan(2e-5);
    });
  });

  test.skipIf(!hasTorch).each(names.filter((name) => name !== "a head of its own"))(
    "%s computes the same in PyTorch",
    async (name) => {
      const own = await logitsOf(join(dir, name));
      // Without a causal mask, positions attend to the padding of shorter prompts.
      const isWhole = TRAINED[name]?.cfg.causal === false ? longestPrompt : () => true;
      expectSameLogits(torch.get(exported(name)), (b) => own[b] as Float32Array, 2e-4, isWhole);
    },
  );
});

const longestPrompt = (prompt: readonly number[]) => prompts.every(({ length }) => length <= prompt.length);

test.each([8, 4] as const)(
  "a model in %i bits is written in float32, with the values its codes stand for",
  async (bits) => {
    for (const name of ["gpt2", "llama"]) {
      const [quantized, out] = [join(dir, `${name}-${bits}`), join(dir, `${name}-${bits}.exported`)];
      await quantizeFolder(join(ARCHITECTURES, name), quantized, bits, (tensor) =>
        /(c_attn|c_fc|c_proj)\.weight$/.test(tensor) ? { transpose: true } : /proj|wte|embed/.test(tensor),
      );
      await exportModel(quantized, { format: "hf", out });
      const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
      expect(config).not.toHaveProperty("quantization_config");
      const [before, after] = [await openWeights(quantized), await openWeights(out)];
      let compared = 0;
      for (const [param, source] of before.weights) {
        const written = after.weights.get(param) as StoredTensor;
        expect(written.dtype).toBe("F32");
        if (!("bits" in source)) continue;
        const values = dequantize(
          { codes: await readStoredBytes(source.weight), scales: await readStored(source.scales) },
          bits,
        );
        const [rows, columns] = written.shape as [number, number];
        // GPT-2's matrices are [in, out], codes are [out, in].
        const isTurned = name === "gpt2" && param !== "embed.tokens.weight";
        const expected = isTurned
          ? values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)] as number)
          : values;
        expect(largestDifference(await readStored(written), expected), param).toBe(0);
        compared++;
      }
      expect(compared).toBeGreaterThan(8);
    }
  },
);

async function writeTrained(folder: string, given: ClassicConfig): Promise<void> {
  const cfg = classicDecoder(given);

  const params = initParams(cfg, "xavier", 7);
  const tensors = paramSpecs(cfg).map(({ name, shape }) => {
    const data = params.get(name) as Float32Array;
    // New norms and biases are ones and zeros, which would hide mistakes.
    const values = shape.length === 1 ? data.map((x, i) => x + 0.3 * Math.sin(i * 1.7 + name.length)) : data;
    return [name, { dtype: "F32" as const, shape, data: values }] as const;
  });

  await makeFolder(folder);
  await writeFileWhole(join(folder, "config.json"), JSON.stringify(toConfigJson(cfg)));
  await writeSafetensors(join(folder, "model.safetensors"), new Map(tensors));
}

/** The logits of each prompt, [T, V]. */
async function logitsOf(folder: string): Promise<Float32Array[]> {
  const { cfg, weights } = await openModel(folder);
  const mapped = await mapWeights(cfg, weights, "cpu");
  const tracer = new Tracer(cfg, mapped);
  const logits: Float32Array[] = [];
  for (const prompt of prompts) logits.push((await tracer.trace([prompt])).get("logits")?.data as Float32Array);
  await tracer.release();
  await mapped.release();
  return logits;
}

async function torchLogits(folders: readonly string[]): Promise<Map<string, number[][][]>> {
  const T = Math.max(...prompts.map((prompt) => prompt.length));
  const pad = (row: readonly number[]) => [...row, ...Array(T - row.length).fill(0)];
  const input = { folders, ids: prompts.map(pad), mask: prompts.map((prompt) => pad(prompt.map(() => 1))) };
  const output = await new Promise<string>((done, failed) => {
    const script = join(import.meta.dirname, "read_exported.py");
    const child = execFile(PYTHON, [script], { maxBuffer: 2 ** 28 }, (error, stdout) =>
      error ? failed(error) : done(stdout),
    );
    child.stdin?.end(JSON.stringify(input));
  });
  const logits = JSON.parse(output) as number[][][][];
  return new Map(folders.map((folder, i) => [folder, logits[i] as number[][][]]));
}

function expectSameLogits(
  actual: number[][][] | undefined,
  expected: (row: number, length: number) => Float32Array,
  tolerance: number,
  counts: (prompt: readonly number[]) => boolean = () => true,
): void {
  expect(prompts.some(counts)).toBe(true);
  prompts.forEach((prompt, b) => {
    if (!counts(prompt)) return;
    const rows = actual?.[b]?.slice(0, prompt.length).flat() ?? [];
    expect(largestDifference(rows, expected(b, prompt.length))).toBeLessThan(tolerance);
  });
}
