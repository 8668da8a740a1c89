/**
 * Reads tokenizer.json, with the special tokens of tokenizer_config.json and of the model's own configuration. Everything
 * is checked as it is read, and errors name what is not supported.
 */

import type { AddedToken } from "./added";
import { bytePairModel } from "./bytePairs";
import { characterPairModel } from "./characterPairs";
import type { Merge } from "./merges";
import type { TokenModel } from "./model";
import { parseNormalizer } from "./normalize";
import { damaged, Parts, shown, unknownType, unsupported } from "./refusals";
import { parsePreTokenizer } from "./splits";
import { createTokenizer, type TextRules, type Tokenizer, type TokenizerSource } from "./tokenizer";
import { characterModel, WORD_PATTERN, wordModel } from "./vocabulary";

type Json = Readonly<Record<string, unknown>>;

/** A token's text, alone or in an object, as Hugging Face's files have it. */
type TokenSetting = string | { readonly content?: unknown } | null | undefined;

/** Ids from config.json and generation_config.json, for tokens that the tokenizer's own files do not name. */
export interface ModelIds {
  readonly bos?: number | undefined;
  readonly eos?: number | undefined;
  readonly pad?: number | undefined;
}

/** Larger than any vocabulary. */
const LARGEST_ID = 1 << 20;
const MOST_MERGES = 1 << 21;

/** Creates a tokenizer from the parsed files. */
export function parseTokenizer(json: unknown, config: unknown, ids: ModelIds = {}): Tokenizer {
  const file = record(json);
  const settings = record(config);
  const modelFile = record(file.model);
  // Old files have no type.
  const { type = modelFile.merges === undefined ? undefined : "BPE" } = modelFile;
  if (type !== "BPE" && type !== "WordLevel") {
    throw typeof type === "string" ? unsupported(`a model of type ${shown(type)}`) : damaged("its model has no type");
  }

  const vocabulary = vocabularyById(modelFile.vocab);
  const added = addedTokens(file, settings, vocabulary);
  const idOf = idLookup(vocabulary, added);
  const lead = leadingToken(file.post_processor);
  const vocabSize = Math.max(vocabulary.length, (added.at(-1)?.id ?? -1) + 1);
  const known = (id: number | undefined) => (id !== undefined && id < vocabSize ? id : null);
  const named = (name: string, otherwise: number | undefined): number | null => {
    const setting = settings[name] as TokenSetting;
    return setting === undefined ? known(otherwise) : idOf(setting);
  };

  const wantsBos = typeof settings.add_bos_token === "boolean" ? settings.add_bos_token : null;
  const leadId = lead === null ? null : idOf(lead);
  const namedBos = named("bos_token", ids.bos);
  const bosId = (wantsBos === null ? leadId : null) ?? namedBos ?? leadId;
  const eosId = named("eos_token", ids.eos);
  const padId = named("pad_token", ids.pad);
  const unkId = idOf((modelFile.unk_token ?? settings.unk_token) as TokenSetting);

  const decoder = parseDecoder(file.decoder);
  const { model, rules } = parseModel(type, file, vocabulary, idOf, decoder);
  return createTokenizer(model, {
    added,
    bosId,
    eosId,
    padId,
    // Many files reuse BOS, EOS or padding as the unknown token; those have no text.
    unkId: unkId === bosId || unkId === eosId || unkId === padId ? null : unkId,
    // add_eos_token is ignored: a prompt is meant to be continued.
    addBos: bosId !== null && (wantsBos ?? (leadId === bosId || (!file.post_processor && alwaysLeads(settings)))),
    ...(rules && { rules }),
    source: sourceOf(file, {
      ...settings,
      ...tokenNames({ bos_token: bosId, eos_token: eosId, pad_token: padId }, settings, vocabulary, added),
    }),
  });
}

/** Returns whether the tokenizer's class prepends BOS by default. */
const alwaysLeads = ({ tokenizer_class: name }: Json) => /^(Code)?(Llama|Gemma)Tokenizer(Fast)?$/.test(String(name));

/** Special tokens that only the model's configuration names, to be saved with the tokenizer. */
function tokenNames(
  ids: Readonly<Record<string, number | null>>,
  settings: Json,
  vocabulary: readonly string[],
  added: readonly AddedToken[],
): Json {
  const unnamed = Object.entries(ids).filter(([name, id]) => settings[name] === undefined && id !== null);
  return Object.fromEntries(
    unnamed.map(([name, id]) => [name, added.find((token) => token.id === id)?.content ?? vocabulary[id as number]]),
  );
}

function sourceOf(file: Json, config: Json): TokenizerSource {
  const model = record(file.model);
  // Both are large and kept elsewhere. A null value keeps the position of its key in the file.
  const emptied = { ...model, vocab: null, ...("merges" in model && { merges: null }) };
  return { json: { ...file, model: emptied }, config };
}

/** Restores the contents of the files that a tokenizer was read from. */
export function sourceFiles({ json, config }: TokenizerSource, model: TokenModel): { json: Json; config: Json } {
  const emptied = record(json.model);
  const vocab = Object.fromEntries(model.vocabulary.flatMap((token, id) => (token ? [[token, id]] : [])));
  const filled = { ...emptied, vocab, ...("merges" in emptied && { merges: model.merges }) };
  return { json: { ...json, model: filled }, config };
}

function parseModel(
  type: "BPE" | "WordLevel",
  file: Json,
  vocabulary: readonly string[],
  idOf: (token: TokenSetting) => number | null,
  decoder: Decoder,
): { model: TokenModel; rules?: TextRules } {
  const model = record(file.model);
  const unkId = idOf(model.unk_token as TokenSetting);
  const { leadingSpaces } = decoder;
  if (type === "WordLevel") {
    const split = record(file.pre_tokenizer);
    const isOurs = split.type === "Split" && record(split.pattern).Regex === ONIGURUMA_WORD_PATTERN;
    const { steps, splits, byteLevel } = parsePreTokenizer(file.pre_tokenizer);
    if (byteLevel) throw unsupported("a model of words in bytes");
    const options = isOurs ? {} : { splits, textOf: textWith(decoder.replaced) };
    const rules = { normalizer: parseNormalizer(file.normalizer), prefix: steps, leadingSpaces };
    return { model: wordModel(vocabulary, unkId, options), rules: { ...rules, spaced: !file.decoder } };
  }

  for (const name of ["continuing_subword_prefix", "end_of_word_suffix"]) if (model[name]) throw unsupported(name);
  if (model.dropout) throw unsupported("dropout of merges");
  const merges = parseMerges(model.merges);
  const isPlain = !file.normalizer && !file.pre_tokenizer && !model.byte_fallback && merges.length === 0;
  // A task's vocabulary has an unknown token; a text's characters have at most an end-of-text token.
  if (isPlain) return { model: characterModel(unkId === null ? "characters" : "fixed", vocabulary, unkId) };

  const { steps, splits, byteLevel } = parsePreTokenizer(file.pre_tokenizer);
  const rules = { normalizer: parseNormalizer(file.normalizer), prefix: steps, leadingSpaces };
  const ignoreMerges = model.ignore_merges === true;
  if (byteLevel) return { model: bytePairModel(vocabulary, merges, { splits, ignoreMerges }), rules };
  const options = {
    splits,
    ignoreMerges,
    byteFallback: model.byte_fallback === true,
    unkId,
    fuseUnknown: model.fuse_unk === true,
    textOf: textWith(decoder.replaced),
  };
  return { model: characterPairModel(vocabulary, merges, options), rules };
}

/** Oniguruma, which the Python and Rust libraries use, has the same notation for these properties. */
export const ONIGURUMA_WORD_PATTERN = WORD_PATTERN;

/** The parts of decoding that differ between tokenizers. */
interface Decoder {
  readonly replaced: readonly (readonly [from: string, to: string])[];
  readonly leadingSpaces: number;
}

function parseDecoder(json: unknown, parts = new Parts("decoders")): Decoder {
  const none: Decoder = { replaced: [], leadingSpaces: 0 };
  if (json === null || json === undefined) return none;
  const file = record(json);
  switch (file.type) {
    case "ByteLevel":
    case "ByteFallback":
    case "Fuse":
      return none;
    case "Sequence": {
      const inner = parts.read(file.decoders, (part) => ({ type: record(part).type, ...parseDecoder(part, parts) }));
      const fuse = inner.findIndex(({ type }) => type === "Fuse");
      const strip = inner.findIndex(({ type }) => type === "Strip");
      if (strip >= 0 && (fuse < 0 || strip < fuse)) throw unsupported("a decoder that strips each token");
      return {
        replaced: inner.flatMap(({ replaced }) => replaced),
        leadingSpaces: inner.reduce((sum, { leadingSpaces }) => sum + leadingSpaces, 0),
      };
    }
    case "Metaspace": {
      const { replacement = "▁", prepend_scheme: scheme, add_prefix_space: prefix } = file;
      if (typeof replacement !== "string" || !replacement) throw damaged("its decoder Metaspace has no character");
      const never = scheme === "never" || (scheme === undefined && prefix === false);
      return { replaced: [[replacement, " "]], leadingSpaces: never ? 0 : 1 };
    }
    case "Replace": {
      const what = record(file.pattern).String;
      if (typeof what !== "string" || !what || typeof file.content !== "string") {
        throw unsupported("a decoder Replace of anything but a text");
      }
      return { replaced: [[what, file.content]], leadingSpaces: 0 };
    }
    case "Strip":
      if (file.content !== " " || !isCount(file.start) || file.stop !== 0) {
        throw unsupported("a decoder Strip of anything but spaces at the start");
      }
      return { replaced: [], leadingSpaces: file.start };
    default:
      throw unknownType("decoder", file.type);
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value < LARGEST_ID;

/** Returns a token's text: with every occurrence of a text replaced, in order. */
const textWith = (replaced: Decoder["replaced"]) => (token: string) => {
  let text = token;
  for (const [what, by] of replaced) {
    if (!text.includes(what)) continue;
    const growth = (text.split(what).length - 1) * (by.length - what.length);
    if (text.length + growth > LONGEST_TEXT + 4 * token.length) {
      throw damaged(`its decoder makes the token ${shown(token)} much longer`);
    }
    text = text.replaceAll(what, () => by);
  }
  return text;
};

/** Characters of a token's text, beyond four times its length. */
const LONGEST_TEXT = 64;

/** Returns the special token that a post-processor prepends to a text; null if there is none. */
function leadingToken(json: unknown, parts = new Parts("post-processors")): string | null {
  if (json === null || json === undefined) return null;
  const file = record(json);
  switch (file.type) {
    case "ByteLevel":
      return null;
    case "Sequence": {
      const found = parts.read(file.processors, (inner) => leadingToken(inner, parts));
      return found.find((token) => token !== null) ?? null;
    }
    // [token, id]; `sep` follows the text, and a prompt is meant to be continued.
    case "RobertaProcessing":
    case "BertProcessing": {
      const token = Array.isArray(file.cls) ? file.cls[0] : undefined;
      if (typeof token !== "string") throw damaged("its post-processor has no start token");
      return token;
    }
    case "TemplateProcessing": {
      const before: unknown[] = [];
      for (const item of listOf(file.single, "single")) {
        const special = record(item).SpecialToken;
        if (special === undefined) break;
        before.push(record(special).id);
      }
      if (before.length > 1) throw unsupported("a post-processor that prepends several tokens");
      const [token = null] = before;
      if (token !== null && typeof token !== "string") throw damaged("a post-processor's token is not a text");
      return token;
    }
    default:
      throw unknownType("post-processor", file.type);
  }
}

/** `{ "a": 0, "b": 1 }` -> `["a", "b"]`: every id must be unique; a missing id becomes "". */
function vocabularyById(vocab: unknown): string[] {
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab)) throw damaged("it has no vocabulary");
  if (Object.keys(vocab).length > LARGEST_ID) throw damaged(`it has more than ${LARGEST_ID} tokens`);
  const entries = Object.entries(vocab);
  if (entries.length === 0) throw damaged("it has no vocabulary");
  const byId: string[] = [];
  let given = 0;
  const seen = new Uint8Array(LARGEST_ID);
  for (const [token, id] of entries) {
    const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id < LARGEST_ID;
    if (!isId || seen[id]) throw damaged(`the id ${shown(id)} of ${shown(token)} is used twice or out of range`);
    seen[id] = 1;
    given = Math.max(given, id + 1);
  }
  for (let id = 0; id < given; id++) byId.push("");
  for (const [token, id] of entries) byId[id as number] = token;
  return byId;
}

/** Added tokens of tokenizer.json and tokenizer_config.json, and special tokens that only the latter names. */
function addedTokens(file: Json, config: Json, vocabulary: readonly string[]): readonly AddedToken[] {
  const byId = new Map<number, AddedToken>();
  const idOfContent = new Map<string, number>();
  const idInVocabulary = new Map(vocabulary.map((token, id) => [token, id]));
  const add = (token: AddedToken): void => {
    const known = byId.get(token.id)?.content ?? (vocabulary[token.id] || token.content);
    const id = idOfContent.get(token.content) ?? idInVocabulary.get(token.content) ?? token.id;
    if (known !== token.content || id !== token.id) {
      throw damaged(`the id ${token.id} of the added token ${shown(token.content)} is used twice`);
    }
    byId.set(token.id, token);
    idOfContent.set(token.content, token.id);
  };

  for (const token of listOf(file.added_tokens, "added_tokens")) {
    const parsed = addedToken(token);
    if (byId.has(parsed.id)) throw damaged(`the id ${parsed.id} of an added token is used twice`);
    add(parsed);
  }
  const more = config.added_tokens_decoder ?? {};
  if (typeof more !== "object" || more === null || Array.isArray(more))
    throw damaged("its added_tokens_decoder is not an object");
  for (const [id, token] of Object.entries(more)) add(addedToken({ ...record(token), id: Number(id) }));

  const extra = Array.isArray(config.additional_special_tokens) ? config.additional_special_tokens : [];
  const roles = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
  const names = roles.map((name) => config[name]);
  for (const setting of [...names, ...extra]) {
    const content = contentOf(setting as TokenSetting);
    const id = content === undefined ? undefined : idInVocabulary.get(content);
    if (content && id !== undefined && !byId.has(id)) add({ id, content, special: true });
  }
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

function addedToken(json: unknown): AddedToken {
  const { id, content, special, lstrip, rstrip, single_word, normalized } = record(json);
  const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id < LARGEST_ID;
  if (!isId || typeof content !== "string") throw damaged("an added token has no id or content");
  return {
    id,
    content,
    special: special === true,
    ...(lstrip === true && { lstrip }),
    ...(rstrip === true && { rstrip }),
    ...(single_word === true && { singleWord: true }),
    ...(normalized === true && { normalized }),
  };
}

function parseMerges(merges: unknown): readonly Merge[] {
  if (!Array.isArray(merges)) throw damaged("its merges are not a list");
  if (merges.length > MOST_MERGES)
    throw damaged(`it has ${merges.length} merges, and at most ${MOST_MERGES} are supported`);
  return merges.map(parseMerge);
}

/** `"a b"`, or `["a", "b"]` in newer files. */
function parseMerge(merge: unknown): Merge {
  const [left, right, more] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  if (typeof left !== "string" || typeof right !== "string" || !left || !right || more !== undefined)
    throw damaged(`the merge ${shown(merge)} is not a pair of tokens`);
  return [left, right];
}

function contentOf(setting: TokenSetting): string | undefined {
  const content = typeof setting === "string" ? setting : setting?.content;
  return typeof content === "string" ? content : undefined;
}

function idLookup(vocabulary: readonly string[], added: readonly AddedToken[]) {
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  for (const { id, content } of added) idOf.set(content, id);
  return (token: TokenSetting): number | null => {
    const content = contentOf(token);
    return content === undefined ? null : (idOf.get(content) ?? null);
  };
}

function record(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function listOf(value: unknown, name: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw damaged(`its ${name} are not a list`);
  return value;
}
