/**
 * Interventions: a run changed on the way, to see what follows from a part of the model.
 *
 * Each value that can be changed is x * factor + shift in the graph of a trace. In a plain run the factors are 1 and the
 * shifts 0, so one compiled graph serves every intervention, and a part that is scaled by 1 changes no bit.
 *
 * A head is what attention reads with it, z: scaling z before W_O scales what the head adds. Where a norm follows on what
 * a sublayer adds (Gemma 2, OLMo 2, post-norm), attention without a head is normed again as in any other run.
 *
 * A translator has two stacks of layers, and in its decoder also the attention to the source, z and crossOut of its own.
 *
 * B batch   T position   N = T*B rows   D dModel   H nHeads   K dHead
 */

import type { Intervention, Part, PatchedValue, StackName } from "../api/trace";
import { EngineError } from "../errors";
import { input, type Node } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import { type DecoderConfig, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { ENCODER } from "../nn/params";
import type { Trace } from "./trace";

/** An intervention whose patches read a trace directly. */
export type TraceIntervention = Intervention<Trace>;

const IS_CHANGEABLE = /^(enc\.)?blocks\.(0\.residPre|\d+\.((attn|cross)\.z|(attn|cross|mlp)Out|residPost))$/;

/** The value under its name, as the run's inputs change it. */
export function changeable(name: string, x: Node): Node {
  if (!IS_CHANGEABLE.test(name)) return x;
  // One row, or one for each position.
  const [H, width] = [x.shape.at(-3), x.shape.at(-1) as number];
  const shape = (columns: number) => (H === undefined ? [UNKNOWN, columns] : [1, H, UNKNOWN, columns]);
  return x.mul(input(`${name}.factor`, shape(1))).add(input(`${name}.shift`, shape(width)));
}

/** How many tokens a run has; `S` are the source's, of a translator. */
export interface Lengths {
  readonly T: number;
  readonly S?: number;
}

/** What those inputs are given; patches are of runs of one sequence, of a translator of one pair. */
export function changeFeeds(
  cfg: ModelConfig,
  lengths: Lengths,
  interventions: readonly TraceIntervention[],
): Record<string, Float32Array> {
  const changes = new Map(stacksOf(cfg).flatMap((stack) => valuesOf(stack, lengthIn(stack, lengths))));
  for (const intervention of interventions) {
    if (intervention.kind === "scale") {
      const { part, factor } = intervention;
      if (!Number.isFinite(factor)) throw new EngineError("config", "A part is scaled by a number, such as 0 or 0.5.");
      for (const { name, head } of scaledValues(part, cfg)) changes.get(name)?.scale(head, factor);
    } else {
      const { value, position, from } = intervention;
      const stack = stackOf(value, cfg);
      const { name, head } = patchedValue(value, cfg);
      requirePosition(position, lengthIn(stack, lengths));
      changes.get(name)?.patch(head, position, vectorOf(from.trace, name, head, from.position, stack.cfg));
    }
  }
  return Object.fromEntries(
    [...changes].flatMap(([name, change]) => {
      const { factor, shift } = change.arrays();
      return [
        [`${name}.factor`, factor],
        [`${name}.shift`, shift],
      ];
    }),
  );
}

/** The layers of a model: of a translator its encoder's, and its decoder's, which attend to the source as well. */
interface Stack {
  /** What names of its values begin with. */
  readonly prefix: string;
  readonly cfg: DecoderConfig;
  readonly crosses: boolean;
}

function stacksOf(cfg: ModelConfig): readonly [Stack, ...Stack[]] {
  if (!isEncoderDecoder(cfg)) return [{ prefix: "", cfg, crosses: false }];
  return [
    { prefix: "", cfg: cfg.decoder, crosses: true },
    { prefix: ENCODER, cfg: cfg.encoder, crosses: false },
  ];
}

const lengthIn = ({ prefix }: Stack, { T, S = 0 }: Lengths): number => (prefix === ENCODER ? S : T);

/** Every value of a stack that can be changed, by its name. */
function valuesOf({ prefix, cfg, crosses }: Stack, T: number): [string, Change][] {
  const { nLayers, nHeads: H, dHead: K, dModel: D } = cfg;
  const attentions = crosses ? ["attn", "cross"] : ["attn"];
  const layers = Array.from({ length: nLayers }, (_, l) => `${prefix}blocks.${l}`);
  return [
    [`${prefix}blocks.0.residPre`, new Change(1, D, T)],
    ...layers.flatMap((block) => [
      ...attentions.map((name): [string, Change] => [`${block}.${name}.z`, new Change(H, K, T)]),
      ...[...attentions, "mlp"].map((name): [string, Change] => [`${block}.${name}Out`, new Change(1, D, T)]),
      [`${block}.residPost`, new Change(1, D, T)] satisfies [string, Change],
    ]),
  ];
}

/** What is done to one value: its heads, or the whole as one. */
class Change {
  readonly #factors: Float32Array;
  readonly #patches: { readonly head: number; readonly position: number; readonly values: Float32Array }[] = [];

  constructor(
    readonly heads: number,
    readonly width: number,
    /** Positions of the run. */
    readonly length: number,
  ) {
    this.#factors = new Float32Array(heads).fill(1);
  }

  scale(head: number, factor: number): void {
    this.#factors[head] = (this.#factors[head] as number) * factor;
  }

  patch(head: number, position: number, values: Float32Array): void {
    this.#patches.push({ head, position, values });
  }

  /** factor [heads, 1 or length], shift [heads, 1 or length, width] */
  arrays(): { factor: Float32Array; shift: Float32Array } {
    const rows = this.#patches.length > 0 ? this.length : 1;
    const factor = Float32Array.from({ length: this.heads * rows }, (_, i) => this.#factors[Math.floor(i / rows)] ?? 1);
    const shift = new Float32Array(this.heads * rows * this.width);
    for (const { head, position, values } of this.#patches) {
      factor[head * rows + position] = 0;
      shift.set(values, (head * rows + position) * this.width);
    }
    return { factor, shift };
  }
}

interface Place {
  /** Of the value in a trace. */
  readonly name: string;
  readonly head: number;
}

function scaledValues(part: Part, cfg: ModelConfig): readonly Place[] {
  const stack = stackOf(part, cfg);
  const block = `${stack.prefix}blocks.${part.layer}`;
  const whole = (...names: string[]) => names.map((name) => ({ name: `${block}.${name}`, head: 0 }));
  switch (part.kind) {
    case "head":
    case "crossHead":
      return [headPlace(part, block, stack.cfg)];
    case "attention":
      return whole("attnOut");
    case "cross":
      return whole("crossOut");
    case "mlp":
      return whole("mlpOut");
    case "layer":
      return stack.crosses ? whole("attnOut", "crossOut", "mlpOut") : whole("attnOut", "mlpOut");
  }
}

function patchedValue(value: PatchedValue, cfg: ModelConfig): Place {
  const { kind, layer } = value;
  const stack = stackOf(value, cfg);
  if (kind === "head" || kind === "crossHead") return headPlace(value, `${stack.prefix}blocks.${layer}`, stack.cfg);
  // What goes into a block is what came out of the one before.
  if (kind === "residPre" && layer > 0) return { name: `${stack.prefix}blocks.${layer - 1}.residPost`, head: 0 };
  return { name: `${stack.prefix}blocks.${layer}.${kind}`, head: 0 };
}

function headPlace(of: Extract<Part, { head: number }>, block: string, cfg: DecoderConfig): Place {
  requireHead(of.head, cfg);
  return { name: `${block}.${of.kind === "head" ? "attn" : "cross"}.z`, head: of.head };
}

/** The decoder where neither is named. */
export function stackNamed(name: StackName | undefined, cfg: ModelConfig): Stack {
  const [decoder, encoder] = stacksOf(cfg);
  const stack = name === "encoder" ? encoder : decoder;
  if (stack) return stack;
  throw new EngineError("config", "There is no encoder; this model is a decoder alone.");
}

/** The stack that a part or a value is of, which has such a layer and attends as it says. */
function stackOf({ kind, stack, layer }: Part | PatchedValue, cfg: ModelConfig): Stack {
  const own = stackNamed(stack, cfg);
  requireLayer(layer, own.cfg);
  if (own.crosses || (kind !== "crossHead" && kind !== "cross" && kind !== "crossOut")) return own;
  throw new EngineError("config", "There is no attention to a source here; only a translator's decoder has it.");
}

/** A value [1, T, D], or a head's [1, H, T, K], at a position. */
function vectorOf(trace: Trace, name: string, head: number, position: number, cfg: DecoderConfig): Float32Array {
  const value = trace.get(name);
  const isHead = name.endsWith(".z");
  const [width, heads] = isHead ? [cfg.dHead, cfg.nHeads] : [cfg.dModel, 1];
  const [own = 0, T = 0] = value?.shape.toReversed() ?? [];
  if (!value || own !== width || (isHead && value.shape[1] !== heads)) {
    throw new EngineError("config", `The other run has no ${name} of this width; patch from a run of the same model.`);
  }
  requirePosition(position, T);
  const at = (head * T + position) * width;
  return value.data.subarray(at, at + width);
}

function requireLayer(layer: number, { nLayers }: DecoderConfig): void {
  if (Number.isInteger(layer) && layer >= 0 && layer < nLayers) return;
  throw new EngineError("config", `There is no layer ${layer}; this model's layers go from 0 to ${nLayers - 1}.`);
}

function requireHead(head: number, { nHeads }: DecoderConfig): void {
  if (Number.isInteger(head) && head >= 0 && head < nHeads) return;
  throw new EngineError("config", `There is no head ${head}; this model's heads go from 0 to ${nHeads - 1}.`);
}

export function requirePosition(position: number, T: number): void {
  if (Number.isInteger(position) && position >= 0 && position < T) return;
  throw new EngineError("config", `There is no position ${position}; this run's tokens go from 0 to ${T - 1}.`);
}

/** What interventions did to a value at a position. */
export function changeOf(
  name: string,
  position: number,
  interventions: readonly Intervention<unknown>[],
  cfg: ModelConfig,
): { readonly factor: number; readonly isPatched: boolean } {
  let [factor, isPatched] = [1, false];
  for (const each of interventions) {
    if (each.kind === "scale") {
      if (scaledValues(each.part, cfg).some((place) => place.name === name)) factor *= each.factor;
    } else if (each.position === position && patchedValue(each.value, cfg).name === name) isPatched = true;
  }
  return { factor, isPatched };
}
