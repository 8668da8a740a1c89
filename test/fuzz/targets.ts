/**
 * The files that the fuzzer changes, and the code that opens them: real files of every format, read by the requests that users make.
 */

import { copyFile, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCorpus } from "../../src/engine/data";
import type { Random } from "../../src/engine/random";
import { openStored, readStored } from "../../src/engine/weights";
import { ARCHITECTURES } from "../../src/engine/weights/ggufArchitectures";
import { PromptSetError, readPrompts } from "../../src/files/promptSet";
import { ggufFile, llamaValues, value, wholeLlama } from "../helpers/ggufFiles";
import { type Call, engine, ForUsers, type Maker, oneOf, type Target } from "./makers";
import { mutated, mutatedBytes } from "./mutate";
import { REQUEST_TARGETS } from "./requestTargets";

const golden = (root: string, ...parts: string[]) => join(root, "test", "golden", ...parts);

/** Opens a model folder as the Models view, the Layer Inspector and a completion do. */
async function useModel(call: Call, dir: string): Promise<void> {
  await call("describe", { dir });
  const { parameters } = await call("model", { dir });
  await call("tokenize", { dir, text: "Once upon a time, “there” was\ta 1234\n" });
  if (parameters > 5e6) return;
  const { trace } = await call("inspect", { dir, text: "once upon a time" });
  await call("releaseTrace", { trace });
  await call("generate", { dir, prompt: "once", maxNewTokens: 3 });
  await call("closeModel", { dir });
}

const changedOneOf = (originals: readonly Buffer[], draw: Random | null): Buffer =>
  draw ? mutatedBytes(originals[draw.below(originals.length)] as Buffer, draw) : (originals[0] as Buffer);

const importing = (call: Call, source: string, out: string) => async () => {
  await rm(out, { recursive: true, force: true });
  await call("importModel", { source, out, access: { offline: true, endpoint: "http://127.0.0.1:9" } });
};

interface Trained {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/** A key of a GGUF file with a value of any type; without a value, the key is removed. */
function ggufChange(draw: Random): readonly [string, string] {
  const among = <T>(items: readonly T[]): T => items[draw.below(items.length)] as T;
  const rope = ["type", "factor", "original_context_length", "attn_factor", "yarn_beta_fast", "yarn_beta_slow"];
  const ids = ["bos", "eos", "unknown", "padding", "eot", "eom", "fim_sep", "fim_pad", "mask"];
  const others = ["model", "pre", "tokens", "scores", "token_type", "merges", "add_bos_token", "add_space_prefix"];
  const key = among([
    ...Object.keys(llamaValues),
    ...rope.map((name) => `llama.rope.scaling.${name}`),
    ...["scale_linear", "freq_base", "dimension_count"].map((name) => `llama.rope.${name}`),
    ...ids.map((name) => `tokenizer.ggml.${name}_token_id`),
    ...others.map((name) => `tokenizer.ggml.${name}`),
    ...["attn", "final"].map((name) => `llama.${name}_logit_softcapping`),
    ...["embedding", "residual", "logit"].map((name) => `llama.${name}_scale`),
    ...["key_length", "scale", "sliding_window", "sliding_window_pattern"].map((name) => `llama.attention.${name}`),
    ...["split.no", "split.count", "split.tensors.count", "general.alignment", "llama.rope.scaling.finetuned"],
  ]);
  const numbers = [0, 1, 2, 3, 4, 7, 8, 32, 255, 65_535, 2 ** 24, 2 ** 31, 2 ** 32 - 1];
  const floats = [0, -1, 0.5, 4, 1e-30, 1e30, 1e38, Number.NaN, Number.POSITIVE_INFINITY];
  const texts = [
    "",
    "linear",
    "yarn",
    "longrope",
    "none",
    "gpt2",
    "llama",
    "tekken",
    "</s>",
    "\u0000\u001b[31m",
    "x\ny",
  ];
  const four = () =>
    Array.from({ length: 3 + draw.below(3) }, () => among([...texts, "a", "b", "ab", "a b", "<|end|>"]));
  const make = among<() => string>([
    () => "",
    () => value.uint(among(numbers)),
    () => value.int(-among(numbers)),
    () => value.short(among(numbers) % 65_536),
    () => value.long(among([0n, 2n ** 53n, 2n ** 64n - 1n])),
    () => value.float(among(floats)),
    () => value.bool(draw.below(2) === 0),
    () => value.text(among(texts)),
    () => value.texts(four()),
    () => value.floats(four().map(() => among(floats))),
    () => value.ints(four().map(() => among(numbers))),
  ]);
  return [key, make()];
}

/** The families' tokenizer.json files, with the vocabularies that they were checked with. */
async function tokenizerFiles(root: string): Promise<Record<string, unknown>[]> {
  const { families, trained } = JSON.parse(await readFile(golden(root, "families.json"), "utf8"));
  return Object.values<{ trained: string; file: Record<string, object> }>(families).map(({ trained: by, file }) => {
    const { tokens, merges } = trained[by] as Trained;
    return { ...file, model: { ...file.model, vocab: byId(tokens), merges } };
  });
}

const byId = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

/** An imported architecture with a byte-level tokenizer of its size, and the small files that may be beside them. */
async function modelFolder(dir: string, root: string, variant: string): Promise<void> {
  await cp(golden(root, "architectures", variant), dir, { recursive: true });
  const { vocab_size } = JSON.parse(await readFile(join(dir, "config.json"), "utf8"));
  const { trained } = JSON.parse(await readFile(golden(root, "families.json"), "utf8"));
  const { tokens, merges } = trained.bytes as Trained;
  // The letter for a blank is behind those that fit.
  const known = [...tokens.slice(0, vocab_size - 1), "Ġ"];
  const model = {
    type: "BPE",
    vocab: byId(known),
    merges: merges.filter(([left, right]) => known.includes(left + right)),
  };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
  const file = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model,
  };
  await writeFile(join(dir, "tokenizer.json"), JSON.stringify({ version: "1.0", ...file }));
  const special = { bos_token: known[0], eos_token: { content: known[1], special: true } };
  await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify({ ...special, model_max_length: 64 }));
  await writeFile(join(dir, "special_tokens_map.json"), JSON.stringify(special));
  await writeFile(join(dir, "generation_config.json"), JSON.stringify({ eos_token_id: [1, 2], temperature: 0.7 }));
}

/** Reads a set of prompts; its errors are for users, as the command line shows them. */
const promptsOf = (path: string) =>
  readPrompts(path).catch((error) => {
    throw error instanceof PromptSetError ? new ForUsers(error.message) : error;
  });

export const TARGETS: Readonly<Record<string, Target>> = {
  ...REQUEST_TARGETS,

  trained: async (scratch, root) => {
    const dir = join(scratch, "trained");
    await cp(join(root, "test", "golden", "characters"), dir, { recursive: true });
    const call = engine();
    return oneOf(
      dir,
      ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json"],
      async () => {
        await call("checkpoints", { dir });
        await useModel(call, dir);
      },
    );
  },

  imported: async (scratch, root) => {
    const call = engine();
    const makers = await Promise.all(
      ["gpt2", "llama-yarn", "gemma2", "opt", "phi"].map(async (variant) => {
        const dir = join(scratch, variant);
        await modelFolder(dir, root, variant);
        const small = ["special_tokens_map.json", "generation_config.json", "tokenizer_config.json"];
        return oneOf(dir, ["config.json", "config.json", "model.safetensors", ...small], () => useModel(call, dir));
      }),
    );
    return (draw) => (makers[draw?.below(makers.length) ?? 0] as Maker)(draw);
  },

  tokenizer: async (scratch, root) => {
    const files = (await tokenizerFiles(root)).map((file) => Buffer.from(JSON.stringify(file)));
    const dir = join(scratch, "tokenizer");
    await modelFolder(dir, root, "llama");
    const call = engine();
    const text = "Hello  wörld 😀\n\n\t1234 <s> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \u0000\u200d";
    return async (draw) => {
      const path = join(dir, "tokenizer.json");
      await writeFile(
        path,
        draw ? mutated("tokenizer.json", files[draw.below(files.length)] as Buffer, draw) : (files[0] as Buffer),
      );
      return { open: () => call("tokenize", { dir, text }), files: [path] };
    };
  },

  slowFiles: async (scratch, root) => {
    const dir = join(scratch, "slowFiles");
    await modelFolder(dir, root, "gpt2");
    const { model } = JSON.parse(await readFile(join(dir, "tokenizer.json"), "utf8"));
    await rm(join(dir, "tokenizer.json"));
    await writeFile(join(dir, "vocab.json"), JSON.stringify(model.vocab));
    const merges = (model.merges as Trained["merges"]).map((pair) => pair.join(" "));
    await writeFile(join(dir, "merges.txt"), `#version: 0.2\n${merges.join("\n")}\n`);
    await writeFile(join(dir, "added_tokens.json"), JSON.stringify({ "<x>": Object.keys(model.vocab).length }));
    const call = engine();
    const open = () => call("tokenize", { dir, text: "Hello  wörld 1234 <x>" });
    return oneOf(dir, ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"], open);
  },

  gguf: async (scratch, root) => {
    const call = engine();
    const names = [
      "checkpoints/llama",
      "checkpoints/gpt2",
      "gguf/gemma3",
      "gguf/olmo3",
      "gguf/phi3-longrope",
      "gguf/types",
    ];
    const originals = await Promise.all(names.map((name) => readFile(golden(root, `${name}.gguf`))));
    return async (draw) => {
      const path = join(scratch, "model.gguf");
      await writeFile(path, changedOneOf(originals, draw));
      return { open: importing(call, path, join(scratch, "out-gguf")), files: [path] };
    };
  },

  ggufValues: async (scratch) => {
    const call = engine();
    const [path, out] = [join(scratch, "values.gguf"), join(scratch, "out-values")];
    const open = async () => {
      await importing(call, path, out)();
      await useModel(call, out);
    };
    return async (draw) => {
      const changes = Array.from({ length: draw ? 1 + draw.below(3) : 0 }, () => ggufChange(draw as Random));
      const values = Object.entries({ ...llamaValues, ...Object.fromEntries(changes) }).filter(
        ([, text]) => text !== "",
      );
      // Other architectures have the same keys; their tensors differ, so most are rejected later.
      const all = Object.keys(ARCHITECTURES);
      const architecture = draw ? all[draw.below(2 * all.length)] : undefined;
      const named = values.map(([key, text]) => [key.replace(/^llama\./, `${architecture ?? "llama"}.`), text]);
      const general = architecture ? { "general.architecture": value.text(architecture) } : {};
      await writeFile(path, ggufFile({ values: { ...Object.fromEntries(named), ...general }, ...wholeLlama }));
      return { open, files: [path] };
    };
  },

  bin: async (scratch, root) => {
    const dir = join(scratch, "bin");
    await mkdir(dir);
    const names = ["zip.bin", "zip-protocol4.bin", "legacy.bin", "legacy-protocol4.bin"];
    const originals = await Promise.all(names.map((name) => readFile(golden(root, "checkpoints", name))));
    const open = async () => {
      for (const tensor of (await openStored(dir)).values())
        if (/^B?F\d+$/.test(tensor.dtype)) await readStored(tensor);
    };
    return async (draw) => {
      const path = join(dir, "pytorch_model.bin");
      await writeFile(path, changedOneOf(originals, draw));
      return { open, files: [path] };
    };
  },

  shards: async (scratch, root) => {
    const call = engine();
    const dir = join(scratch, "shards");
    await modelFolder(dir, root, "llama");
    const shard = "model-00001-of-00001.safetensors";
    const bytes = await readFile(join(dir, "model.safetensors"));
    const { __metadata__: _, ...tensors } = JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0))));
    await copyFile(join(dir, "model.safetensors"), join(dir, shard));
    await rm(join(dir, "model.safetensors"));
    const index = {
      metadata: { total_size: 1 },
      weight_map: Object.fromEntries(Object.keys(tensors).map((name) => [name, shard])),
    };
    await writeFile(join(dir, "model.safetensors.index.json"), JSON.stringify(index));
    return oneOf(dir, ["model.safetensors.index.json", shard], importing(call, dir, join(scratch, "out-shards")));
  },

  trace: async (scratch, root) => {
    const call = engine();
    const path = join(scratch, "a.dltrace");
    const { trace } = await call("inspect", {
      dir: join(root, "test", "golden", "characters"),
      text: "once upon a time",
    });
    await call("saveTrace", { trace, path });
    return oneOf(scratch, ["a.dltrace"], async () => {
      const opened = await call("openTrace", { path });
      for (const { name } of opened.values) await call("traceTensor", { trace: opened.trace, name, head: 0 });
      await call("attentionGrid", { trace: opened.trace, size: 8 });
      await call("releaseTrace", { trace: opened.trace });
    });
  },

  text: async (scratch) => {
    const dir = join(scratch, "text");
    await mkdir(dir, { recursive: true });
    const lines = Array.from({ length: 20 }, (_, i) => JSON.stringify({ text: `line ${i} – “quoted”`, id: i }));
    await writeFile(join(dir, "a.jsonl"), lines.join("\n"));
    await writeFile(join(dir, "b.txt"), "plain text\r\nwith lines\n".repeat(20));
    const paths = [join(dir, "a.jsonl"), join(dir, "b.txt")];
    return oneOf(dir, ["a.jsonl", "b.txt"], async () => {
      const corpus = await openCorpus({ kind: "paths", paths });
      for await (const _ of corpus.chunks());
    });
  },

  prompts: async (scratch) => {
    await writeFile(join(scratch, "a.csv"), 'id,prompt\r\n1,"The cat, ""Tom"""\r\n2,\'=1+1\r\n');
    return oneOf(scratch, ["a.csv"], () => promptsOf(join(scratch, "a.csv")));
  },
  promptLines: async (scratch) => {
    await writeFile(join(scratch, "a.jsonl"), '"The cat"\n{"prompt": "The dog", "n": [1, 2]}\n{"text": "x"}\n');
    return oneOf(scratch, ["a.jsonl"], () => promptsOf(join(scratch, "a.jsonl")));
  },
  source: async (scratch, root) => {
    const call = engine();
    const sources = [
      "org/name@refs%2Fpr%2F1",
      "https://huggingface.co/org/name/tree/main",
      "http://127.0.0.1:9/a/b?x=[%00]",
      "/no/such/folder/model.gguf",
      "~/models/x",
    ].map((source) => Buffer.from(source));
    return async (draw) => {
      const source = draw ? changedOneOf(sources, draw).toString() : join(root, "test", "golden", "characters");
      return { open: importing(call, source, join(scratch, "out-source")), files: [] };
    };
  },
};
