/**
 * Direct logit attribution: what each part of the model added to a token's logit after a position.
 *
 * The residual stream is a sum of the outputs of embeddings, heads and MLPs, and the head is linear. The norms between them
 * become linear when their scale is held at its value in the trace (Elhage et al., 2021). The logit is then a direction in
 * the stream, which is walked back from the head to the embeddings; the contribution of a part is its product with the
 * direction there. Sums are in float64. In a translator this is the decoder's stream: what a head reads from the source
 * counts as the head's.
 *
 * D dModel   E dEmbed   H nHeads   K dHead
 */

import type { AttributedPart, Attribution, AttributionOptions, Intervention } from "../api/trace";
import { threadsFor } from "../generate/decodeGraph";
import { constant, input, linear, type Node, oneHot, rows } from "../graph/node";
import { type DecoderConfig, decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { dense } from "../nn/decoder";
import { hasHeadRows, type ParamNodes } from "../nn/params";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { changeOf, requirePosition } from "./interventions";
import { requireToken } from "./lens";
import type { Trace } from "./trace";

export class Attributor {
  #session: Promise<Session> | undefined;

  constructor(
    readonly model: ModelConfig,
    readonly weights: DeviceWeights,
  ) {}

  /** Attribution of the first row of a trace; `interventions` are those of the trace. */
  async attribute(
    trace: Trace,
    { position, token, against }: AttributionOptions,
    interventions: readonly Intervention<unknown>[] = [],
  ): Promise<Attribution> {
    const { model, weights } = this;
    const cfg = decoderOf(model);
    const sublayers = sublayersOf(model);
    const T = trace.get("ids")?.shape[1] as number;
    requirePosition(position, T);
    requireToken(token, cfg);
    if (against !== undefined) requireToken(against, cfg);
    this.#session ??= Session.create(
      lower(partsGraph(cfg, sublayers, weights.param), weights.device, { exact: true }),
      weights.device,
      threadsFor(cfg),
    );
    const z = layersOf(cfg).flatMap((block) =>
      sublayers.map(({ name }) => [`${block}.${name}.z`, headsApart(trace, `${block}.${name}.z`, position, cfg)]),
    );
    const ids = Int32Array.of(token, against ?? token);
    const values = await (await this.#session).compute({ ...weights.feeds, ...Object.fromEntries(z), ids });

    const at = (name: string) => vectorAt(trace, name, position);
    const D = cfg.dModel;
    const scaled = (x: Float32Array | undefined) => Float64Array.from(x ?? [], (value) => value * cfg.logitScale);
    const [own, other] = [0, 1].map((i) => scaled(values.directions?.subarray(i * D, (i + 1) * D)));
    const [ownBias = 0, otherBias = 0] = scaled(values.headBias);
    const direction = (own as Float64Array).map((x, i) => (against === undefined ? x : x - (other?.[i] ?? 0)));
    const capped = (x: number) => (cfg.logitSoftcap === null ? x : Math.tanh(x / cfg.logitSoftcap) * cfg.logitSoftcap);
    const logitOf = (id: number, toward: Float64Array, bias: number) => {
      if (position === T - 1) return trace.get("logits")?.data.at(id - cfg.vocabSize) as number;
      return capped(dot(toward, at(cfg.finalNorm ? "lnFinal" : lastOf(cfg))) + bias);
    };
    const logit =
      logitOf(token, own as Float64Array, ownBias) -
      (against === undefined ? 0 : logitOf(against, other as Float64Array, otherBias));

    const changed = (name: string) => changeOf(name, position, interventions, model);
    const parts = walk({ cfg, sublayers, values, at, changed }, direction);
    if (cfg.headBias) parts.unshift(part("headBias", ownBias - (against === undefined ? 0 : otherBias)));
    return {
      logit,
      parts: parts.reverse(),
      remainder: logit - parts.reduce((sum, { value }) => sum + value, 0),
      convention: conventionOf(cfg, weights.param),
    };
  }

  async release(): Promise<void> {
    await (await this.#session)?.release();
    this.#session = undefined;
  }
}

const part = (
  kind: string,
  value: number,
  layer: number | null = null,
  head: number | null = null,
): AttributedPart => ({
  kind,
  layer,
  head,
  value,
});

/** Names of the values and parts of an attention sublayer: self-attention, or attention to the source. */
interface Sublayer {
  readonly name: "attn" | "cross";
  /** The output matrix. */
  readonly out: string;
  /** The norm after it in post-norm blocks. */
  readonly norm: string;
  /** The residual stream before it. */
  readonly before: string;
  readonly kinds: { readonly head: string; readonly bias: string; readonly whole: string };
}

const SELF: Sublayer = {
  name: "attn",
  out: "o",
  norm: "ln1",
  before: "residPre",
  kinds: { head: "head", bias: "attnBias", whole: "attention" },
};

const CROSS: Sublayer = {
  name: "cross",
  out: "cross.o",
  norm: "lnCross",
  before: "residMid",
  kinds: { head: "crossHead", bias: "crossBias", whole: "cross" },
};

/** In model order. */
const sublayersOf = (model: ModelConfig): readonly Sublayer[] => (isEncoderDecoder(model) ? [SELF, CROSS] : [SELF]);

const layersOf = ({ nLayers }: DecoderConfig): string[] => Array.from({ length: nLayers }, (_, l) => `blocks.${l}`);

interface Walk {
  readonly cfg: DecoderConfig;
  readonly sublayers: readonly Sublayer[];
  /** Outputs of `partsGraph`. */
  readonly values: Readonly<Record<string, Float32Array>>;
  /** A value of the stream at the position, [D]. */
  readonly at: (name: string) => Float32Array;
  readonly changed: (name: string) => { readonly factor: number; readonly isPatched: boolean };
}

/** The parts from the last to the first; `g` is the logit's direction after the last block and its norm. */
function walk({ cfg, sublayers, values, at, changed }: Walk, g: Float64Array): AttributedPart[] {
  const { nLayers, nHeads: H, dModel: D } = cfg;
  const parts: AttributedPart[] = [];
  /** Moves the direction back over a norm of x. */
  const overNorm = (name: string, x: ArrayLike<number>, kind: string, layer: number | null) => {
    const bias = values[`${name}.bias'`];
    if (bias) parts.push(part(kind, dot(g, bias), layer));
    return beforeNorm(g, x, values[`${name}.weight'`], cfg);
  };
  const attended = (l: number, { name, out, kinds }: Sublayer) => {
    const block = `blocks.${l}`;
    const attention = changed(`${block}.${name}Out`);
    if (attention.isPatched) {
      parts.push(part(kinds.whole, dot(g, at(`${block}.${name}Out`)), l));
      return;
    }
    const heads = values[`${block}.${name}.heads`] as Float32Array; // [H, D]
    const ofHead = (h: number) => heads.subarray(h * D, (h + 1) * D);
    const bias = values[`${block}.${out}.bias'`];
    let direction: Float64Array = g.map((x) => x * attention.factor * cfg.residualScale);
    if (cfg.norm === "sandwich" || cfg.norm === "output") {
      const written = Float64Array.from({ length: D }, (_, i) => {
        let total = bias?.[i] ?? 0;
        for (let h = 0; h < H; h++) total += heads[h * D + i] as number;
        return total;
      });
      const after = values[`${block}.ln1Out.bias'`];
      if (after) parts.push(part("norm", dot(direction, after), l));
      direction = beforeNorm(direction, written, values[`${block}.ln1Out.weight'`], cfg);
    }
    if (bias) parts.push(part(kinds.bias, dot(direction, bias), l));
    for (let h = H - 1; h >= 0; h--) parts.push(part(kinds.head, dot(direction, ofHead(h)), l, h));
  };

  if (cfg.finalNorm) g = overNorm("lnFinal", at(lastOf(cfg)), "finalNormBias", null);
  for (let l = nLayers - 1; l >= 0; l--) {
    const block = `blocks.${l}`;
    if (changed(`${block}.residPost`).isPatched) {
      parts.push(part("stream", dot(g, at(`${block}.residPost`)), l));
      return parts;
    }
    const beforeMlp = sublayers.length > 1 ? "residCross" : "residMid";
    if (cfg.norm === "post")
      g = overNorm(`${block}.ln2`, sum(at(`${block}.${beforeMlp}`), at(`${block}.mlpOut`)), "norm", l);
    parts.push(part("mlp", dot(g, at(`${block}.mlpOut`)), l));
    for (const sublayer of sublayers.toReversed()) {
      const { name, norm, before } = sublayer;
      if (cfg.norm === "post")
        g = overNorm(`${block}.${norm}`, sum(at(`${block}.${before}`), at(`${block}.${name}Out`)), "norm", l);
      attended(l, sublayer);
    }
  }
  if (changed("blocks.0.residPre").isPatched) {
    parts.push(part("stream", dot(g, at("blocks.0.residPre"))));
    return parts;
  }
  const { kind } = cfg.positions;
  if (kind === "learned" || kind === "sinusoidal") parts.push(part("posEmbed", dot(g, at("posEmbed"))));
  parts.push(part("embed", dot(g, at("embed"))));
  return parts;
}

/** The direction before a norm of x with its scale s held fixed: y = (x - mean x) s w + b. */
function beforeNorm(
  g: Float64Array,
  x: ArrayLike<number>,
  weight: ArrayLike<number> | undefined,
  { normKind, normEps }: DecoderConfig,
): Float64Array {
  const D = g.length;
  const isCentered = normKind === "layer";
  const mean = (of: (i: number) => number) => {
    let total = 0;
    for (let i = 0; i < D; i++) total += of(i);
    return total / D;
  };
  const center = isCentered ? mean((i) => x[i] as number) : 0;
  const scale = 1 / Math.sqrt(mean((i) => ((x[i] as number) - center) ** 2) + normEps);
  const offset = normKind === "rmsPlusOne" ? 1 : 0;
  const scaled = g.map((value, i) => value * scale * (weight ? (weight[i] as number) + offset : 1));
  if (!isCentered) return scaled;
  const middle = mean((i) => scaled[i] as number);
  return scaled.map((value) => value - middle);
}

/**
 * `directions` [2, D] and `headBias` [2]: how the logits of two tokens depend on the head's input; for each sublayer, `.heads`
 * [H, D], the output of each head, from `.z` [H, H*K]; and the norms and biases that the walk needs, each as `{name}'`.
 */
function partsGraph(cfg: DecoderConfig, sublayers: readonly Sublayer[], param: ParamNodes): Record<string, Node> {
  const { nHeads: H, dHead: K } = cfg;
  const ids = input("ids", [2], "i32");
  const outputs: Record<string, Node> = { directions: directions(ids, param, cfg) };
  if (cfg.headBias) outputs.headBias = rows(param("head.bias").reshape([cfg.vocabSize, 1]), ids).reshape([2]);
  const vectors = (name: string) => {
    for (const kind of ["weight", "bias"]) {
      if (param.has(`${name}.${kind}`)) outputs[`${name}.${kind}'`] = param(`${name}.${kind}`);
    }
  };
  const matrices: ParamNodes = Object.assign((name: string) => param(name), {
    has: (name: string) => !name.endsWith(".bias") && param.has(name),
  });
  if (cfg.finalNorm) vectors("lnFinal");
  for (const block of layersOf(cfg)) {
    for (const { name, out, norm } of sublayers) {
      const heads = dense(input(`${block}.${name}.z`, [H, H * K]), `${block}.${out}`, matrices, cfg);
      outputs[`${block}.${name}.heads`] = heads; // [H, D]
      if (param.has(`${block}.${out}.bias`)) outputs[`${block}.${out}.bias'`] = param(`${block}.${out}.bias`);
      if (cfg.norm === "post") vectors(`${block}.${norm}`);
    }
    if (cfg.norm === "sandwich" || cfg.norm === "output") vectors(`${block}.ln1Out`);
    if (cfg.norm === "post") vectors(`${block}.ln2`);
  }
  return outputs;
}

const headOf = ({ tiedHead }: DecoderConfig, param: ParamNodes): Node =>
  param(tiedHead ? "embed.tokens.weight" : "head.weight");

function directions(ids: Node, param: ParamNodes, cfg: DecoderConfig): Node {
  const head = headOf(cfg, param);
  const hasRows = hasHeadRows(cfg) || head.op === "quantized";
  const own = hasRows ? rows(head, ids) : linear(oneHot(ids, cfg.vocabSize), head, undefined, { transW: true }); // [2, E]
  if (cfg.dEmbed === cfg.dModel) return own;
  // Back over the projection into the head. A quantized matrix is read row by row, because it multiplies from one side only.
  const into = param("head.in.weight");
  const every = Int32Array.from({ length: cfg.dEmbed }, (_, i) => i);
  if (into.op === "quantized") return linear(own, rows(into, constant(every, [cfg.dEmbed])));
  return linear(own, into, undefined, { transW: cfg.weightLayout === "inOut" }); // [2, D]
}

/** A value z at a position, with one head per row and zeros elsewhere: [H, H*K]. */
function headsApart(
  trace: Trace,
  name: string,
  position: number,
  { nHeads: H, dHead: K }: DecoderConfig,
): Float32Array {
  const { data, shape } = trace.get(name) as { data: Float32Array; shape: readonly number[] };
  const T = shape[2] as number;
  const apart = new Float32Array(H * H * K);
  for (let h = 0; h < H; h++) {
    const at = (h * T + position) * K;
    apart.set(data.subarray(at, at + K), h * H * K + h * K);
  }
  return apart;
}

function vectorAt(trace: Trace, name: string, position: number): Float32Array {
  const { data, shape } = trace.get(name) as { data: Float32Array; shape: readonly number[] };
  const D = shape.at(-1) as number;
  return data.subarray(position * D, (position + 1) * D);
}

const lastOf = ({ nLayers }: DecoderConfig) => `blocks.${nLayers - 1}.residPost`;

const sum = (a: Float32Array, b: Float32Array): Float64Array => Float64Array.from(a, (x, i) => x + (b[i] as number));

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

function conventionOf(cfg: DecoderConfig, param: ParamNodes): string {
  const isRounded = headOf(cfg, param).op === "quantized";
  return isRounded
    ? `${heldFixed(cfg)} The head rounds its input to 8 bits; the error is in the remainder.`
    : heldFixed(cfg);
}

function heldFixed({ normKind, norm, finalNorm }: DecoderConfig): string {
  const centered = normKind === "layer" ? ", and the mean is subtracted from each part" : "";
  if (norm === "post") return `The scale of every norm is held at its value in this trace${centered}.`;
  if (!finalNorm) return "This model has no final norm: each part goes through the head unchanged.";
  const within = norm === "sandwich" || norm === "output" ? "; so is the scale of the norms after attention" : "";
  return `The scale of the final norm is held at its value in this trace${centered}${within}.`;
}
