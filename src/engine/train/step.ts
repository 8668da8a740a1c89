/**
 * One optimization step as a graph: forward, loss, backward, clipping, Adam.
 *
 * B batch   T position   N = T*B rows   V vocabSize
 */

import type { Optimizer } from "../api/run";
import { grad } from "../autodiff/grad";
import { concat, constant, input, type Node, pick, windowOf } from "../graph/node";
import { sizeOf } from "../graph/shape";
import { type DecoderConfig, type EncoderDecoderConfig, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { constantMasks, decoder, firstPositions, fullAttention } from "../nn/decoder";
import { decode, encode } from "../nn/encoderDecoder";
import { type ParamNodes, type ParamSpec, paramSpecs } from "../nn/params";
import { rotaryTables } from "../nn/rotary";
import { packNodes, type Segment, segmentsOf, unpackNodes } from "./segments";

export interface StepShape {
  /** Sequences per pass. */
  readonly batchSize: number;
  /** Passes per step; 1 by default. */
  readonly gradientAccumulation?: number;
  readonly blockSize: number;
  readonly dropout: number;
  readonly attentionDropout: boolean;
  readonly optimizer: Optimizer;
  readonly maxGradNorm: number;
  /** Smoothing of the training loss; 0 by default. */
  readonly labelSmoothing?: number;
}

/** Size of the bank of random values that dropout masks are taken from; see `docs/decisions` on dropout. */
export const BANK_SIZE = 1 << 22;

export interface StepGraph {
  /** `loss`, `gradNorm`, and for each segment the next `{name}.p'`, `.m'` and `.v'`. */
  readonly outputs: Readonly<Record<string, Node>>;
  readonly segments: readonly Segment[];
  /** Each state input and the output that replaces it. */
  readonly state: Readonly<Record<string, string>>;
  /** Inputs that differ from step to step. */
  readonly perTurn: readonly StepInput[];
  /** Elements that each dropout site uses from the bank. */
  readonly dropoutSizes: readonly number[];
}

/** Inputs that differ from batch to batch. */
const BATCH_INPUTS = ["ids", "labels", "labelWeights", "offsets"] as const;
/** Inputs that differ from step to step. */
export const STEP_INPUTS = [...BATCH_INPUTS, "rates"] as const;
/** Additional inputs of encoder-decoders. */
const SOURCE_INPUTS = ["sourceIds", "sourceMask", "targetMask"] as const;
export type StepInput = (typeof STEP_INPUTS | typeof SOURCE_INPUTS)[number];

/** The trained parameters, and the model's parameters as a function of them. */
export interface TrainedNodes {
  readonly specs: readonly ParamSpec[];
  readonly nodes: (trained: ParamNodes) => ParamNodes;
}

const allOf = (cfg: ModelConfig): TrainedNodes => ({ specs: paramSpecs(cfg), nodes: (trained) => trained });

export function stepGraph(cfg: ModelConfig, shape: StepShape, trained: TrainedNodes = allOf(cfg)): StepGraph {
  const { loss, p, grads, ...rest } = lossAndGrads(cfg, shape, trained);
  const { outputs, state } = update(rest.segments, p, grads, shape);
  return { ...rest, outputs: { ...outputs, loss }, state, perTurn: [...rest.perTurn, "rates"] };
}

/**
 * One of several passes of a step: adds the gradients of its batch to the sum `{name}.g` of each segment, which gives
 * `{name}.g'`. The parameters do not change.
 */
export function passGraph(cfg: ModelConfig, shape: StepShape, trained: TrainedNodes = allOf(cfg)): StepGraph {
  const { loss, p: _, grads, ...rest } = lossAndGrads(cfg, shape, trained);
  const outputs: Record<string, Node> = {};
  const state: Record<string, string> = {};
  rest.segments.forEach(({ name, size }, i) => {
    outputs[`${name}.g'`] = input(`${name}.g`, [size]).add(grads[i] as Node);
    state[`${name}.g`] = `${name}.g'`;
  });
  return { ...rest, outputs: { ...outputs, loss }, state };
}

/** The parameter update of a step from the summed gradients of its passes. */
export function updateGraph(segments: readonly Segment[], shape: StepShape): Pick<StepGraph, "outputs" | "state"> {
  const each = (key: string) => segments.map(({ name, size }) => input(`${name}.${key}`, [size]));
  return update(segments, each("p"), each("g"), shape);
}

/** The loss and its gradients by segment, as functions of packed parameters. */
function lossAndGrads(cfg: ModelConfig, shape: StepShape, trained: TrainedNodes) {
  const segments = segmentsOf(trained.specs);
  const p = segments.map(({ name, size }) => input(`${name}.p`, [size]));
  const param = unpackNodes(segments, p);

  const dropout = dropoutSites(shape.dropout);
  const loss = lossOf(cfg, shape, trained.nodes(param), dropout.apply, shape.attentionDropout);

  const specs = segments.flatMap((segment) => segment.params);
  const named = new Map(
    grad(
      loss,
      specs.map(({ name }) => unshaped(param(name))),
    ).map((g, i) => [specs[i]?.name ?? "", g] as const),
  );
  const grads = segments.map((segment) => packNodes(segment, (name) => named.get(name) as Node));
  const always = BATCH_INPUTS.filter((name) => name !== "offsets" || dropout.sizes.length > 0);
  const perTurn: readonly StepInput[] = isEncoderDecoder(cfg) ? [...always, ...SOURCE_INPUTS] : always;
  return { loss, p, grads, segments, perTurn, dropoutSizes: dropout.sizes };
}

/** Clipping and the optimizer: the next state, and the gradient norm. */
function update(
  segments: readonly Segment[],
  params: readonly Node[],
  grads: readonly Node[],
  { optimizer, maxGradNorm }: StepShape,
): Pick<StepGraph, "outputs" | "state"> {
  const gradNorm = addAll(grads.map((g) => g.sumSquares())).sqrt();
  const outputs: Record<string, Node> = {};
  const state: Record<string, string> = {};
  const move = adam(optimizer, clipScale(gradNorm, maxGradNorm));
  segments.forEach(({ name, size, decays }, i) => {
    const [m, v] = [input(`${name}.m`, [size]), input(`${name}.v`, [size])];
    const next = move(params[i] as Node, m, v, grads[i] as Node, decays);
    for (const key of ["p", "m", "v"] as const) {
      outputs[`${name}.${key}'`] = next[key];
      state[`${name}.${key}`] = `${name}.${key}'`;
    }
  });
  return { outputs: { ...outputs, gradNorm }, state };
}

/** A parameter's slice of its segment, before it was reshaped. Further reshapes start from it and bypass the shaped node. */
const unshaped = (param: Node): Node => (param.op === "reshape" ? (param.inputs[0] as Node) : param);

/** Only the loss, as a function of the same packed parameters. */
export function evalGraph(
  cfg: ModelConfig,
  { batchSize, blockSize }: Pick<StepShape, "batchSize" | "blockSize">,
  segments: readonly Segment[],
  trained: TrainedNodes = allOf(cfg),
): Record<string, Node> {
  const p = segments.map((s) => input(`${s.name}.p`, [s.size]));
  return { loss: lossOf(cfg, { batchSize, blockSize }, trained.nodes(unpackNodes(segments, p))) };
}

/** Weighted cross-entropy of a batch. The weights select the labels that count; they sum to 1, or to the share of a pass. */
export function lossOf(
  cfg: ModelConfig,
  shape: Pick<StepShape, "batchSize" | "blockSize" | "labelSmoothing">,
  param: ParamNodes,
  dropout: (x: Node) => Node = (x) => x,
  attentionDropout = false,
): Node {
  const { batchSize: B, blockSize: T, labelSmoothing = 0 } = shape;
  const labels = input("labels", [T * B], "i32");
  const weights = input("labelWeights", [T * B]);
  const patternDropout = attentionDropout ? dropout : undefined;
  const logits = isEncoderDecoder(cfg)
    ? translationLogits(cfg, shape, param, dropout, patternDropout)
    : decoderLogits(cfg, shape, param, dropout, patternDropout); // [N, V]
  return crossEntropy(logits, labels, labelSmoothing).mul(weights).sum();
}

/**
 * -Σ q log p with q = ε / V for every token plus 1 - ε for the label, as in torch.nn.CrossEntropyLoss (Szegedy et al.,
 * 2016). The Annotated Transformer's KL divergence differs by a constant, and spreads ε over all tokens except the label
 * and padding.
 */
function crossEntropy(logits: Node, labels: Node, smoothing: number): Node {
  const labelLogits = pick(logits, labels);
  if (smoothing === 0) return logits.logSumExp().sub(labelLogits);
  return logits
    .logSumExp()
    .sub(labelLogits.mul(1 - smoothing))
    .sub(logits.mean([-1]).mul(smoothing));
}

type Dropout = (x: Node) => Node;
type BatchSize = Pick<StepShape, "batchSize" | "blockSize">;

function decoderLogits(
  cfg: DecoderConfig,
  { batchSize: B, blockSize: T }: BatchSize,
  param: ParamNodes,
  dropout: Dropout,
  patternDropout: Dropout | undefined,
): Node {
  const size = { batch: B, length: T };
  return decoder(input("ids", [T, B], "i32"), param, cfg, {
    ...size,
    positions: firstPositions(T, cfg.positions.kind === "learned" ? cfg.positions.offset : 0),
    rotation: constantRotation(cfg, size),
    attend: fullAttention(cfg, size, constantMasks(cfg, T), patternDropout),
    probe: (_name, x) => x,
    dropout,
  });
}

/** Logits of sources and targets that are padded to one length. */
function translationLogits(
  cfg: EncoderDecoderConfig,
  { batchSize: B, blockSize: T }: BatchSize,
  param: ParamNodes,
  dropout: Dropout,
  patternDropout: Dropout | undefined,
): Node {
  const side = (mask: string) => ({
    batch: B,
    length: T,
    positions: firstPositions(T),
    padding: input(mask, [B, 1, 1, T]),
  });
  const [source, target] = [side("sourceMask"), side("targetMask")];
  const run = { probe: (_name: string, x: Node) => x, dropout, patternDropout };
  const encoded = encode(input("sourceIds", [T, B], "i32"), param, cfg, source, run);
  return decode(input("ids", [T, B], "i32"), encoded, param, cfg, { source, target }, run);
}

/** The rotation of positions 0 to T - 1, as one constant that all layers share. */
function constantRotation(cfg: DecoderConfig, { batch: B, length: T }: { batch: number; length: number }) {
  let known: { cos: Node; sin: Node } | undefined;
  return () => {
    const { cos, sin } = rotaryTables(
      cfg,
      Array.from({ length: T * B }, (_, i) => Math.floor(i / B)),
      T,
    );
    known ??= { cos: constant(cos, [T * B, cos.length / (T * B)]), sin: constant(sin, [T * B, sin.length / (T * B)]) };
    return known;
  };
}

/** Each site multiplies by its own window of the bank, which contains 0 and 1 / (1 - rate). */
function dropoutSites(rate: number): { apply: (x: Node) => Node; sizes: number[] } {
  const sizes: number[] = [];
  if (rate === 0) return { apply: (x) => x, sizes };
  const bank = input("bank", [BANK_SIZE]);
  // The number of sites is known only after the model is built, so the input has room for more offsets.
  const offsets = input("offsets", [MAX_SITES], "i32");
  const apply = (x: Node) => {
    const site = sizes.push(sizeOf(x.shape)) - 1;
    return x.mul(windowOf(bank, offsets, site, x.shape));
  };
  return { apply, sizes };
}

export const MAX_SITES = 1024;

/** min(1, max / norm), as in torch.nn.utils.clip_grad_norm_; 1 without a maximum. */
function clipScale(norm: Node, maxGradNorm: number): Node {
  if (maxGradNorm === 0) return constant(1);
  const ratio = constant(maxGradNorm).div(norm.add(1e-6));
  return ratio.sub(ratio.sub(1).relu());
}

/**
 * Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), with as few passes over memory as possible:
 *   m' = β1 m + (1 - β1) g,   v' = β2 v + (1 - β2) g²
 *   p' = p (1 - lr decay) - lr / bias1 * m' / (sqrt(v' / bias2) + eps)
 * where bias1 = 1 - β1^t and bias2 = 1 - β2^t. `rates` contains the values that change at every step, see `adamRates`.
 */
function adam({ kind, beta1, beta2, weightDecay }: Optimizer, clip: Node) {
  const rates = input("rates", [3]);
  const [stepSize, scaledEps, keep] = [0, 1, 2].map((i) => rates.slice(0, i, i + 1)) as [Node, Node, Node];
  const gradToM = clip.mul(1 - beta1);
  const gradToV = clip.mul(Math.sqrt(1 - beta2));
  return (p: Node, m: Node, v: Node, g: Node, decays: boolean) => {
    const nextM = m.mul(beta1).add(g.mul(gradToM));
    const root = g.mul(gradToV);
    const nextV = v.mul(beta2).add(root.mul(root));
    const change = nextM.div(nextV.sqrt().add(scaledEps)).mul(stepSize);
    const decayed = kind === "adamw" && weightDecay > 0 && decays ? p.mul(keep) : p;
    return { p: decayed.sub(change), m: nextM, v: nextV };
  };
}

/** The values of `rates` for step t (from 1): lr √bias2 / bias1, eps √bias2, 1 - lr decay. */
export function adamRates({ beta1, beta2, eps, weightDecay }: Optimizer, lr: number, t: number): Float32Array {
  const root = Math.sqrt(1 - beta2 ** t);
  return Float32Array.of((lr * root) / (1 - beta1 ** t), eps * root, 1 - lr * weightDecay);
}

const addAll = (nodes: readonly Node[]): Node =>
  nodes.length === 1
    ? (nodes[0] as Node)
    : concat(
        nodes.map((x) => x.reshape([1])),
        0,
      ).sum();
