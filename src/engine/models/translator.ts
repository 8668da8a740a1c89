/** A translator in memory: its weights on a device, and what was compiled for them. */

import type { DeviceChoice } from "../api/model";
import type {
  Attribution,
  AttributionOptions,
  Expectations,
  Intervention,
  LensOptions,
  TraceSource,
} from "../api/trace";
import { EngineError } from "../errors";
import { softmax } from "../generate/sampling";
import { Translator } from "../generate/translate";
import { Attributor } from "../inspect/attribution";
import { expectationsIn, logitsAfter } from "../inspect/expectation";
import type { TraceIntervention } from "../inspect/interventions";
import { type LensReading, LogitLens, type WithSignal } from "../inspect/lens";
import { vocabularyTexts } from "../inspect/nextToken";
import type { Trace } from "../inspect/trace";
import { sourceSpans, TranslationTracer, targetSpans } from "../inspect/translation";
import { ENCODER } from "../nn/params";
import { chooseDevice } from "../runtime/devices";
import type { DeviceWeights } from "../runtime/weights";
import { SENTENCE, sentenceIds } from "../tokenizers";
import { openTranslation, type Translation } from "./folder";
import { type Inspection, loadWeights, residualNorms } from "./loaded";

export interface TranslatedSentence {
  /** Of the target, without EOS. */
  readonly ids: readonly number[];
  readonly text: string;
}

/** A run over a sentence and the translation that comes of it; `tokens` are BOS and that translation. */
export interface TranslationInspection extends Inspection {
  readonly source: TraceSource;
}

export class LoadedTranslator {
  readonly #tracer: TranslationTracer;
  readonly #translator: Translator;
  readonly #lens: LogitLens;
  readonly #attributor: Attributor;
  #last: Promise<unknown> = Promise.resolve();
  #vocabulary: readonly string[] | undefined;
  #sourceVocabulary: readonly string[] | undefined;

  private constructor(
    readonly model: Translation,
    readonly weights: DeviceWeights,
    readonly deviceReason: string,
  ) {
    this.#translator = new Translator(model.cfg, weights);
    this.#tracer = new TranslationTracer(model.cfg, weights);
    this.#lens = new LogitLens(model.cfg.decoder, weights);
    this.#attributor = new Attributor(model.cfg, weights);
  }

  static async open(dir: string, choice: DeviceChoice): Promise<LoadedTranslator> {
    const model = await openTranslation(dir);
    const { device, reason } = await chooseDevice(choice);
    return new LoadedTranslator(model, await loadWeights(dir, model, device), reason);
  }

  /** Each target token's text, [V]: see `vocabularyTexts`. */
  get vocabulary(): readonly string[] {
    this.#vocabulary ??= vocabularyTexts(this.model.cfg.decoder.vocabSize, this.model.target);
    return this.#vocabulary;
  }

  /** Each source token's text, likewise. */
  get sourceVocabulary(): readonly string[] {
    this.#sourceVocabulary ??= vocabularyTexts(this.model.cfg.encoder.vocabSize, this.model.source);
    return this.#sourceVocabulary;
  }

  /** A sentence's ids, BOS and EOS included. */
  sourceIds(text: string): number[] {
    return this.#fitting(sentenceIds(this.model.source, text));
  }

  /** The most likely translation, token by token. */
  async translate(
    source: readonly number[],
    maxNewTokens = Infinity,
    signal?: AbortSignal,
  ): Promise<TranslatedSentence> {
    const [written = []] = await this.#translator.translate([this.#fitting(source)], { maxNewTokens, signal });
    const ids = written.filter((id) => id !== SENTENCE.eosId);
    return { ids, text: this.model.target.decode(ids) };
  }

  /**
   * Every value of both stacks, over sources and the translations that the model gives them; of one source, also changed
   * on the way, over the translation that it gives unchanged.
   */
  async trace(
    sources: readonly (readonly number[])[],
    interventions: readonly TraceIntervention[] = [],
  ): Promise<Trace> {
    const targets: number[][] = [];
    for (const source of sources) {
      const { ids } = await this.translate(source);
      targets.push(this.#readIds(ids));
    }
    return this.#tracer.trace(sources, targets, interventions);
  }

  /**
   * Everything that is computed while a sentence is read and its greedy translation is written. Of a line of a file of
   * pairs, the sentence is what is before the tab.
   */
  inspect(text: string, signal?: AbortSignal): Promise<TranslationInspection> {
    return this.#inTurn(async () => {
      const { source, target } = this.model;
      const [sentence = ""] = text.split("\t", 1);
      const sourceIds = this.sourceIds(sentence);
      const { ids } = await this.translate(sourceIds, Infinity, signal);
      const read = this.#readIds(ids);
      const { tokens, text: translation } = targetSpans(read, target);
      const told = { tokens, source: { tokens: sourceSpans(sentence, source), translation } };
      return this.#inspection(told, sourceIds, read, []);
    });
  }

  /** The same sentence and translation again, changed on the way. */
  intervene(
    { tokens, source, trace }: Pick<TranslationInspection, "tokens" | "source" | "trace">,
    interventions: readonly TraceIntervention[],
  ): Promise<TranslationInspection> {
    const ids = (name: string) => [...(trace.get(name)?.data ?? [])];
    return this.#inTurn(() => this.#inspection({ tokens, source }, ids(`${ENCODER}ids`), ids("ids"), interventions));
  }

  /** What each place of the decoder's residual stream would predict. */
  lens(trace: Trace, options: LensOptions & WithSignal): Promise<LensReading> {
    return this.#inTurn(() => this.#lens.look(trace, options));
  }

  /** How well each token of the translation was expected. */
  expectations(trace: Trace, signal?: AbortSignal): Promise<Expectations> {
    const { decoder } = this.model.cfg;
    return this.#inTurn(() => expectationsIn(trace, decoder, this.#lens.readout, signal));
  }

  /** Of what comes after a position of the translation, [V]. */
  logitsAfter(trace: Trace, position: number): Promise<Float32Array> {
    const { decoder } = this.model.cfg;
    return this.#inTurn(() => logitsAfter(trace, decoder, this.#lens.readout, position));
  }

  /** What each part of the decoder added to a token's logit. */
  attribution(
    trace: Trace,
    options: AttributionOptions,
    interventions: readonly Intervention<unknown>[],
  ): Promise<Attribution> {
    return this.#inTurn(() => this.#attributor.attribute(trace, options, interventions));
  }

  /** Of the token after each row [N, D] past the final norm, [N, V]. Callers take few rows at a time. */
  logProbabilities(rows: Float32Array): Promise<Float32Array> {
    return this.#inTurn(() => this.#lens.readout.logProbabilities(rows));
  }

  async release(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#lens.release();
      await this.#attributor.release();
      await this.#translator.release();
      await this.#tracer.release();
      await this.weights.release();
    });
  }

  async #inspection(
    {
      tokens,
      source,
    }: Pick<TranslationInspection, "tokens"> & {
      readonly source: Omit<TranslationInspection["source"], "residualNorms">;
    },
    sourceIds: readonly number[],
    ids: readonly number[],
    interventions: readonly TraceIntervention[],
  ): Promise<TranslationInspection> {
    const { encoder, decoder } = this.model.cfg;
    const trace = await this.#tracer.trace([sourceIds], [ids], interventions);
    const logits = trace.get("logits")?.data.subarray(-decoder.vocabSize) as Float32Array;
    return {
      tokens,
      trace,
      nextToken: softmax(logits),
      residualNorms: residualNorms(trace, decoder.nLayers),
      source: { ...source, residualNorms: residualNorms(trace, encoder.nLayers, ENCODER) },
    };
  }

  /** What the decoder reads to write these ids: what is written last has no token after it to be read for. */
  #readIds(ids: readonly number[]): number[] {
    return [SENTENCE.bosId, ...ids].slice(0, this.model.cfg.decoder.nCtx);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #fitting<Ids extends readonly number[]>(ids: Ids): Ids {
    const { nCtx, vocabSize } = this.model.cfg.encoder;
    const wrong = ids.find((id) => id >= vocabSize);
    if (wrong !== undefined) {
      throw new EngineError(
        "tokenizer",
        `There is no token ${wrong}; the ids of what this model translates go from 0 to ${vocabSize - 1}.`,
      );
    }
    if (ids.length <= nCtx) return ids;
    throw new EngineError(
      "config",
      `The sentence has ${ids.length} tokens and the model's context ${nCtx}; translate a shorter one.`,
    );
  }
}
