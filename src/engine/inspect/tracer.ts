/** Runs a decoder and records the named values of its forward pass. */

import { EngineError } from "../errors";
import { positionFeeds, positionInputs, threadsFor } from "../generate/decodeGraph";
import { input, type Node, rows } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { decoder, fullAttention } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { changeable, changeFeeds, type TraceIntervention } from "./interventions";
import { maskFeeds, maskName } from "./masks";
import type { Trace, TraceValue } from "./trace";

/**
 * Values that a trace contains. "light" omits the large ones: scores and patterns [T, T], which `attention.ts` computes on
 * demand, and all logits except those after the last position, [B, 1, V].
 */
export type TraceScope = "whole" | "light";

/** Selects the values of a trace by name. */
export type Wanted = (name: string) => boolean;

const WANTED: { readonly [S in TraceScope]: Wanted } = {
  whole: () => true,
  light: (name) => !/\.attn\.(scores|pattern)$/.test(name),
};

/** Runs a model and records its values. One compiled graph serves every text. */
export class Tracer {
  /** By the number of sequences, then by the requested values: a graph keeps all its outputs in memory until it ends. */
  readonly #sessions: Map<Wanted, Promise<Session>>[] = [];

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    /** With `exact: false`, values are those of generation: see `lower`. */
    readonly options: { readonly exact: boolean } = { exact: true },
  ) {}

  /**
   * The trace of a batch. Shorter rows are padded at the right with tokens of id 0, which no earlier position sees; the
   * values of the padding have no meaning. `mask` [B, T] marks the real positions. Interventions need a single row.
   */
  async trace(
    rows: readonly (readonly number[])[],
    scope: TraceScope = "whole",
    isWanted: Wanted = WANTED[scope],
    interventions: readonly TraceIntervention[] = [],
  ): Promise<Trace> {
    const B = rows.length;
    if (B > 1 && interventions.length > 0) throw new Error("trace: interventions need a single row");
    const T = Math.max(...rows.map((row) => row.length));
    if (!(T >= 1 && T <= this.cfg.nCtx)) throw new Error(`trace: ${T} tokens do not fit a context of ${this.cfg.nCtx}`);
    if (!this.cfg.causal && rows.some((row) => row.length < T)) {
      throw new EngineError(
        "config",
        "The model has no causal mask, so padding would change its values. Trace texts of equal length together, or one at a time.",
      );
    }
    const ids = new Int32Array(T * B);
    rows.forEach((row, b) => {
      row.forEach((id, t) => {
        ids[t * B + b] = id;
      });
    });
    const session = await this.#session(B, isWanted);
    const isLight = scope === "light";
    // Batch first, as in a trace.
    const logitRows = rows.flatMap((row, b) =>
      isLight ? [(row.length - 1) * B + b] : Array.from({ length: T }, (_, t) => t * B + b),
    );
    const values = await session.run({
      ...this.weights.feeds,
      ids,
      ...positionFeeds(
        this.cfg,
        ids.map((_, i) => Math.floor(i / B)),
        T,
      ),
      ...maskFeeds(this.cfg, T),
      ...changeFeeds(this.cfg, { T }, interventions),
      logitRows: Int32Array.from(logitRows),
    });

    const trace = new Map<string, TraceValue>();
    const byRow = (value: (b: number, t: number) => number) => ({
      shape: [B, T],
      data: Float32Array.from({ length: B * T }, (_, i) => value(Math.floor(i / T), i % T)),
    });
    trace.set(
      "ids",
      byRow((b, t) => rows[b]?.[t] ?? 0),
    );
    trace.set(
      "mask",
      byRow((b, t) => (t < (rows[b]?.length ?? 0) ? 1 : 0)),
    );
    for (const [name, tensor] of Object.entries(values)) {
      // A single row has the layout of a batch of one.
      const shape = tensor.dims.length === 2 ? [1, ...tensor.dims] : tensor.dims;
      const value = { shape, data: tensor.data as Float32Array };
      if (name === "logits") trace.set(name, { ...value, shape: [B, isLight ? 1 : T, this.cfg.vocabSize] });
      else trace.set(name, value);
      // The input of a block is the output of the one before.
      const [, layer] = /^blocks\.(\d+)\.residPost$/.exec(name) ?? [];
      const next = `blocks.${Number(layer) + 1}.residPre`;
      if (layer !== undefined && Number(layer) + 1 < this.cfg.nLayers && isWanted(next)) trace.set(next, value);
    }
    requireNumbers(trace);
    return trace;
  }

  async release(): Promise<void> {
    for (const sessions of this.#sessions.splice(0))
      for (const session of sessions?.values() ?? []) await (await session).release();
  }

  #session(B: number, isWanted: Wanted): Promise<Session> {
    this.#sessions[B] ??= new Map();
    const known = this.#sessions[B].get(isWanted);
    if (known) return known;
    const graph = lower(traceGraph(this.cfg, this.weights, B, isWanted), this.weights.device, this.options);
    const session = Session.create(graph, this.weights.device, threadsFor(this.cfg));
    this.#sessions[B].set(isWanted, session);
    return session;
  }
}

/** Fails if the logits are not finite, and names the first value with NaN or infinity. */
function requireNumbers(trace: Trace): void {
  const isWhole = ({ data }: TraceValue) => data.every(Number.isFinite);
  const logits = trace.get("logits");
  if (!logits || isWhole(logits)) return;
  const [first] = [...trace].find(([, value]) => !isWhole(value)) ?? ["logits"];
  throw new EngineError(
    "weights",
    `The model computes values that are not numbers, first in ${first}. Its weights are damaged: download or import them again.`,
  );
}

/** Inputs of all blocks but the first, which are the outputs of the blocks before. */
const REPEATED = /^blocks\.[1-9]\d*\.residPre$/;

/**
 * The requested values of a forward pass by their trace names, batch first (a single row as [T, D]). Inputs of the graph
 * change them: see `interventions.ts`. Values that repeat another are omitted.
 */
export function traceGraph(
  cfg: DecoderConfig,
  { param }: Pick<DeviceWeights, "param">,
  B: number,
  isWanted: Wanted = WANTED.whole,
): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const size = { batch: B, length: UNKNOWN };
  decoder(input("ids", [UNKNOWN, B], "i32"), param, cfg, {
    ...size,
    ...positionInputs(cfg, B),
    attend: fullAttention(cfg, size, (window) => input(maskName(window), [UNKNOWN, UNKNOWN])),
    probe: (name, value) => {
      const x = changeable(name, value);
      if (REPEATED.test(name) || !isWanted(name)) return x;
      const isRows = x.shape.length === 2 && name !== "logits" && B > 1;
      outputs[name] = isRows ? x.reshape([UNKNOWN, B, x.shape[1] as number]).transpose(1, 0, 2) : x;
      return x;
    },
    dropout: (x) => x,
    readout: (x) => rows(x, input("logitRows", [UNKNOWN], "i32")),
  });
  return outputs;
}
