/** Prepares a run before its first step: reads and tokenizes the data, and derives the model configuration. */

import { createHash } from "node:crypto";
import type { TextSource, TrainConfig } from "../api/run";
import {
  ADDITION,
  type Arithmetic,
  equationBlockSize,
  openCorpus,
  readSentences,
  requireContext,
  requireDocuments,
  splitDocuments,
  splitTokens,
  type TokenizedText,
  tokenizeCorpus,
  type Vocabulary,
} from "../data";
import { readPairs, splitPairs } from "../data/pairs";
import { tokensWithin } from "../data/tokens";
import { EngineError } from "../errors";
import type { Model } from "../models/folder";
import { asGpt2 } from "../models/gpt2";
import { classicDecoder, type DecoderConfig, encoderDecoder, type ModelConfig } from "../nn/config";
import type { FineTuning, PairsData, Preset, SentencesData, TextData } from "../presets/presets";
import { adderTokenizer, sentenceIds, type Tokenizer, trainSentences } from "../tokenizers";
import type { RunControl } from "./control";
import { adderTrainingData, sentenceData, type TrainingData, textData } from "./data";
import { translationData } from "./translation";

/** Data, tokenizer and model configuration of a run. */
export interface Material {
  readonly cfg: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** The target tokenizer of a translator. */
  readonly target: Tokenizer | null;
  readonly data: TrainingData;
  /** Identifies the training data. */
  readonly fingerprint: string;
}

/** Reads and tokenizes the data of a recipe, with the tokenizer of `base` if there is one. */
export async function prepare(
  recipe: Preset | FineTuning,
  source: TextSource | undefined,
  { signal, report }: Pick<RunControl, "signal" | "report">,
  base: Pick<Model, "cfg" | "tokenizer"> | null = null,
): Promise<Material> {
  const { name, data } = recipe;
  const config = wholeBatches(recipe.train);
  if (data.kind === "adder" && "model" in recipe) {
    return prepareArithmetic({ ...recipe, train: config }, data);
  }
  if (data.kind === "pairs" && "model" in recipe)
    return prepareTranslation({ ...recipe, train: config }, data, source, { signal, report });
  if (data.kind === "sentences" && "model" in recipe) {
    return prepareSentences({ ...recipe, train: config }, data, source, { signal, report }, base);
  }
  if (!source || data.kind !== "text")
    throw new EngineError("data", `The preset ${name} trains on a text. Choose a file or a folder.`);
  const prepare = (message: string, fraction: number | null) => report({ kind: "prepare", message, fraction });
  prepare("Reading the text", null);
  const corpus = await openCorpus(source, data);
  const { skipped } = corpus;
  if (skipped > 0)
    prepare(`Reading the text (skipping ${skipped} ${skipped > 1 ? "files that are" : "file that is"} not text)`, null);
  const known = "model" in recipe ? null : base;
  const text = await tokenizeCorpus(corpus, known?.tokenizer ?? vocabularyOf(data), {
    documents: data.endDocuments ? "ended" : data.split === "document" ? "apart" : "joined",
    signal,
    onProgress: (stage, fraction) =>
      prepare(stage === "reading" ? "Reading the text" : "Tokenizing the text", fraction),
  });
  const { tokenizer, fingerprint, release } = text;
  const tokens = known ? tokensWithin(text.tokens, tokenizer, known.cfg) : text.tokens;
  const splits = await splitText(corpus.name, { ...text, tokens }, data, config);
  return {
    cfg: "model" in recipe ? decoderFor(recipe, tokenizer, config.blockSize) : (base as Model).cfg,
    tokenizer,
    target: null,
    data: textData(splits, config, { order: data.order, release }),
    fingerprint,
  };
}

/** Batches that are accumulated over several passes are drawn, evaluated and counted as one. */
const wholeBatches = (train: TrainConfig): TrainConfig => ({
  ...train,
  batchSize: train.batchSize * train.gradientAccumulation,
});

/** The decoder of a preset, for a vocabulary and a context length. */
function decoderFor({ model, family }: Preset, { vocabSize }: Tokenizer, nCtx: number): DecoderConfig {
  const cfg = classicDecoder({ ...model, vocabSize, nCtx });
  return family === "gpt2" ? asGpt2(cfg) : cfg;
}

/** The vocabulary to learn from a text. */
function vocabularyOf({
  tokenizer: kind = "characters",
  vocabSize = 0,
  endDocuments: endOfText,
}: TextData): Vocabulary {
  return kind === "characters" ? { kind, endOfText } : { kind, vocabSize, endOfText };
}

function prepareArithmetic(recipe: Preset, task: Arithmetic): Material {
  const { name, train } = recipe;
  const T = equationBlockSize(task);
  if (train.blockSize !== T) {
    throw new EngineError("config", `train.blockSize of ${name} is ${T}, the length of an equation. Leave it out.`);
  }
  const tokenizer = adderTokenizer();
  const { digits, operator, reversed } = task;
  const isKnown = digits === ADDITION.digits && operator === ADDITION.operator && !reversed;
  return {
    cfg: decoderFor(recipe, tokenizer, T + 1),
    tokenizer,
    target: null,
    data: adderTrainingData(train, task),
    fingerprint: isKnown ? "adder" : `adder ${digits} ${operator} ${reversed}`,
  };
}

/** Prepares the sentences of a text. */
async function prepareSentences(
  recipe: Preset,
  { lowercase, unknown }: SentencesData,
  source: TextSource | undefined,
  { signal, report }: Pick<RunControl, "signal" | "report">,
  base: Pick<Model, "tokenizer"> | null,
): Promise<Material> {
  const { name, train } = recipe;
  if (!source) {
    throw new EngineError("data", `The preset ${name} trains on sentences. Choose a file with one sentence per line.`);
  }
  report({ kind: "prepare", message: "Reading the sentences", fraction: null });
  const sentences = await readSentences(source, signal);
  const tokenizer =
    base?.tokenizer ?? trainSentences(sentences, { lowercase, unknown: unknown === "unk", prompts: true });
  const ids = sentences.map((sentence) => sentenceIds(tokenizer, sentence));
  const longest = ids.findIndex(({ length }) => length - 1 > train.blockSize);
  if (longest >= 0) {
    throw new EngineError(
      "data",
      `"${sentences[longest]?.slice(0, 60)}" has ${ids[longest]?.length} tokens with <bos> and <eos>, more than the context of ${train.blockSize}. Leave it out, or train with a larger train.blockSize.`,
    );
  }
  return {
    cfg: decoderFor(recipe, tokenizer, train.blockSize),
    tokenizer,
    target: null,
    data: sentenceData(ids, train),
    fingerprint: createHash("sha256").update(sentences.join("\n")).digest("hex"),
  };
}

/** Vocabularies are learned from the training pairs only: held-out pairs may contain unknown words. */
async function prepareTranslation(
  { name, model, train }: Preset,
  { validationShare, lowercase }: PairsData,
  source: TextSource | undefined,
  { signal, report }: Pick<RunControl, "signal" | "report">,
): Promise<Material> {
  if (!source) {
    throw new EngineError(
      "data",
      `The preset ${name} trains on sentence pairs. Choose a file with a tab between each sentence and its translation.`,
    );
  }
  report({ kind: "prepare", message: "Reading the sentence pairs", fraction: null });
  const pairs = await readPairs(source, signal);
  const splits = splitPairs(pairs, validationShare, train.seed);
  const tokenizers = {
    source: trainSentences(
      splits.train.map((pair) => pair.source),
      { lowercase },
    ),
    target: trainSentences(
      splits.train.map((pair) => pair.target),
      { lowercase },
    ),
  };
  const cfg = encoderDecoder({
    ...model,
    nEncoderLayers: model.nEncoderLayers ?? model.nLayers,
    sourceVocabSize: tokenizers.source.vocabSize,
    vocabSize: tokenizers.target.vocabSize,
    nCtx: train.blockSize,
  });
  const hash = createHash("sha256");
  for (const pair of pairs) hash.update(`${pair.source}\t${pair.target}\n`);
  return {
    cfg,
    tokenizer: tokenizers.source,
    target: tokenizers.target,
    data: translationData(splits, tokenizers, train),
    fingerprint: hash.digest("hex"),
  };
}

/** Splits a text, and throws if a part is too short. */
async function splitText(
  name: string,
  { tokens, documentEnds }: TokenizedText,
  { split, validationShare: validation }: TextData,
  { blockSize, seed }: TrainConfig,
) {
  if (split === "document") {
    const splits = splitDocuments(tokens, await documentEnds(), { validation }, seed);
    requireDocuments(name, splits, { validation }, blockSize);
    return splits;
  }
  requireContext(name, tokens, { validation }, blockSize);
  return splitTokens(tokens, { validation });
}
