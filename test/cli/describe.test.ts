import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { describe as describeCommand } from "../../src/cli/commands/describe";
import { parseOptions } from "../../src/cli/options";
import type { ModuleTree } from "../../src/engine";
import { quantizeFolder } from "../../src/engine/weights/quantize";
import { ARCHITECTURES } from "../helpers/architectures";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-describe-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Returns the output of the command. */
async function described(...args: string[]): Promise<string> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => lines.push(line));
  await describeCommand.run(parseOptions(describeCommand, args)).finally(() => log.mockRestore());
  return lines.join("\n");
}

/** config.json of facebook/opt-1.3b. */
const OPT_1_3B = {
  _remove_final_layer_norm: false,
  activation_dropout: 0.0,
  activation_function: "relu",
  architectures: ["OPTForCausalLM"],
  attention_dropout: 0.0,
  bos_token_id: 2,
  do_layer_norm_before: true,
  dropout: 0.1,
  eos_token_id: 2,
  ffn_dim: 8192,
  hidden_size: 2048,
  init_std: 0.02,
  layerdrop: 0.0,
  max_position_embeddings: 2048,
  model_type: "opt",
  num_attention_heads: 32,
  num_hidden_layers: 24,
  pad_token_id: 1,
  prefix: "</s>",
  torch_dtype: "float16",
  transformers_version: "4.21.0.dev0",
  use_cache: true,
  vocab_size: 50272,
  word_embed_proj_dim: 2048,
};

test("OPT-1.3b with only config.json is described as PyTorch prints it", async () => {
  await writeFile(join(dir, "config.json"), JSON.stringify(OPT_1_3B));
  expect(await described("--model", dir)).toBe(`\
OPTForCausalLM(  # 1,315,758,080
  (model): OPTModel(  # 1,315,758,080
    (decoder): OPTDecoder(  # 1,315,758,080
      (embed_tokens): Embedding(50272, 2048, padding_idx=1)  # 102,957,056 float16
      (embed_positions): OPTLearnedPositionalEmbedding(2050, 2048)  # 4,198,400 float16
      (final_layer_norm): LayerNorm((2048,), eps=1e-05, elementwise_affine=True)  # 4,096 float16
      (layers): ModuleList(  # 1,208,598,528
        (0-23): 24 x OPTDecoderLayer(  # 50,358,272
          (self_attn): OPTAttention(  # 16,785,408
            (k_proj): Linear(in_features=2048, out_features=2048, bias=True)  # 4,196,352 float16
            (v_proj): Linear(in_features=2048, out_features=2048, bias=True)  # 4,196,352 float16
            (q_proj): Linear(in_features=2048, out_features=2048, bias=True)  # 4,196,352 float16
            (out_proj): Linear(in_features=2048, out_features=2048, bias=True)  # 4,196,352 float16
          )
          (activation_fn): ReLU()
          (self_attn_layer_norm): LayerNorm((2048,), eps=1e-05, elementwise_affine=True)  # 4,096 float16
          (fc1): Linear(in_features=2048, out_features=8192, bias=True)  # 16,785,408 float16
          (fc2): Linear(in_features=8192, out_features=2048, bias=True)  # 16,779,264 float16
          (final_layer_norm): LayerNorm((2048,), eps=1e-05, elementwise_affine=True)  # 4,096 float16
        )
      )
    )
  )
  (lm_head): Linear(in_features=2048, out_features=50272, bias=False), weight tied to model.decoder.embed_tokens
)
1,315,758,080 parameters, 2,631,516,160 bytes`);
});

test("every tensor is listed with its name and type in the checkpoint", async () => {
  const tree: ModuleTree = JSON.parse(await described("--model", join(ARCHITECTURES, "gpt2-prefixed"), "--json"));
  const all = (module: ModuleTree): ModuleTree[] => [module, ...module.children.flatMap(all)];
  expect(all(tree).find(({ name }) => name === "c_attn")).toEqual({
    name: "c_attn",
    module: "blocks.0.qkv",
    kind: "Conv1D(nf=96, nx=32)",
    parameters: 32 * 96 + 96,
    bytes: 2 * (32 * 96 + 96),
    tensors: [
      { name: "transformer.h.0.attn.c_attn.weight", shape: [32, 96], dtype: "float16", bytes: 2 * 32 * 96 },
      { name: "transformer.h.0.attn.c_attn.bias", shape: [96], dtype: "float16", bytes: 2 * 96 },
    ],
    children: [],
  });
  expect(tree.bytes).toBe(2 * tree.parameters);
});

test("a quantized matrix is listed with its bits and error", async () => {
  const original = join(ARCHITECTURES, "gpt2-prefixed");
  const out = join(dir, "quantized");
  const isOutput = (name: string) => name.endsWith("c_proj.weight");
  const report = await quantizeFolder(original, out, 4, (name) => isOutput(name) && { transpose: true });
  const tree: ModuleTree = JSON.parse(await described("--model", out, "--json"));
  const all = (module: ModuleTree): ModuleTree[] => [module, ...module.children.flatMap(all)];
  const [weight, bias] = all(tree).find(({ name }) => name === "c_proj")?.tensors ?? [];
  expect(weight).toEqual({
    name: "transformer.h.0.attn.c_proj.weight",
    shape: [32, 32],
    dtype: "uint8 (4-bit)",
    // A block of 32 values has 16 bytes and a 4-byte scale.
    bytes: 32 * (16 + 4),
    relativeError: report.tensors["transformer.h.0.attn.c_proj.weight"]?.relativeError,
  });
  expect(weight?.relativeError).toBeGreaterThan(0.01);
  expect(bias?.dtype).toBe("float16");
  expect(tree.parameters).toBe(JSON.parse(await described("--model", original, "--json")).parameters);
  const text = await described("--model", out);
  expect(text).toContain("(c_proj): Conv1D(nf=32, nx=32)  # 1,056 uint8 (4-bit), float16\n");
  expect(text).toMatch(/\n6 quantized matrices, relative error \d+\.\d\d % to \d+\.\d\d %$/);
});

test("norms without parameters are listed", async () => {
  const text = await described("--model", join(ARCHITECTURES, "opt-galactica"));
  expect(text).toContain("(final_layer_norm): LayerNorm((32,), eps=1e-05, elementwise_affine=False)\n");
});

test("a model trained by Decoder Lab is described", async () => {
  const text = await described("--model", resolve(import.meta.dirname, "../golden/characters"));
  expect(text).toMatch(/^DecoderLabForCausalLM\(/);
  expect(text).toMatch(/\(blocks\): ModuleList\(.*\n +\(0-\d+\): \d+ x DecoderLabBlock\(/);
});
