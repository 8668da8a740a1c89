/**
 * Interventions: a run changed on the way, to see what follows from a part of the model.
 *
 * Each value that can be changed is x * factor + shift in the graph of a trace. In a plain run the factors are 1 and the
 * shifts 0, so one compiled graph serves every intervention, and a part that is scaled by 1 changes no bit.
 *
 * A head is what attention reads with it, z: scaling z before W_O scales what the head adds. Where a norm follows on what
 * a sublayer adds (Gemma 2, OLMo 2, post-norm), attention without a head is normed again as in any other run.
 *
 * B batch   T position   N = T*B rows   D dModel   H nHeads   K dHead
 */

import { EngineError } from "../errors";
import { input, type Node } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import type { Trace } from "./trace";

/** A value of the run, changed before what follows reads it. Patches come after scales. */
export type Intervention<Source = Trace> =
  /** Multiplies what a part adds to the residual stream; 0 switches it off, 1 leaves it. */
  | { readonly kind: "scale"; readonly part: Part; readonly factor: number }
  /** Puts in, at a position, what the same value was in another trace of the model. */
  | {
      readonly kind: "patch";
      readonly value: PatchedValue;
      readonly position: number;
      readonly from: { readonly trace: Source; readonly position: number };
    };

/** A part of the model that adds to the residual stream. */
export type Part =
  | { readonly kind: "head"; readonly layer: number; readonly head: number }
  | { readonly kind: "attention"; readonly layer: number }
  | { readonly kind: "mlp"; readonly layer: number }
  /** Attention and MLP. */
  | { readonly kind: "layer"; readonly layer: number };

/** A value that can be patched; a head's is its `z`. */
export type PatchedValue =
  | { readonly kind: "head"; readonly layer: number; readonly head: number }
  | { readonly kind: "attnOut" | "mlpOut" | "residPre" | "residPost"; readonly layer: number };

const IS_CHANGEABLE = /^blocks\.(0\.residPre|\d+\.(attn\.z|attnOut|mlpOut|residPost))$/;

/** The value under its name, as the run's inputs change it. */
export function changeable(name: string, x: Node): Node {
  if (!IS_CHANGEABLE.test(name)) return x;
  // One row, or one for each position.
  const [H, width] = [x.shape.at(-3), x.shape.at(-1) as number];
  const shape = (columns: number) => (H === undefined ? [UNKNOWN, columns] : [1, H, UNKNOWN, columns]);
  return x.mul(input(`${name}.factor`, shape(1))).add(input(`${name}.shift`, shape(width)));
}

/** What those inputs are given; patches are of runs of one sequence of T tokens. */
export function changeFeeds(
  cfg: DecoderConfig,
  T: number,
  interventions: readonly Intervention[],
): Record<string, Float32Array> {
  const { nLayers, nHeads: H, dHead: K, dModel: D } = cfg;
  const changes = new Map<string, Change>([["blocks.0.residPre", new Change(1, D)]]);
  for (let l = 0; l < nLayers; l++) {
    changes.set(`blocks.${l}.attn.z`, new Change(H, K));
    for (const name of ["attnOut", "mlpOut", "residPost"]) changes.set(`blocks.${l}.${name}`, new Change(1, D));
  }
  for (const intervention of interventions) {
    if (intervention.kind === "scale") {
      const { part, factor } = intervention;
      if (!Number.isFinite(factor)) throw new EngineError("config", "A part is scaled by a number, such as 0 or 0.5.");
      for (const { name, head } of scaledValues(part, cfg)) changes.get(name)?.scale(head, factor);
    } else {
      const { value, position, from } = intervention;
      const { name, head } = patchedValue(value, cfg);
      requirePosition(position, T);
      changes.get(name)?.patch(head, position, vectorOf(from.trace, name, head, from.position, cfg));
    }
  }
  return Object.fromEntries(
    [...changes].flatMap(([name, change]) => {
      const { factor, shift } = change.arrays(T);
      return [
        [`${name}.factor`, factor],
        [`${name}.shift`, shift],
      ];
    }),
  );
}

/** What is done to one value: its heads, or the whole as one. */
class Change {
  readonly #factors: Float32Array;
  readonly #patches: { readonly head: number; readonly position: number; readonly values: Float32Array }[] = [];

  constructor(
    readonly heads: number,
    readonly width: number,
  ) {
    this.#factors = new Float32Array(heads).fill(1);
  }

  scale(head: number, factor: number): void {
    this.#factors[head] = (this.#factors[head] as number) * factor;
  }

  patch(head: number, position: number, values: Float32Array): void {
    this.#patches.push({ head, position, values });
  }

  /** factor [heads, 1 or T], shift [heads, 1 or T, width] */
  arrays(T: number): { factor: Float32Array; shift: Float32Array } {
    const rows = this.#patches.length > 0 ? T : 1;
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

function scaledValues(part: Part, cfg: DecoderConfig): readonly Place[] {
  const { layer } = part;
  requireLayer(layer, cfg);
  switch (part.kind) {
    case "head":
      requireHead(part.head, cfg);
      return [{ name: `blocks.${layer}.attn.z`, head: part.head }];
    case "attention":
      return [{ name: `blocks.${layer}.attnOut`, head: 0 }];
    case "mlp":
      return [{ name: `blocks.${layer}.mlpOut`, head: 0 }];
    case "layer":
      return ["attnOut", "mlpOut"].map((name) => ({ name: `blocks.${layer}.${name}`, head: 0 }));
  }
}

function patchedValue(value: PatchedValue, cfg: DecoderConfig): Place {
  const { kind, layer } = value;
  requireLayer(layer, cfg);
  if (kind === "head") {
    requireHead(value.head, cfg);
    return { name: `blocks.${layer}.attn.z`, head: value.head };
  }
  // What goes into a block is what came out of the one before.
  if (kind === "residPre" && layer > 0) return { name: `blocks.${layer - 1}.residPost`, head: 0 };
  return { name: `blocks.${layer}.${kind}`, head: 0 };
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
  cfg: DecoderConfig,
): { readonly factor: number; readonly isPatched: boolean } {
  let [factor, isPatched] = [1, false];
  for (const each of interventions) {
    if (each.kind === "scale") {
      if (scaledValues(each.part, cfg).some((place) => place.name === name)) factor *= each.factor;
    } else if (each.position === position && patchedValue(each.value, cfg).name === name) isPatched = true;
  }
  return { factor, isPatched };
}
