/** A translator in memory, ready to translate and to be inspected. */

import type { DeviceChoice } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import type { StackName, TraceSource } from "../api/trace";
import { EngineError } from "../errors";
import { Translator } from "../generate/translate";
import type { TraceIntervention } from "../inspect/interventions";
import { residualNorms, type Trace } from "../inspect/trace";
import { sourceSpans, TranslationTracer, targetSpans } from "../inspect/translation";
import { ENCODER } from "../nn/params";
import { chooseDevice } from "../runtime/devices";
import type { DeviceWeights } from "../runtime/weights";
import { SENTENCE, sentenceIds, type Tokenizer } from "../tokenizers";
import { openTranslation, type Translation } from "./folder";
import { type Inspection, type InspectOptions, Loaded, loadWeights } from "./loaded";

export interface TranslatedSentence {
  /** Target ids, without EOS. */
  readonly ids: readonly number[];
  readonly text: string;
}

export class LoadedTranslator extends Loaded<Translation> {
  readonly #tracer: TranslationTracer;
  readonly #translator: Translator;

  private constructor(model: Translation, weights: DeviceWeights, deviceReason: string) {
    super(model, weights, deviceReason);
    this.#translator = this.turns.add(new Translator(model.cfg, weights));
    this.#tracer = this.turns.add(new TranslationTracer(model.cfg, weights));
  }

  static async open(dir: string, choice: DeviceChoice): Promise<LoadedTranslator> {
    const model = await openTranslation(dir);
    const { device, reason } = await chooseDevice(choice);
    return new LoadedTranslator(model, await loadWeights(dir, model, device), reason);
  }

  override tokenizerOf(stack: StackName): Tokenizer {
    return stack === "encoder" ? this.model.source : this.model.target;
  }

  /** Ids of a sentence, including BOS and EOS. */
  sourceIds(text: string): number[] {
    return this.#fitting(sentenceIds(this.model.source, text));
  }

  /** The greedy translation. */
  translate(source: readonly number[], maxNewTokens = Infinity, signal?: AbortSignal): Promise<TranslatedSentence> {
    return this.turns.take(this.#translator, async () => {
      const [written = []] = await this.#translator.translate([this.#fitting(source)], { maxNewTokens, signal });
      const ids = written.filter((id) => id !== SENTENCE.eosId);
      return { ids, text: this.model.target.decode(ids) };
    });
  }

  /** Records every value of both stacks over sources and their greedy translations, computed without interventions. */
  override async trace(
    sources: readonly (readonly number[])[],
    interventions: readonly TraceIntervention[] = [],
  ): Promise<Trace> {
    const targets: number[][] = [];
    for (const source of sources) targets.push(this.#inputIds((await this.translate(source)).ids));
    return this.turns.take(this.#tracer, () => this.#tracer.trace(sources, targets, interventions));
  }

  /** Records both stacks while a sentence is translated. In a line of a file of pairs, the sentence ends at the tab. */
  override async inspect(text: string, { signal }: InspectOptions = {}): Promise<Inspection> {
    const { source, target } = this.model;
    const [sentence = ""] = text.split("\t", 1);
    const sourceIds = this.sourceIds(sentence);
    const ids = this.#inputIds((await this.translate(sourceIds, Infinity, signal)).ids);
    const { tokens, text: translation } = targetSpans(ids, target);
    return this.#inspect(tokens, { tokens: sourceSpans(sentence, source), translation }, sourceIds, ids, []);
  }

  override intervene(
    { tokens, source, trace }: Inspection,
    interventions: readonly TraceIntervention[],
  ): Promise<Inspection> {
    const ids = (name: string) => [...(trace.get(name)?.data ?? [])];
    // A translator's own inspections have a source.
    return this.#inspect(tokens, source as TraceSource, ids(`${ENCODER}ids`), ids("ids"), interventions);
  }

  #inspect(
    tokens: readonly TokenSpan[],
    source: Omit<TraceSource, "residualNorms">,
    sourceIds: readonly number[],
    ids: readonly number[],
    interventions: readonly TraceIntervention[],
  ): Promise<Inspection> {
    return this.turns.take(this.#tracer, async () => {
      const trace = await this.#tracer.trace([sourceIds], [ids], interventions);
      const norms = residualNorms(trace, this.model.cfg.encoder.nLayers, ENCODER);
      return { tokens, source: { ...source, residualNorms: norms }, ...this.inspected(trace) };
    });
  }

  /** The decoder input that predicts these ids: BOS and the ids, cut to the context. */
  #inputIds(ids: readonly number[]): number[] {
    return [SENTENCE.bosId, ...ids].slice(0, this.model.cfg.decoder.nCtx);
  }

  #fitting<Ids extends readonly number[]>(ids: Ids): Ids {
    const { nCtx, vocabSize } = this.model.cfg.encoder;
    const wrong = ids.find((id) => id >= vocabSize);
    if (wrong !== undefined) {
      throw new EngineError(
        "tokenizer",
        `There is no token ${wrong}. The source vocabulary of this model has ids 0 to ${vocabSize - 1}.`,
      );
    }
    if (ids.length <= nCtx) return ids;
    throw new EngineError(
      "config",
      `The sentence has ${ids.length} tokens, but the model's context is ${nCtx}. Translate a shorter sentence.`,
    );
  }
}
