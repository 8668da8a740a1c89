/** A model in memory, ready to be looked at and to write: its weights on a device and what was compiled for them. */

import { totalmem } from "node:os";
import type { GenerateResult, GenerationStep } from "../api/generation";
import type { Device, DeviceChoice } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import type { Attribution, AttributionOptions, Expectations, Intervention, LensOptions } from "../api/trace";
import { EngineError } from "../errors";
import { Decoding, gpuAttentionProblem } from "../generate/decoding";
import { type GeneratedStep, type GenerateOptions, generate, generateBatch, TokenCache } from "../generate/generate";
import { softmax } from "../generate/sampling";
import { sizeOf } from "../graph/shape";
import { Attributor } from "../inspect/attribution";
import { expectationsIn, logitsAfter } from "../inspect/expectation";
import { spansOf, stepOf } from "../inspect/generation";
import type { TraceIntervention } from "../inspect/interventions";
import { type LensReading, LogitLens, requireToken, type WithSignal } from "../inspect/lens";
import { vocabularyTexts } from "../inspect/nextToken";
import { type ScoredTokens, type SurprisalOptions, Surprising, surprisalOf } from "../inspect/surprisal";
import type { Trace } from "../inspect/trace";
import { Tracer } from "../inspect/tracer";
import type { ModelConfig } from "../nn/config";
import { paramSpecs } from "../nn/params";
import { chooseDevice } from "../runtime/devices";
import { type DeviceWeights, mapWeights, placeWeights, type StoredWeights } from "../runtime/weights";
import { isCheckpoint, type Model, openModel, readParams } from "./folder";

export interface Inspection {
  readonly tokens: readonly TokenSpan[];
  readonly trace: Trace;
  /** Next-token probabilities after the last token, [V]. */
  readonly nextToken: Float32Array;
  /** L2 norm of the residual stream before the first block and after each, [nLayers + 1, T]. */
  readonly residualNorms: Float32Array;
}

export class LoadedModel {
  readonly #tracer: Tracer;
  readonly #cache: TokenCache;
  readonly #decoding: Decoding;
  readonly #lens: LogitLens;
  readonly #attributor: Attributor;
  #surprising: Surprising | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #vocabulary: readonly string[] | undefined;

  private constructor(
    readonly model: Model,
    readonly weights: DeviceWeights,
    readonly deviceReason: string,
  ) {
    this.#tracer = new Tracer(model.cfg, weights);
    this.#decoding = new Decoding(model.cfg, weights);
    this.#cache = new TokenCache(this.#decoding);
    this.#lens = new LogitLens(model.cfg, weights);
    this.#attributor = new Attributor(model.cfg, weights);
  }

  static async open(dir: string, choice: DeviceChoice): Promise<LoadedModel> {
    const model = await openModel(dir);
    requireMemory(model);
    const { device, reason } = await deviceFor(model, choice);
    return new LoadedModel(model, await loadWeights(dir, model, device), reason);
  }

  /** Too large for a copy of its weights to look at and another to write with. */
  get #isLarge(): boolean {
    return 2 * memoryOf(this.model) > MOST_OF_MEMORY * totalmem();
  }

  /** Each token's text, [V]: see `vocabularyTexts`. */
  get vocabulary(): readonly string[] {
    this.#vocabulary ??= vocabularyTexts(this.model.cfg.vocabSize, this.model.tokenizer);
    return this.#vocabulary;
  }

  /**
   * Writes on from a prompt; `onToken` is told each token with the text so far. `stop` strings end the text before
   * them. Prompts take turns: they share one cache.
   */
  generate(
    prompt: readonly number[],
    options: Omit<GenerateOptions, "eosIds"> & { readonly stop?: readonly string[] },
    onToken: (token: GeneratedStep & { readonly text: string }) => void = () => {},
  ): Promise<GenerateResult> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#decoding);
      const { tokenizer } = this.model;
      const { stop = [], signal } = options;
      const began = performance.now();
      const decoder = tokenizer.decoder(prompt);
      const ids: number[] = [];
      let text = "";
      let reusedTokens = 0;
      let droppedTokens = 0;
      const summary = (reason: GenerateResult["reason"]): GenerateResult => ({
        ids,
        text,
        reason,
        promptTokens: prompt.length,
        reusedTokens,
        droppedTokens,
        milliseconds: performance.now() - began,
      });
      try {
        const steps = generate(this.#cache, prompt, {
          ...options,
          eosIds: this.model.eosIds,
          onPrompt: (n) => (reusedTokens = n),
          onWindow: (n) => (droppedTokens = n),
        });
        for await (const step of steps) {
          ids.push(step.id);
          text += decoder.push(step.id);
          const end = Math.min(...stop.map((s) => text.indexOf(s)).filter((at) => at >= 0));
          if (Number.isFinite(end)) {
            text = text.slice(0, end);
            return summary("stop");
          }
          onToken({ ...step, text });
        }
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
      if (signal?.aborted) return summary("canceled");
      text += decoder.end();
      return summary(ids.length < options.maxNewTokens ? "eos" : "length");
    });
  }

  /** Ids that follow several prompts of any lengths, computed side by side. */
  generateBatch(
    prompts: readonly (readonly number[])[],
    options: Omit<GenerateOptions, "eosIds">,
  ): Promise<number[][]> {
    return this.#inTurn(async () => {
      const decoding = new Decoding(this.model.cfg, this.weights, prompts.length);
      try {
        return await generateBatch(decoding, prompts, { ...options, eosIds: this.model.eosIds });
      } finally {
        await decoding.release();
      }
    });
  }

  /** Everything a forward pass over a text computes, but for the attention of single heads: see `inspect/attention.ts`. */
  inspect(text: string, maxTokens = Infinity): Promise<Inspection> {
    return this.#inTurn(async () => {
      const { tokenizer, cfg } = this.model;
      const ids = tokenizer.encodePrompt(text);
      const first = Math.max(0, ids.length - Math.min(cfg.nCtx, maxTokens));
      return this.#inspection(tokenizer.promptSpans(text).slice(first), ids.slice(first), []);
    });
  }

  /** The same tokens again, changed on the way. */
  intervene(
    { tokens, trace }: Pick<Inspection, "tokens" | "trace">,
    interventions: readonly TraceIntervention[],
  ): Promise<Inspection> {
    return this.#inTurn(() => this.#inspection(tokens, [...(trace.get("ids")?.data ?? [])], interventions));
  }

  /** Writes on from a text, or from the tokens of a branch of one, and tells of each step what there was to choose from. */
  async generationTrace(
    prompt: string | readonly number[],
    { count, ...options }: Omit<GenerateOptions, "eosIds"> & { readonly count: number },
    onStep: (step: GenerationStep) => void = () => {},
  ) {
    const { tokenizer, cfg } = this.model;
    const isText = typeof prompt === "string";
    const ids = isText ? tokenizer.encodePrompt(prompt) : prompt;
    if (ids.length === 0) throw new EngineError("config", "A branch begins with at least one token.");
    for (const id of ids) requireToken(id, cfg);
    const steps: GenerationStep[] = [];
    const onChoice: GenerateOptions["onChoice"] = (choice, logits) => {
      const step = stepOf(choice, logits, tokenizer, count);
      steps.push(step);
      onStep(step);
    };
    const { text, reason } = await this.generate(ids, { ...options, onChoice });
    return { prompt: isText ? tokenizer.promptSpans(prompt) : spansOf(ids, tokenizer), steps, text, reason };
  }

  /** What each place of a trace's residual stream would predict. */
  lens(trace: Trace, options: LensOptions & WithSignal): Promise<LensReading> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#lens);
      return this.#lens.look(trace, options);
    });
  }

  /** How well each token of a trace was expected by the run itself. */
  expectations(trace: Trace, signal?: AbortSignal): Promise<Expectations> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#lens);
      return expectationsIn(trace, this.model.cfg, this.#lens.readout, signal);
    });
  }

  /** Of what comes after a position of a trace, [V]: see `inspect/expectation.ts`. */
  logitsAfter(trace: Trace, position: number): Promise<Float32Array> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#lens);
      return logitsAfter(trace, this.model.cfg, this.#lens.readout, position);
    });
  }

  /** What each part of the model added to a token's logit. */
  attribution(
    trace: Trace,
    options: AttributionOptions,
    interventions: readonly Intervention<unknown>[],
  ): Promise<Attribution> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#attributor);
      return this.#attributor.attribute(trace, options, interventions);
    });
  }

  /** A trace of rows of ids with every value in it; of one row, also changed on the way. */
  trace(rows: readonly (readonly number[])[], interventions: readonly TraceIntervention[] = []): Promise<Trace> {
    return this.#inTurn(() => this.#tracer.trace(rows, "whole", undefined, interventions));
  }

  /** Of the token after each row [N, D] past the final norm, [N, V]. Callers take few rows at a time. */
  logProbabilities(rows: Float32Array): Promise<Float32Array> {
    return this.#inTurn(async () => {
      await this.#useOnly(this.#lens);
      return this.#lens.readout.logProbabilities(rows);
    });
  }

  /** How well each token of a text was expected. Between its windows others have their turns. */
  surprisal(text: string, options: SurprisalOptions): Promise<ScoredTokens> {
    this.#surprising ??= new Surprising(this.model.cfg, this.weights, this.#lens.readout);
    const surprising = this.#surprising;
    return surprisalOf(text, this.model.tokenizer, surprising, options, (work) =>
      this.#inTurn(async () => {
        await this.#useOnly(surprising);
        return work();
      }),
    );
  }

  async release(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#surprising?.release();
      await this.#lens.release();
      await this.#attributor.release();
      await this.#tracer.release();
      await this.#decoding.release();
      await this.weights.release();
    });
  }

  /** Of a large model, what is compiled for one use alone is in memory. */
  async #useOnly(used: { release(): Promise<void> }): Promise<void> {
    if (!this.#isLarge) return;
    const uses = [this.#tracer, this.#decoding, this.#surprising, this.#lens, this.#attributor];
    for (const other of uses) if (other !== used) await other?.release();
  }

  async #inspection(
    tokens: readonly TokenSpan[],
    ids: readonly number[],
    interventions: readonly TraceIntervention[],
  ): Promise<Inspection> {
    await this.#useOnly(this.#tracer);
    const { cfg } = this.model;
    const trace = await this.#tracer.trace([ids], "light", undefined, interventions);
    const logits = trace.get("logits")?.data.subarray(-cfg.vocabSize) as Float32Array;
    return { tokens, trace, nextToken: softmax(logits), residualNorms: residualNorms(trace, cfg.nLayers) };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** In place in their files, but for a checkpoint's: its run may delete it, and Windows deletes no mapped file. */
export const loadWeights = async (
  dir: string,
  { cfg, weights }: { readonly cfg: ModelConfig; readonly weights: StoredWeights },
  device: Device,
): Promise<DeviceWeights> =>
  isCheckpoint(dir) ? placeWeights(cfg, await readParams({ cfg, weights }), device) : mapWeights(cfg, weights, device);

/** The share of the machine's memory that weights may take. */
const MOST_OF_MEMORY = 0.75;

/** Bytes of the weights as they are computed with: quantized, or in float32. */
const memoryOf = ({ cfg, weights }: Model): number =>
  paramSpecs(cfg).reduce((sum, { name, shape }) => {
    const tensor = weights.get(name);
    return sum + (tensor && "bits" in tensor ? tensor.weight.length + tensor.scales.length : 4 * sizeOf(shape));
  }, 0);

function requireMemory(model: Model): void {
  const needed = memoryOf(model);
  if (needed <= MOST_OF_MEMORY * totalmem()) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new EngineError(
    "device",
    `${model.info.name} needs ${gigabytes(needed)} of memory, and this machine has ${gigabytes(totalmem())}; import it with 8-bit or 4-bit weights, or choose a smaller model.`,
  );
}

/** The device that was asked for; of the automatic choice, one that can run the model. */
async function deviceFor({ cfg }: Model, choice: DeviceChoice) {
  const chosen = await chooseDevice(choice);
  const problem = chosen.device === "webgpu" ? gpuAttentionProblem(cfg) : null;
  if (problem === null || choice !== "auto") return chosen;
  return { device: "cpu" as const, reason: `The GPU cannot run this model: ${problem}.` };
}

/** L2 norm of a stack's residual stream before the first block and after each, [nLayers + 1, T]. */
export function residualNorms(trace: Trace, nLayers: number, prefix = ""): Float32Array {
  const names = ["blocks.0.residPre", ...Array.from({ length: nLayers }, (_, l) => `blocks.${l}.residPost`)];
  const rows = names.flatMap((name) => {
    const { data, shape } = trace.get(prefix + name) as { data: Float32Array; shape: readonly number[] };
    const [, T, D] = shape as [number, number, number];
    return Array.from({ length: T }, (_, t) =>
      Math.sqrt(data.subarray(t * D, (t + 1) * D).reduce((sum, x) => sum + x * x, 0)),
    );
  });
  return Float32Array.from(rows);
}
