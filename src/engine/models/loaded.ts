/** Models in memory: what decoders and translators have in common. */

import { totalmem } from "node:os";
import type { Device } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import type {
  Attribution,
  AttributionOptions,
  Expectations,
  Intervention,
  LensOptions,
  PromptScore,
  StackName,
  TraceSource,
} from "../api/trace";
import { softmax } from "../generate/sampling";
import { sizeOf } from "../graph/shape";
import { Attributor } from "../inspect/attribution";
import type { ComparedTrace } from "../inspect/compare";
import { expectationsIn, logitsAfter } from "../inspect/expectation";
import type { TraceIntervention } from "../inspect/interventions";
import { type LensReading, LogitLens, type WithSignal } from "../inspect/lens";
import { nextToken, vocabularyTexts } from "../inspect/nextToken";
import { promptScoreOf } from "../inspect/promptScore";
import type { Readout } from "../inspect/readout";
import { residualNorms, type Trace } from "../inspect/trace";
import type { SavedTrace } from "../inspect/traceFile";
import { decoderOf, type ModelConfig } from "../nn/config";
import { paramSpecs } from "../nn/params";
import { type DeviceWeights, mapWeights, placeWeights, type StoredWeights } from "../runtime/weights";
import type { Tokenizer } from "../tokenizers";
import { bytesOf, isCheckpoint, type Model, readParams, type Translation } from "./folder";
import { Turns } from "./turns";

/** A trace with what was computed from it at once. */
export interface Inspection {
  readonly tokens: readonly TokenSpan[];
  /** Only in a translator's inspection; `tokens` are then BOS and the translation. */
  readonly source?: TraceSource | undefined;
  readonly trace: Trace;
  /** Next-token probabilities after the last token, [V]. */
  readonly nextToken: Float32Array;
  /** L2 norm of the residual stream before the first block and after each, [nLayers + 1, T]. */
  readonly residualNorms: Float32Array;
}

export interface InspectOptions extends WithSignal {
  /** Reads at most this many of the text's last tokens. */
  readonly maxTokens?: number | undefined;
}

/** Number of most likely next tokens that are kept with a trace. */
export const TOKENS_KEPT = 100;

export abstract class Loaded<M extends Model | Translation> {
  /** Computations run one at a time: they share the device and, in a large model, memory. */
  protected readonly turns: Turns;
  readonly #lens: LogitLens;
  readonly #attributor: Attributor;
  readonly #vocabularies = new Map<StackName, readonly string[]>();

  protected constructor(
    readonly model: M,
    readonly weights: DeviceWeights,
    readonly deviceReason: string,
  ) {
    this.turns = new Turns(2 * memoryOf(model) > MEMORY_SHARE * totalmem());
    this.#lens = this.turns.add(new LogitLens(decoderOf(model.cfg), weights));
    this.#attributor = this.turns.add(new Attributor(model.cfg, weights));
  }

  /** The tokenizer of the text that a stack reads. */
  abstract tokenizerOf(stack: StackName): Tokenizer;

  /** Runs the model over a text and records everything but the scores and patterns of attention. */
  abstract inspect(text: string, options?: InspectOptions): Promise<Inspection>;

  /** Runs the tokens of an inspection again, with interventions. */
  abstract intervene(inspection: Inspection, interventions: readonly TraceIntervention[]): Promise<Inspection>;

  /** Records every value over rows of ids; one row can also have interventions. */
  abstract trace(rows: readonly (readonly number[])[], interventions?: readonly TraceIntervention[]): Promise<Trace>;

  /** The tokenizer of the text that the model writes. */
  get writer(): Tokenizer {
    return this.tokenizerOf("decoder");
  }

  /** Texts of the tokens that the model writes, [V]. */
  get vocabulary(): readonly string[] {
    return this.vocabularyOf("decoder");
  }

  /** Texts of the tokens that a stack reads, [V]: see `vocabularyTexts`. */
  vocabularyOf(stack: StackName = "decoder"): readonly string[] {
    const { cfg } = this.model;
    const { vocabSize } = stack === "encoder" && "encoder" in cfg ? cfg.encoder : decoderOf(cfg);
    const texts = this.#vocabularies.get(stack) ?? vocabularyTexts(vocabSize, this.tokenizerOf(stack));
    this.#vocabularies.set(stack, texts);
    return texts;
  }

  /** An inspection without its values, as trace files and the views have it. */
  summary(
    { tokens, source, residualNorms, nextToken: probabilities }: Inspection,
    interventions: readonly Intervention[],
    milliseconds: number,
  ): SavedTrace {
    const { info: model, cfg: config } = this.model;
    return {
      model,
      config,
      tokens,
      source,
      residualNorms,
      nextToken: nextToken(probabilities, this.writer, TOKENS_KEPT),
      interventions,
      device: this.weights.device,
      milliseconds,
    };
  }

  /** Predictions from every layer of a trace's residual stream. */
  lens(trace: Trace, options: LensOptions & WithSignal): Promise<LensReading> {
    return this.turns.take(this.#lens, () => this.#lens.look(trace, options));
  }

  /** How likely each token of a trace was, given those before it. */
  expectations(trace: Trace, signal?: AbortSignal): Promise<Expectations> {
    return this.turns.take(this.#lens, () => expectationsIn(trace, decoderOf(this.model.cfg), this.readout, signal));
  }

  /** The prediction after a prompt and the prompt's loss; `ids` are the tokens whose probabilities are returned. */
  async scorePrompt(text: string, ids: readonly number[], options: InspectOptions = {}): Promise<PromptScore> {
    const inspection = await this.inspect(text, options);
    const expectations = await this.expectations(inspection.trace, options.signal);
    return promptScoreOf(inspection, expectations, ids, this.vocabulary);
  }

  /** Logits after a position of a trace, [V]: see `inspect/expectation.ts`. */
  logitsAfter(trace: Trace, position: number): Promise<Float32Array> {
    return this.turns.take(this.#lens, () => logitsAfter(trace, decoderOf(this.model.cfg), this.readout, position));
  }

  /** The contribution of each part of the model to a token's logit. */
  attribution(
    trace: Trace,
    options: AttributionOptions,
    interventions: readonly Intervention<unknown>[],
  ): Promise<Attribution> {
    return this.turns.take(this.#attributor, () => this.#attributor.attribute(trace, options, interventions));
  }

  /** A trace with what comparing it needs. */
  compared(trace: Trace): ComparedTrace {
    return {
      trace,
      cfg: decoderOf(this.model.cfg),
      vocabulary: this.vocabulary,
      logProbabilities: (rows) => this.turns.take(this.#lens, () => this.readout.logProbabilities(rows)),
    };
  }

  async release(): Promise<void> {
    await this.turns.release();
    await this.weights.release();
  }

  protected get readout(): Readout {
    return this.#lens.readout;
  }

  /** The parts of an inspection that are computed from its trace. */
  protected inspected(trace: Trace): Pick<Inspection, "trace" | "nextToken" | "residualNorms"> {
    const { vocabSize, nLayers } = decoderOf(this.model.cfg);
    const logits = trace.get("logits")?.data.subarray(-vocabSize) as Float32Array;
    return { trace, nextToken: softmax(logits), residualNorms: residualNorms(trace, nLayers) };
  }
}

/** Maps weights from their files. Those of a checkpoint are read: its run may delete it, and Windows deletes no mapped file. */
export const loadWeights = async (
  dir: string,
  { cfg, weights }: { readonly cfg: ModelConfig; readonly weights: StoredWeights },
  device: Device,
): Promise<DeviceWeights> =>
  isCheckpoint(dir) ? placeWeights(cfg, await readParams({ cfg, weights }), device) : mapWeights(cfg, weights, device);

/** Share of the machine's memory that weights may use. */
export const MEMORY_SHARE = 0.75;

/** Bytes of the weights in memory: quantized, or in float32. */
export const memoryOf = ({ cfg, weights }: Model | Translation): number =>
  paramSpecs(cfg).reduce((sum, { name, shape }) => {
    const tensor = weights.get(name);
    return sum + (tensor && "bits" in tensor ? bytesOf(tensor) : 4 * sizeOf(shape));
  }, 0);
