import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { makePairs } from "../../scripts/makePairs";
import { describe } from "../../src/cli/commands/describe";
import { evaluate } from "../../src/cli/commands/eval";
import { exportTo } from "../../src/cli/commands/export";
import { generate } from "../../src/cli/commands/generate";
import { inspect } from "../../src/cli/commands/inspect";
import { trainModel } from "../../src/cli/commands/train";
import { type Command, parseOptions } from "../../src/cli/options";
import { readTensors } from "../../src/engine/weights";

let dir: string;
let model: string;

/** Returns the output of a command. */
async function printed(command: Command, ...args: string[]): Promise<string> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => lines.push(line));
  await command.run(parseOptions(command, args)).finally(() => log.mockRestore());
  return lines.join("\n");
}
const CPU = ["--device", "cpu"];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-translate-"));
  model = join(dir, "model");
  await writeFile(join(dir, "pairs.tsv"), makePairs(200, 5).join("\n"));
  const set = ["model.dModel=16", "model.nHeads=2", "model.nLayers=1", "model.nEncoderLayers=1", "train.blockSize=16"];
  const run = ["--preset", "translate", "--data", join(dir, "pairs.tsv"), "--out", model, "--steps", "4", ...CPU];
  await printed(trainModel, ...run, "--json", "--set", ...set);
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

test("eval prints the loss per token and the accuracy on held-out sentences", async () => {
  const result = JSON.parse(await printed(evaluate, "--model", model, ...CPU, "--json"));
  expect(Object.keys(result).sort()).toEqual(["accuracy", "loss", "perplexity", "tokens"]);
});

test("generate translates a sentence, or rows of ids", async () => {
  const { ids, text } = JSON.parse(
    await printed(generate, "--model", model, "--prompt", "the cat sleeps", "--max-new-tokens", "3", ...CPU, "--json"),
  );
  expect(ids.length).toBeLessThanOrEqual(3);
  expect(await printed(generate, "--model", model, "--prompt", "the cat sleeps", "--max-new-tokens", "3", ...CPU)).toBe(
    text,
  );
  const rows = ["--ids", "1,4,2;1,5,6,2", "--max-new-tokens", "3"];
  expect(JSON.parse(await printed(generate, "--model", model, ...rows, ...CPU, "--json")).rows).toHaveLength(2);
});

test("inspect writes both stacks and the attention between them", async () => {
  const out = join(dir, "trace.safetensors");
  await printed(inspect, "--model", model, "--prompt", "the cat sleeps", "--out", out, ...CPU);
  const trace = await readTensors(out);
  const [T] = trace.get("ids")?.shape.slice(1) ?? [];
  expect(trace.get("enc.ids")?.shape).toEqual([1, 5]);
  expect(trace.get("enc.blocks.0.attn.pattern")?.shape).toEqual([1, 2, 5, 5]);
  expect(trace.get("blocks.0.cross.pattern")?.shape).toEqual([1, 2, T, 5]);
  expect(trace.get("blocks.0.cross.k")?.shape).toEqual([1, 2, 5, 8]);
});

test("inspect prints the results of a translation with interventions in encoder and cross-attention", async () => {
  const inspected = async (...args: string[]) => {
    const run = ["--model", model, "--prompt", "the cat sleeps", "--json", ...CPU, ...args];
    return JSON.parse(await printed(inspect, ...run));
  };
  const parts = ["enc.blocks.0.mlp=0", "blocks.0.cross.head.1=0.5", "blocks.0.cross=2"];
  const patches = ["enc.blocks.0.residPost@2=1:a dog", "blocks.0.crossOut@0=0:a dog"];
  const analysis = ["--position", "0", "--lens", "--attribute", "#4"];
  const report = await inspected("--scale", ...parts, "--patch", ...patches, ...analysis);
  const encoder = { stack: "encoder", layer: 0 };
  expect(report.interventions).toEqual([
    { kind: "scale", part: { kind: "mlp", ...encoder }, factor: 0 },
    { kind: "scale", part: { kind: "crossHead", layer: 0, head: 1 }, factor: 0.5 },
    { kind: "scale", part: { kind: "cross", layer: 0 }, factor: 2 },
    {
      kind: "patch",
      value: { kind: "residPost", ...encoder },
      position: 2,
      from: { trace: "a dog", position: 1 },
    },
    { kind: "patch", value: { kind: "crossOut", layer: 0 }, position: 0, from: { trace: "a dog", position: 0 } },
  ]);
  const { tokens, source } = await inspected();
  expect(report).toMatchObject({ tokens, source });
  expect(source.tokens).toHaveLength(5);
  expect(report.lens.ids.slice(-10)).toEqual(report.nextToken.top.map(({ id }: { id: number }) => id));
  expect(Math.abs(report.attribution.remainder)).toBeLessThan(1e-4);
  // The first token depends only on BOS and the source, so patching its cross-attention gives the other sentence's result.
  const other = await inspected("--prompt", "a dog", "--position", "0");
  const patched = await inspected("--patch", "blocks.0.crossOut@0=0:a dog", "--position", "0");
  expect(patched.nextToken.entropyBits).toBeCloseTo(other.nextToken.entropyBits, 4);
});

test("describe prints both stacks", async () => {
  const tree = await printed(describe, "--model", model);
  expect(tree).toContain("DecoderLabForTranslation(");
  expect(tree).toContain("(enc): DecoderLabEncoder(");
  expect(tree).toContain("(cross): DecoderLabCrossAttention(");
  const { parameters } = JSON.parse(await printed(describe, "--model", model, "--json"));
  expect(tree).toContain(`${parameters.toLocaleString("en")} parameters`);
});

test("commands for decoder-only models reject it with advice", async () => {
  const out = join(dir, "exported");
  await expect(printed(exportTo, "--model", model, "--format", "hf", "--out", out)).rejects.toThrow(
    /describes a translator, which cannot continue a text/,
  );
});

test("train uses the sample without --data, and says so", async () => {
  const out = join(dir, "sample");
  const small = ["--steps", "1", "--set", "model.dModel=16", "model.nHeads=2", "train.batchSize=2"];
  const text = await printed(trainModel, "--preset", "translate", "--out", out, ...CPU, ...small);
  expect(text.split("\n")[0]).toBe("Training on the sample english-french.tsv. Use --data to train on other files.");
  const record = JSON.parse(await readFile(join(out, "training.json"), "utf8"));
  expect(record).toMatchObject({ preset: "translate", step: 1, data: { kind: "text" } });
});
