/**
 * Interventions: changes of values during a forward pass, to see what depends on a part of the model.
 *
 * Each value that can be changed is x * factor + shift in the graph of a trace. Without interventions the factors are 1 and
 * the shifts 0, so one compiled graph serves every intervention, and a part that is scaled by 1 changes no bit.
 *
 * A head's value is z: scaling z before W_O scales the output of the head. Where a norm follows a sublayer (Gemma 2, OLMo 2,
 * post-norm), the output without a head is normalized again, as in any forward pass.
 *
 * A translator has two stacks of layers; its decoder also has attention to the source, with its own z and crossOut.
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

/** The value with that name, changed by the graph's inputs. */
export function changeable(name: string, x: Node): Node {
  if (!IS_CHANGEABLE.test(name)) return x;
  // The inputs have one row, or one for each position.
  const [H, width] = [x.shape.at(-3), x.shape.at(-1) as number];
  const shape = (columns: number) => (H === undefined ? [UNKNOWN, columns] : [1, H, UNKNOWN, columns]);
  return x.mul(input(`${name}.factor`, shape(1))).add(input(`${name}.shift`, shape(width)));
}

/** Numbers of tokens; `S` are those of a translator's source. */
export interface Lengths {
  readonly T: number;
  readonly S?: number;
}

/** Values of those inputs, for traces of one sequence (one pair, in a translator). */
export function changeFeeds(
  cfg: ModelConfig,
  lengths: Lengths,
  interventions: readonly TraceIntervention[],
): Record<string, Float32Array> {
  const changes = new Map(stacksOf(cfg).flatMap((stack) => valuesOf(stack, lengthIn(stack, lengths))));
  for (const intervention of interventions) {
    if (intervention.kind === "scale") {
      const { part, factor } = intervention;
      if (!Number.isFinite(factor))
        throw new EngineError("config", "The factor of a part must be a number, such as 0 or 0.5.");
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

/** The layers of a decoder, or of one of the two stacks of a translator. */
interface Stack {
  /** Prefix of the names of its values. */
  readonly prefix: string;
  readonly cfg: DecoderConfig;
  /** Its blocks also attend to the source. */
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

/** The values of a stack that can be changed, by name. */
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

/** Changes of one value, by head, or of the whole value as one head. */
class Change {
  readonly #factors: Float32Array;
  readonly #patches: { readonly head: number; readonly position: number; readonly values: Float32Array }[] = [];

  constructor(
    readonly heads: number,
    readonly width: number,
    /** Number of positions. */
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

/** A value, or one head of it. */
interface Target {
  /** The value's name in a trace. */
  readonly name: string;
  readonly head: number;
}

function scaledValues(part: Part, cfg: ModelConfig): readonly Target[] {
  const stack = stackOf(part, cfg);
  const block = `${stack.prefix}blocks.${part.layer}`;
  const whole = (...names: string[]) => names.map((name) => ({ name: `${block}.${name}`, head: 0 }));
  switch (part.kind) {
    case "head":
    case "crossHead":
      return [headTarget(part, block, stack.cfg)];
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

function patchedValue(value: PatchedValue, cfg: ModelConfig): Target {
  const { kind, layer } = value;
  const stack = stackOf(value, cfg);
  if (kind === "head" || kind === "crossHead") return headTarget(value, `${stack.prefix}blocks.${layer}`, stack.cfg);
  // The input of a block is the output of the one before.
  if (kind === "residPre" && layer > 0) return { name: `${stack.prefix}blocks.${layer - 1}.residPost`, head: 0 };
  return { name: `${stack.prefix}blocks.${layer}.${kind}`, head: 0 };
}

function headTarget(part: Extract<Part, { head: number }>, block: string, cfg: DecoderConfig): Target {
  requireHead(part.head, cfg);
  return { name: `${block}.${part.kind === "head" ? "attn" : "cross"}.z`, head: part.head };
}

/** A stack by its name; the decoder by default. */
export function stackNamed(name: StackName | undefined, cfg: ModelConfig): Stack {
  const [decoder, encoder] = stacksOf(cfg);
  const stack = name === "encoder" ? encoder : decoder;
  if (stack) return stack;
  throw new EngineError("config", "There is no encoder: this model is a decoder only.");
}

/** The stack of a part or value. Fails if it lacks the layer or the attention to a source. */
function stackOf({ kind, stack, layer }: Part | PatchedValue, cfg: ModelConfig): Stack {
  const own = stackNamed(stack, cfg);
  requireLayer(layer, own.cfg);
  if (own.crosses || (kind !== "crossHead" && kind !== "cross" && kind !== "crossOut")) return own;
  throw new EngineError("config", "There is no attention to a source here. Only a translator's decoder has it.");
}

/** The vector at a position of a value [1, T, D], or of a head's value [1, H, T, K]. */
function vectorOf(trace: Trace, name: string, head: number, position: number, cfg: DecoderConfig): Float32Array {
  const value = trace.get(name);
  const isHead = name.endsWith(".z");
  const [width, heads] = isHead ? [cfg.dHead, cfg.nHeads] : [cfg.dModel, 1];
  const [own = 0, T = 0] = value?.shape.toReversed() ?? [];
  if (!value || own !== width || (isHead && value.shape[1] !== heads)) {
    throw new EngineError(
      "config",
      `The other trace has no ${name} of this width. Patch from a trace of the same model.`,
    );
  }
  requirePosition(position, T);
  const at = (head * T + position) * width;
  return value.data.subarray(at, at + width);
}

function requireLayer(layer: number, { nLayers }: DecoderConfig): void {
  if (Number.isInteger(layer) && layer >= 0 && layer < nLayers) return;
  throw new EngineError("config", `There is no layer ${layer}. This model has layers 0 to ${nLayers - 1}.`);
}

function requireHead(head: number, { nHeads }: DecoderConfig): void {
  if (Number.isInteger(head) && head >= 0 && head < nHeads) return;
  throw new EngineError("config", `There is no head ${head}. This model has heads 0 to ${nHeads - 1}.`);
}

export function requirePosition(position: number, T: number): void {
  if (Number.isInteger(position) && position >= 0 && position < T) return;
  throw new EngineError("config", `There is no position ${position}. This trace has positions 0 to ${T - 1}.`);
}

/** The changes that interventions made to a value at a position. */
export function changeOf(
  name: string,
  position: number,
  interventions: readonly Intervention<unknown>[],
  cfg: ModelConfig,
): { readonly factor: number; readonly isPatched: boolean } {
  let [factor, isPatched] = [1, false];
  for (const each of interventions) {
    if (each.kind === "scale") {
      if (scaledValues(each.part, cfg).some((target) => target.name === name)) factor *= each.factor;
    } else if (each.position === position && patchedValue(each.value, cfg).name === name) isPatched = true;
  }
  return { factor, isPatched };
}
