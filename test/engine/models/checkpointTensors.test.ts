/**
 * Checkpoints as training code leaves them: with more tensors, prefixes, and one or both of a tied pair. The expected values
 * are those of the reference checkpoints (test/golden/architectures), which PyTorch computed.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { describeModel } from "../../../src/engine/models/describe";
import { openModel } from "../../../src/engine/models/folder";
import { printModules } from "../../../src/engine/models/print";
import { mapWeights } from "../../../src/engine/runtime/weights";
import { openStored, readStored } from "../../../src/engine/weights";
import { expectReferenceTrace, readReference } from "../../helpers/architectures";
import {
  changedCheckpoint,
  type FloatTensor,
  type FloatTensors,
  ones,
  renamed,
  shifted,
} from "../../helpers/changedCheckpoints";

const TOLERANCE = 2e-4;

/** Expects the values of the reference in the folder. Returns the notes. */
async function expectReference(dir: string): Promise<readonly string[]> {
  const { cfg, weights, info } = await openModel(dir);
  await expectReferenceTrace({ dir, cfg, weights: await mapWeights(cfg, weights, "cpu") }, TOLERANCE);
  return info.notes ?? [];
}

const add =
  (...more: readonly (readonly [string, FloatTensor])[]) =>
  (tensors: FloatTensors): undefined => {
    for (const [name, tensor] of more) tensors.set(name, tensor);
  };

describe("tensors that the model does not need are ignored and listed:", () => {
  test.each<[string, string, FloatTensor, string | null]>([
    ["a value head", "v_head.summary.weight", ones(1, 32), "a value head"],
    ["a classification head", "score.weight", ones(2, 32), "a head for another task"],
    [
      "rotary frequencies",
      "model.rotary_emb.inv_freq",
      ones(4),
      "the rotary frequencies, which follow from config.json",
    ],
    [
      "cached rotary values",
      "model.layers.0.self_attn.rotary_emb.cos_cached",
      ones(1, 1, 8, 8),
      "the rotary frequencies, which follow from config.json",
    ],
    [
      "a layer beyond the config",
      "model.layers.2.mlp.up_proj.weight",
      ones(48, 32),
      "layers beyond the 2 of config.json",
    ],
    ["a causal mask", "model.causal_mask", ones(8, 8), "the causal mask"],
    ["position ids", "model.position_ids", ones(1, 8), "the numbers of the positions"],
    [
      "an adapter left over",
      "model.layers.0.self_attn.q_proj.lora_A.default.weight",
      ones(2, 32),
      "an adapter, which is not applied",
    ],
    ["a bias that config.json excludes", "model.layers.0.self_attn.q_proj.bias", ones(32), null],
    ["an unknown tensor", "something.else", ones(1), null],
  ])("%s", async (_, name, tensor, reason) => {
    const dir = await changedCheckpoint("llama", add([name, tensor]));
    expect(await expectReference(dir)).toEqual([`Ignored the tensor "${name}" (${reason ?? "not in config.json"}).`]);
    const tree = await describeModel(dir);
    expect(tree.ignored).toEqual([{ name, reason }]);
    expect(printModules(tree)).toMatch(/\nIgnored tensors:\n {2}\S+( {2}# .*)?$/);
  });

  test("all layers beyond a config that was cut", async () => {
    const dir = await changedCheckpoint("llama", (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        if (name.includes("layers.0")) tensors.set(name.replace("layers.0", "layers.12"), shifted(tensor));
      }
      return undefined;
    });
    expect(await expectReference(dir)).toEqual([
      'Ignored 9 tensors (layers beyond the 2 of config.json), such as "model.layers.12.input_layernorm.weight".',
    ]);
  });
});

test("a missing tensor is named", async () => {
  const dir = await changedCheckpoint("llama", (tensors) => {
    tensors.delete("model.layers.1.mlp.up_proj.weight");
    tensors.set("module.other", ones(1));
    return undefined;
  });
  await expect(openModel(dir)).rejects.toThrow(
    `The weights in ${dir} do not match its config.json: the tensor "model.layers.1.mlp.up_proj.weight" is missing.`,
  );
});

test("matrices of GPTQ, AWQ and bitsandbytes are named as unsupported", async () => {
  for (const part of ["qweight", "weight.absmax", "weight_packed"]) {
    const dir = await changedCheckpoint("llama", (tensors) => {
      tensors.delete("model.layers.0.mlp.up_proj.weight");
      tensors.set(`model.layers.0.mlp.up_proj.${part}`, ones(4, 4));
      return undefined;
    });
    await expect(openModel(dir)).rejects.toThrow(/are quantized in a format that is not supported/);
  }
});

describe("prefixes of training code are recognized and said:", () => {
  const adds = (part: string, code: string) => `The names of tensors contain "${part}.", which ${code} adds.`;
  const has = (prefix: string) => `The names of tensors have the prefix "${prefix}".`;
  const parallel = adds("module", "DistributedDataParallel, DataParallel or DeepSpeed");
  const compiled = adds("_orig_mod", "torch.compile");

  const PREFIXES: readonly (readonly [prefix: string, notes: readonly string[]])[] = [
    ["module.", [parallel]],
    ["_orig_mod.", [compiled]],
    ["_forward_module.", [adds("_forward_module", "Lightning Fabric")]],
    ["_fsdp_wrapped_module.", [adds("_fsdp_wrapped_module", "FullyShardedDataParallel")]],
    ["model.", [has("model.")]],
    ["base_model.model.", [has("base_model.model.")]],
    ["module._orig_mod.", [parallel, compiled]],
    ["_orig_mod.module.", [compiled, parallel]],
    ["module.model.", [parallel, has("model.")]],
    ["pretrained_model.", [has("pretrained_model.")]],
    ["net.decoder.", [has("net.decoder.")]],
  ];
  for (const variant of ["llama", "gpt2", "gpt2-prefixed", "gpt_neox", "opt"]) {
    test.each(PREFIXES)(`${variant} with %s`, async (prefix, notes) => {
      const dir = await changedCheckpoint(
        variant,
        renamed((name) => prefix + name),
      );
      expect((await expectReference(dir)).filter((note) => !note.startsWith("Ignored"))).toEqual(notes);
    });
  }

  test("wrappers of single modules", async () => {
    const wrapped = (name: string) =>
      name.replace(/layers\.\d+/, "$&._checkpoint_wrapped_module").replace("q_proj", "q_proj.base_layer");
    const dir = await changedCheckpoint("llama", renamed(wrapped));
    expect(await expectReference(dir)).toEqual([
      adds("_checkpoint_wrapped_module", "activation checkpointing"),
      adds("base_layer", "PEFT"),
    ]);
  });

  test("the model itself is preferred to its averages", async () => {
    const dir = await changedCheckpoint("llama", (tensors) => {
      const copies = [...tensors].map(([name, tensor]) => [`ema.${name}`, shifted(tensor)] as const);
      return new Map([...copies, ...renamed((name) => `net.${name}`)(tensors)]);
    });
    expect((await expectReference(dir)).slice(0, 2)).toEqual([
      has("net."),
      'The checkpoint contains other models, which were ignored: "ema.".',
    ]);
  });
});

describe("a tied pair is read", () => {
  const [embedding, head] = ["model.embed_tokens.weight", "lm_head.weight"];
  const tied = { tie_word_embeddings: true };
  /** qwen3 has a tied head. */
  const get = (tensors: FloatTensors, name: string) => tensors.get(name) as FloatTensor;

  test("from the embedding only", async () => {
    expect(await expectReference(await changedCheckpoint("qwen3", () => undefined))).toEqual([]);
  });

  test.each([
    ["qwen3", embedding, head],
    ["gpt2-prefixed", "transformer.wte.weight", head],
    ["gpt2", "wte.weight", head],
    ["opt", "model.decoder.embed_tokens.weight", head],
  ])("from the head only in %s", async (variant, name, other) => {
    const dir = await changedCheckpoint(
      variant,
      renamed((given) => (given === name ? other : given)),
    );
    expect(await expectReference(dir)).toContain(
      'The token embedding is stored only as "lm_head.weight", the head that it is tied to.',
    );
  });

  test("if both are equal", async () => {
    const dir = await changedCheckpoint("qwen3", (tensors) => void tensors.set(head, get(tensors, embedding)));
    expect(await expectReference(dir)).toEqual([
      'Ignored the tensor "lm_head.weight" (the head, equal to the token embedding).',
    ]);
    expect((await openModel(dir)).cfg.tiedHead).toBe(true);
  });

  test("with its own head if the two differ", async () => {
    // The reference of an untied model, in a folder whose config.json ties the two.
    const dir = await changedCheckpoint("llama", () => undefined, tied);
    expect(await expectReference(dir)).toEqual([
      'The head "lm_head.weight" differs from the token embedding, so it is used although config.json ties the two.',
    ]);
    expect((await openModel(dir)).cfg.tiedHead).toBe(false);
    expect(printModules(await describeModel(dir))).toContain(
      "(lm_head): Linear(in_features=32, out_features=99, bias=False)",
    );
  });

  test("with its own head if only one value differs", async () => {
    const dir = await changedCheckpoint("qwen3", (tensors) => {
      const copy = get(tensors, embedding).data.slice();
      copy[copy.length - 1] = 1;
      tensors.set(head, { shape: get(tensors, embedding).shape, data: copy });
      return undefined;
    });
    expect((await openModel(dir)).cfg.tiedHead).toBe(false);
  });

  test.each([{}, { tie_word_embeddings: false }])("with GPT-2's own head, %j", async (config) => {
    const dir = await changedCheckpoint(
      "gpt2-prefixed",
      (tensors) => void tensors.set(head, shifted(get(tensors, "transformer.wte.weight"))),
      config,
    );
    const stored = (await openStored(dir)).get(head)!;
    const reference = await readReference(join(dir, "reference.safetensors"));
    const { shape, data: states } = reference.get("lnFinal")!;
    const [B, T, D] = shape as [number, number, number];
    const { cfg, weights } = await openModel(dir);
    const tracer = new Tracer(cfg, await mapWeights(cfg, weights, "cpu"));
    const { data: ids } = reference.get("ids")!;
    const trace = await tracer.trace([[...ids.subarray(0, T)]]);
    await tracer.release();
    // Logits in float64 from the reference's states, which the head does not change.
    const data = await readStored(stored);
    const V = stored.shape[0]!;
    expect(B).toBeGreaterThan(0);
    let largest = 0;
    for (let t = 0; t < T; t++) {
      for (let v = 0; v < V; v++) {
        let logit = 0;
        for (let d = 0; d < D; d++) logit += (states[t * D + d] as number) * (data[v * D + d] as number);
        largest = Math.max(largest, Math.abs((trace.get("logits")!.data[t * V + v] as number) - logit));
      }
    }
    expect(largest).toBeLessThan(1e-3);
  });
});

describe("a config.json without model_type", () => {
  test("is read by its architecture", async () => {
    const dir = await changedCheckpoint("gpt2-prefixed", () => undefined, { model_type: undefined });
    expect(await expectReference(dir)).toEqual([
      'config.json has no model_type, so "gpt2" was chosen for its architecture (GPT2LMHeadModel).',
    ]);
  });

  test.each(
    [undefined, [], ["FooForCausalLM"], ["Qwen2MoeForCausalLM"], "GPT2LMHeadModel", [null]].map((architectures) => ({
      architectures,
    })),
  )("is rejected with advice if it has $architectures", async ({ architectures }) => {
    const dir = await changedCheckpoint("gpt2-prefixed", () => undefined, { model_type: undefined, architectures });
    await expect(openModel(dir)).rejects.toThrow(/config\.json: model_type is missing\. Add it with .*: .*gpt2/);
  });
});

test("notes of an import come first", async () => {
  const dir = await changedCheckpoint("llama", add(["v_head.weight", ones(1)]));
  await writeFile(join(dir, "source.json"), JSON.stringify({ notes: ["From a file.", 5, null] }));
  const notes = ["From a file.", 'Ignored the tensor "v_head.weight" (a value head).'];
  expect((await openModel(dir)).info.notes).toEqual(notes);
  expect((await describeModel(dir)).notes).toEqual(notes);
  expect(JSON.parse(await readFile(join(dir, "config.json"), "utf8")).model_type).toBe("llama");
});
