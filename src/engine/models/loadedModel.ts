/** A decoder in memory, ready to generate and to be inspected. */

import { totalmem } from "node:os";
import { byteSize } from "../../text/untrusted";
import type { GenerateResult, GenerationStep } from "../api/generation";
import type { DeviceChoice } from "../api/model";
import type { TokenSpan } from "../api/tokens";
import { EngineError } from "../errors";
import { Decoding } from "../generate/decoding";
import { type GeneratedStep, type GenerateOptions, generate, generateBatch, TokenCache } from "../generate/generate";
import { StopText } from "../generate/stopText";
import { spansOf, stepOf } from "../inspect/generation";
import type { TraceIntervention } from "../inspect/interventions";
import { requireToken } from "../inspect/lens";
import { type ScoredTokens, type SurprisalOptions, surprisalOf, WindowScorer } from "../inspect/surprisal";
import type { Trace } from "../inspect/trace";
import { Tracer } from "../inspect/tracer";
import { requireIds } from "../nn/ids";
import { chooseDevice } from "../runtime/devices";
import type { DeviceWeights } from "../runtime/weights";
import type { Tokenizer } from "../tokenizers";
import { type Model, openModel } from "./folder";
import { type Inspection, type InspectOptions, Loaded, loadWeights, MEMORY_SHARE, memoryOf } from "./loaded";

export class LoadedModel extends Loaded<Model> {
  readonly #tracer: Tracer;
  readonly #cache: TokenCache;
  readonly #decoding: Decoding;
  #windowScorer: WindowScorer | undefined;

  private constructor(model: Model, weights: DeviceWeights, deviceReason: string) {
    super(model, weights, deviceReason);
    this.#tracer = this.turns.add(new Tracer(model.cfg, weights));
    this.#decoding = this.turns.add(new Decoding(model.cfg, weights));
    this.#cache = new TokenCache(this.#decoding);
  }

  static async open(dir: string, choice: DeviceChoice): Promise<LoadedModel> {
    const model = await openModel(dir);
    requireMemory(model);
    const { device, reason } = await chooseDevice(choice);
    return new LoadedModel(model, await loadWeights(dir, model, device), reason);
  }

  override tokenizerOf(): Tokenizer {
    return this.model.tokenizer;
  }

  /**
   * Continues a prompt and reports each token with the text so far, without what may become a stop string. The text ends
   * before the first of the `stop` strings; empty ones have no effect.
   * Prompts share one cache, so they run one after the other.
   */
  generate(
    prompt: readonly number[],
    options: Omit<GenerateOptions, "eosIds"> & { readonly stop?: readonly string[] },
    onToken: (token: GeneratedStep & { readonly text: string }) => void = () => {},
  ): Promise<GenerateResult> {
    return this.turns.take(this.#decoding, async () => {
      const { tokenizer, eosIds, cfg } = this.model;
      requireIds(prompt, cfg);
      const { stop = [], signal } = options;
      const start = performance.now();
      const decoder = tokenizer.decoder(prompt);
      const ids: number[] = [];
      const written = new StopText(stop);
      let reusedTokens = 0;
      let droppedTokens = 0;
      const result = (reason: GenerateResult["reason"]): GenerateResult => ({
        ids,
        text: written.text,
        reason,
        promptTokens: prompt.length,
        reusedTokens,
        droppedTokens,
        milliseconds: performance.now() - start,
      });
      try {
        const steps = generate(this.#cache, prompt, {
          ...options,
          eosIds,
          onPrompt: (n) => (reusedTokens = n),
          onWindow: (n) => (droppedTokens = n),
        });
        for await (const step of steps) {
          ids.push(step.id);
          if (written.push(decoder.push(step.id))) return result("stop");
          onToken({ ...step, text: written.settled });
        }
      } catch (error) {
        if (!signal?.aborted) throw error;
      }
      if (signal?.aborted) return result("canceled");
      if (written.push(decoder.end())) return result("stop");
      return result(ids.length < options.maxNewTokens ? "eos" : "length");
    });
  }

  /** Continues several prompts of any lengths, computed as one batch. Texts end before the first of the `stop` strings. */
  generateBatch(
    prompts: readonly (readonly number[])[],
    { stop = [], ...options }: Omit<GenerateOptions, "eosIds"> & { readonly stop?: readonly string[] },
  ): Promise<readonly { readonly ids: readonly number[]; readonly text: string }[]> {
    return this.turns.take(null, async () => {
      const { cfg, tokenizer, eosIds } = this.model;
      for (const prompt of prompts) requireIds(prompt, cfg);
      const decoding = new Decoding(cfg, this.weights, prompts.length);
      const decoders = prompts.map((prompt) => tokenizer.decoder(prompt));
      const written = prompts.map(() => new StopText(stop));
      const push = (b: number, more = "") => written[b]?.push(more) ?? false;
      const onToken = (b: number, id: number) => push(b, decoders[b]?.push(id));
      try {
        const rows = await generateBatch(decoding, prompts, { ...options, eosIds, onToken });
        return rows.map((ids, b) => {
          push(b, decoders[b]?.end());
          return { ids, text: written[b]?.text ?? "" };
        });
      } finally {
        await decoding.release();
      }
    });
  }

  /** Continues a text, or the tokens of a branch, and reports the candidates of each step. */
  async generationTrace(
    prompt: string | readonly number[],
    { count, ...options }: Omit<GenerateOptions, "eosIds"> & { readonly count: number },
    onStep: (step: GenerationStep) => void = () => {},
  ) {
    const { tokenizer, cfg } = this.model;
    const isText = typeof prompt === "string";
    const ids = isText ? tokenizer.encodePrompt(prompt) : prompt;
    if (ids.length === 0) throw new EngineError("config", "A branch needs at least one token.");
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

  override async inspect(text: string, { maxTokens = Infinity }: InspectOptions = {}): Promise<Inspection> {
    const { tokenizer, cfg } = this.model;
    const ids = tokenizer.encodePrompt(text);
    const first = Math.max(0, ids.length - Math.min(cfg.nCtx, maxTokens));
    return this.#inspect(tokenizer.promptSpans(text).slice(first), ids.slice(first), []);
  }

  override intervene({ tokens, trace }: Inspection, interventions: readonly TraceIntervention[]): Promise<Inspection> {
    return this.#inspect(tokens, [...(trace.get("ids")?.data ?? [])], interventions);
  }

  override trace(
    rows: readonly (readonly number[])[],
    interventions: readonly TraceIntervention[] = [],
  ): Promise<Trace> {
    return this.turns.take(this.#tracer, async () => {
      for (const row of rows) requireIds(row, this.model.cfg);
      return this.#tracer.trace(rows, "whole", undefined, interventions);
    });
  }

  /** How likely each token of a text is. Other uses of the model run between its windows. */
  surprisal(text: string, options: SurprisalOptions): Promise<ScoredTokens> {
    this.#windowScorer ??= this.turns.add(new WindowScorer(this.model.cfg, this.weights, this.readout));
    const scorer = this.#windowScorer;
    return surprisalOf(text, this.model.tokenizer, scorer, options, (work) => this.turns.take(scorer, work));
  }

  #inspect(
    tokens: readonly TokenSpan[],
    ids: readonly number[],
    interventions: readonly TraceIntervention[],
  ): Promise<Inspection> {
    return this.turns.take(this.#tracer, async () => {
      requireIds(ids, this.model.cfg);
      const trace = await this.#tracer.trace([ids], "light", undefined, interventions);
      return { tokens, ...this.inspected(trace) };
    });
  }
}

function requireMemory(model: Model): void {
  const needed = memoryOf(model);
  if (needed <= MEMORY_SHARE * totalmem()) return;
  throw new EngineError(
    "device",
    `${model.info.name} needs ${byteSize(needed)} of memory, but this machine has ${byteSize(totalmem())}. Import it with 8-bit or 4-bit weights, or choose a smaller model.`,
  );
}
