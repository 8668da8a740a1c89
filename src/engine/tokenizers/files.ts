/**
 * Tokenizers in Hugging Face's files: `tokenizer.json` (the vocabulary and how it is applied) and `tokenizer_config.json`
 * (the special tokens). Trained tokenizers are written so that the tokenizers libraries of Python, Rust and JavaScript
 * produce the same ids; imported ones are written back unchanged.
 */

import { join } from "node:path";
import { JSON_LIMITS } from "../../files/json";
import { FileProblem, readRegular } from "../../files/regular";
import { EngineError } from "../errors";
import { readError, writeFileWhole } from "../weights/files";
import { parsedJson } from "../weights/reading";
import { parseSlowFiles } from "./slowFiles";
import type { Tokenizer } from "./tokenizer";
import { type ModelIds, ONIGURUMA_WORD_PATTERN, parseTokenizer, sourceFiles } from "./tokenizerJson";

/** Writes `tokenizer.json` and `tokenizer_config.json` into a folder; a second tokenizer's names get a `prefix`. */
export async function saveTokenizer(tokenizer: Tokenizer, dir: string, prefix = ""): Promise<void> {
  const files = tokenizerFiles(tokenizer);
  for (const [name, text] of Object.entries(files)) await writeFileWhole(join(dir, prefix + name), text);
}

/** Contents of the two files, by name. */
export function tokenizerFiles(tokenizer: Tokenizer): Record<"tokenizer.json" | "tokenizer_config.json", string> {
  const { json, config } = tokenizer.source
    ? sourceFiles(tokenizer.source, tokenizer.model)
    : { json: tokenizerJson(tokenizer), config: tokenizerConfig(tokenizer) };
  return {
    "tokenizer.json": `${JSON.stringify(json, null, 1)}\n`,
    "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
  };
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a folder's tokenizer: `tokenizer.json`, or `vocab.json` and `merges.txt` as in GPT-2 and Qwen2. The special tokens
 * come from `tokenizer_config.json`; those that it leaves out come from `special_tokens_map.json` and `added_tokens.json`,
 * then from `generation_config.json` or `config.json`.
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const read = async (name: string): Promise<Json | null> => {
    const json = await readJson(join(dir, name));
    return json === null ? null : recordOf(json);
  };
  const [map, config] = [await read("special_tokens_map.json"), await read("tokenizer_config.json")];
  const special = specialIn(map, config);
  const merged = { ...map, ...config, ...(special.length > 0 && { additional_special_tokens: special }) };
  const model = (await read("config.json")) ?? {};
  const ids = modelIds(await read("generation_config.json"), model);
  const json = await readJson(join(dir, "tokenizer.json"));
  const added = (await read("added_tokens.json")) ?? {};
  if (json !== null) return parseTokenizer(json, withAdded(merged, added, json), ids);

  const vocab = await readJson(join(dir, "vocab.json"));
  const merges = await readText(join(dir, "merges.txt"), LARGEST_MERGES);
  if (vocab === null || merges === null) {
    throw new EngineError("tokenizer", `${dir} has no tokenizer.json. Choose a model folder that has one.`);
  }
  return parseSlowFiles({ vocab, merges, settings: withAdded(merged, added), modelType: model.model_type, ids });
}

const recordOf = (json: unknown): Json =>
  typeof json === "object" && json !== null && !Array.isArray(json) ? (json as Json) : {};

/** Tokens that either file lists as special without a role; newer files name them. */
function specialIn(...files: readonly (Json | null)[]): readonly unknown[] {
  const lists = files.flatMap((file) => [file?.additional_special_tokens, file?.extra_special_tokens]);
  return lists.flatMap((list) => (typeof list === "object" && list !== null ? Object.values(list) : []));
}

const ROLES = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

/** The settings with the tokens of added_tokens.json, which old folders have in place of `added_tokens_decoder`. */
function withAdded(settings: Json, added: Json, tokenizerJson?: unknown): Json {
  if (settings.added_tokens_decoder !== undefined) return settings;
  const { added_tokens: list, model } = recordOf(tokenizerJson);
  const known = Array.isArray(list) ? list.map(recordOf) : [];
  const contents = new Set([...known.map(({ content }) => content), ...Object.keys(recordOf(recordOf(model).vocab))]);
  const ids = new Set([...known.map(({ id }) => id), ...Object.values(recordOf(recordOf(model).vocab))]);
  const contentOf = (token: unknown) => (typeof token === "string" ? token : recordOf(token).content);
  const roles = [...ROLES.map((role) => settings[role]), ...[settings.additional_special_tokens].flat()];
  const special = new Set(roles.map(contentOf));
  const more = Object.entries(added).filter(([content, id]) => !contents.has(content) && !ids.has(id));
  if (more.length === 0) return settings;
  const tokens = more.map(([content, id]) => {
    const isSpecial = special.has(content);
    return [typeof id === "number" ? id : -1, { content, special: isSpecial, normalized: !isSpecial }];
  });
  return { ...settings, added_tokens_decoder: Object.fromEntries(tokens) };
}

/** Reads a folder's second tokenizer, which `saveTokenizer` wrote with a prefix. */
export async function loadPrefixedTokenizer(dir: string, prefix: string): Promise<Tokenizer> {
  const json = await readJson(join(dir, `${prefix}tokenizer.json`));
  if (json !== null) return parseTokenizer(json, await readJson(join(dir, `${prefix}tokenizer_config.json`)));
  throw new EngineError(
    "tokenizer",
    `${dir} has no ${prefix}tokenizer.json. Choose a model folder that has one, or train the model again.`,
  );
}

/** Ids of generation_config.json, which replaces config.json's. */
function modelIds(generation: Json | null, model: Json): ModelIds {
  // Several ids may end a text; the tokenizer uses the first.
  const first = (value: unknown) => [value].flat().find(isId);
  return {
    bos: first(generation?.bos_token_id ?? model.bos_token_id),
    eos: first((generation ?? model).eos_token_id),
    pad: first(generation?.pad_token_id ?? model.pad_token_id),
  };
}

const isId = (value: unknown): value is number => typeof value === "number" && Number.isInteger(value) && value >= 0;

function tokenizerJson({ kind, model, added, bosId, unkId, addBos, token }: Tokenizer) {
  const vocab = Object.fromEntries(model.vocabulary.map((content, id) => [content, id]));
  const unknown = unkId === null ? null : token(unkId);
  const bytePairs = kind === "bytePairs";
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const words = { type: "Split", pattern: { Regex: ONIGURUMA_WORD_PATTERN }, behavior: "Isolated", invert: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added.map((t) => ({ ...t, single_word: false, lstrip: false, rstrip: false, normalized: false })),
    normalizer: null,
    pre_tokenizer: bytePairs ? byteLevel : kind === "words" ? words : null,
    post_processor: addBos && bosId !== null ? startWith(token(bosId), bosId) : null,
    decoder: bytePairs ? byteLevel : { type: "Fuse" },
    model:
      kind === "words"
        ? { type: "WordLevel", vocab, unk_token: unknown }
        : {
            type: "BPE",
            dropout: null,
            unk_token: unknown,
            continuing_subword_prefix: null,
            end_of_word_suffix: null,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab,
            merges: model.merges,
          },
  };
}

function tokenizerConfig({ bosId, eosId, padId, unkId, addBos, token }: Tokenizer) {
  const content = (id: number | null) => (id === null ? null : token(id));
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: content(bosId),
    eos_token: content(eosId),
    pad_token: content(padId),
    unk_token: content(unkId),
    add_bos_token: addBos,
    clean_up_tokenization_spaces: false,
  };
}

/** A post-processor that prepends a special token to a text. */
export function startWith(token: string, id: number) {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (id: "A" | "B") => ({ Sequence: { id, type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [special, text("A")],
    pair: [special, text("A"), text("B")],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/** Twice the size of the largest known tokenizer. */
const LARGEST_FILE = 64 * 2 ** 20;
const LARGEST_MERGES = 32 * 2 ** 20;

async function readText(path: string, largest = LARGEST_FILE): Promise<string | null> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readRegular(path, largest));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (error instanceof FileProblem)
      throw new EngineError("tokenizer", `${path} ${error.problem}. Download the file again.`, { cause: error });
    if (error instanceof TypeError) {
      throw new EngineError("tokenizer", `${path} is not UTF-8 text. Download the file again.`, {
        cause: error,
      });
    }
    throw readError(error, path);
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  if (text === null) return null;
  return parsedJson(
    text,
    JSON_LIMITS,
    (problem, cause) => new EngineError("tokenizer", `${path} ${problem}. Download the file again.`, { cause }),
    path,
  );
}
