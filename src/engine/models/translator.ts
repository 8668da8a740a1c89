/** A translator in memory: its weights on a device, and what was compiled for them. */

import { EngineError } from "../errors";
import { Translator } from "../generate/translate";
import type { Trace } from "../inspect/trace";
import { TranslationTracer } from "../inspect/translation";
import { chooseDevice, type DeviceChoice } from "../runtime/devices";
import { type DeviceWeights, mapWeights } from "../runtime/weights";
import { SENTENCE } from "../tokenizers";
import { sentenceIds } from "../train/translation";
import { openTranslation, type Translation } from "./folder";

export interface TranslatedSentence {
  /** Of the target, without EOS. */
  readonly ids: readonly number[];
  readonly text: string;
}

export class LoadedTranslator {
  readonly #tracer: TranslationTracer;
  readonly #translator: Translator;

  private constructor(
    readonly model: Translation,
    readonly weights: DeviceWeights,
    readonly deviceReason: string,
  ) {
    this.#translator = new Translator(model.cfg, weights);
    this.#tracer = new TranslationTracer(model.cfg, weights);
  }

  static async open(dir: string, choice: DeviceChoice): Promise<LoadedTranslator> {
    const model = await openTranslation(dir);
    const { device, reason } = await chooseDevice(choice);
    return new LoadedTranslator(model, await mapWeights(model.cfg, model.weights, device), reason);
  }

  /** A sentence's ids, BOS and EOS included. */
  sourceIds(text: string): number[] {
    return this.#fitting(sentenceIds(this.model.source, text));
  }

  /** The most likely translation, token by token. */
  async translate(source: readonly number[], maxNewTokens = Infinity): Promise<TranslatedSentence> {
    const [written = []] = await this.#translator.translate([this.#fitting(source)], { maxNewTokens });
    const ids = written.filter((id) => id !== SENTENCE.eosId);
    return { ids, text: this.model.target.decode(ids) };
  }

  /** Every value of both stacks, over sources and the translations that the model gives them. */
  async trace(sources: readonly (readonly number[])[]): Promise<Trace> {
    const targets: number[][] = [];
    for (const source of sources) {
      const { ids } = await this.translate(source);
      // What is written last has no token after it to be read for.
      targets.push([SENTENCE.bosId, ...ids].slice(0, this.model.cfg.decoder.nCtx));
    }
    return this.#tracer.trace(sources, targets);
  }

  async release(): Promise<void> {
    await this.#translator.release();
    await this.#tracer.release();
    await this.weights.release();
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
