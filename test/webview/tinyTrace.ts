/**
 * A real forward pass of a tiny decoder in plain arithmetic, as the trace that the engine would return. Pages are tested
 * on it without the engine. The weights are drawn from a seed.
 */

import { findTokens, nextToken, vocabularyTexts } from "../../src/engine/inspect/nextToken";
import { classicDecoder } from "../../src/engine/nn/config";
import { random as stream } from "../../src/engine/random";
import type {
  FoundTokens,
  ModelInfo,
  ModuleTree,
  TokenSpan,
  TraceInfo,
  TraceTensor,
} from "../../src/protocol/engineApi";

const [D, H, K, L, F] = [48, 4, 12, 3, 96];
/** Key and value heads of the modern variant. */
const G = 2;
const SPECIAL = ["<BOS>", "<EOS>"];

export interface TinyTrace {
  readonly info: TraceInfo;
  readonly tensor: (name: string, head?: number) => TraceTensor;
  readonly find: (query: string, count: number) => FoundTokens;
  /** Some of its weights, by their names in a checkpoint. */
  readonly weights: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>;
  readonly modules: ModuleTree;
}

/**
 * The ways in which imported models differ: `classic` has a position embedding and sequential sublayers; `modern` has
 * rotary positions, grouped-query attention and parallel sublayers.
 */
export type TinyVariant = "classic" | "modern";

/** Traces a text. Each UTF-8 byte is a token. */
export function tinyTrace(text: string, trace = 1, variant: TinyVariant = "classic"): TinyTrace {
  const isModern = variant === "modern";
  const tokens = tokenize(text);
  const T = tokens.length;
  const V = SPECIAL.length + 256;
  const random = stream(7, "tinyTrace");
  const weights = (rows: number, cols: number, scale: number) =>
    Array.from({ length: rows }, () => Float32Array.from({ length: cols }, () => random.normal() * scale));
  const embedding = weights(V, D, 0.6);
  const positions = weights(512, D, 0.25);
  const values = new Map<string, { shape: number[]; data: Float32Array }>();
  const keep = (name: string, shape: number[], rows: readonly Float32Array[]) =>
    void values.set(name, { shape, data: Float32Array.from(rows.flatMap((row) => [...row])) });

  const embed = tokens.map(({ id }) => embedding[id] as Float32Array); // [T, D]
  const posEmbed = tokens.map((_, i) => positions[i] as Float32Array); // [T, D]
  keep("embed", [1, T, D], embed);
  if (!isModern) keep("posEmbed", [1, T, D], posEmbed);
  let x = isModern ? embed : add(embed, posEmbed); // [T, D]
  const norms = [x.map(norm)];

  for (let l = 0; l < L; l++) {
    const block = `blocks.${l}`;
    keep(`${block}.residPre`, [1, T, D], x);
    const normed = x.map(layerNorm);
    const project = () => matmul(normed, weights(D, K, 0.35)); // [T, K]
    const positioned = () => (isModern ? project().map(rotate) : project());
    const groups = Array.from({ length: isModern ? G : H }, () => ({ k: positioned(), v: project() }));
    const perHead = Array.from({ length: H }, (_, head) => {
      const q = positioned();
      const { k, v } = groups[Math.floor((head * groups.length) / H)] as (typeof groups)[number];
      const scores = q.map((qi) => Float32Array.from(k, (kj) => dot(qi, kj) / Math.sqrt(K))); // [T, T]
      const pattern = scores.map((row, i) => softmax(row, i + 1)); // [T, T]
      return { q, scores, pattern, z: matmul(pattern, v) };
    });
    const keepHeads = (name: string, heads: readonly Rows[], cols: number) =>
      keep(`${block}.attn.${name}`, [1, heads.length, T, cols], heads.flat());
    for (const name of ["k", "v"] as const) {
      keepHeads(
        name,
        groups.map((group) => group[name]),
        K,
      );
    }
    for (const name of ["q", "z"] as const) {
      keepHeads(
        name,
        perHead.map((head) => head[name]),
        K,
      );
    }
    for (const name of ["scores", "pattern"] as const) {
      keepHeads(
        name,
        perHead.map((head) => head[name]),
        T,
      );
    }
    const z = x.map((_, i) => Float32Array.from(perHead.flatMap((head) => [...(head.z[i] as Float32Array)])));
    const attnOut = matmul(z, weights(D, D, 0.15));
    keep(`${block}.attnOut`, [1, T, D], attnOut);
    const mid = add(x, attnOut);
    if (!isModern) keep(`${block}.residMid`, [1, T, D], mid);
    const read = isModern ? normed : mid.map(layerNorm);
    const hidden = matmul(read, weights(D, F, 0.2)).map((row) => row.map((y) => Math.max(0, y)));
    const mlpOut = matmul(hidden, weights(F, D, 0.15));
    keep(`${block}.mlpOut`, [1, T, D], mlpOut);
    x = add(mid, mlpOut);
    keep(`${block}.residPost`, [1, T, D], x);
    norms.push(x.map(norm));
  }
  const lnFinal = x.map(layerNorm);
  keep("lnFinal", [1, T, D], lnFinal);
  const logits = lnFinal.map((row) => Float32Array.from(embedding, (e) => dot(row, e) * 0.5));
  keep("logits", [1, T, V], logits);

  const probabilities = softmax(logits.at(-1) as Float32Array, V);
  const texts = vocabularyTexts(V, vocabulary);
  const info: TraceInfo = {
    trace,
    model: isModern ? modernModel : model,
    tokens,
    values: [...values].map(([name, { shape }]) => ({ name, shape })),
    residualNorms: Float32Array.from(norms.flat()),
    nextToken: nextToken(probabilities, vocabulary, 100),
    device: "cpu",
    milliseconds: 3.2,
  };
  const tensor = (name: string, head?: number): TraceTensor => {
    const value = values.get(name);
    if (!value) throw new Error(`There is no value "${name}" in this trace.`);
    if (head === undefined) return { name, ...value };
    const [heads, rows, cols] = value.shape.slice(1) as [number, number, number];
    const at = Math.floor((head * heads) / H) * rows * cols;
    return { name, shape: [1, 1, rows, cols], data: value.data.slice(at, at + rows * cols) };
  };
  const find = (query: string, count: number) => findTokens(query, probabilities, texts, vocabulary, count);
  const matrix = (rows: readonly Float32Array[]) => ({
    shape: [rows.length, D],
    data: Float32Array.from(rows.flatMap((row) => [...row])),
  });
  const kept = {
    "embed.tokens.weight": matrix(embedding),
    ...(!isModern && { "embed.positions.weight": matrix(positions) }),
  };
  return { info, tensor, find, weights: kept, modules: tinyModules(V, isModern) };
}

/** Rotary position embedding over the two halves of a head. */
const rotate = (row: Float32Array, position: number): Float32Array =>
  row.map((value, i) => {
    const half = K / 2;
    const angle = position * 10000 ** (-(i % half) / half);
    const other = row[(i + half) % K] as number;
    return value * Math.cos(angle) + (i < half ? -other : other) * Math.sin(angle);
  });

const model: ModelInfo = {
  dir: "/models/tiny-stories",
  name: "tiny-stories",
  preset: "char",
  parameters: 818_048,
  family: "decoder_lab",
  bytes: 4 * 818_048,
  precision: "float32",
  config: classicDecoder({
    vocabSize: 258,
    nCtx: 512,
    nLayers: L,
    nHeads: H,
    dModel: D,
    dMlp: F,
    norm: "pre",
    finalNorm: true,
    normEps: 1e-5,
    normBias: false,
    activation: "relu",
    attentionBias: false,
    mlpBias: false,
    tiedHead: true,
    headBias: false,
  }),
  step: 2000,
  steps: 2000,
  loss: 1.21,
  valLoss: 1.34,
  device: "cpu",
  tokenizer: "characters",
  createdAt: "2026-11-21T12:00:00Z",
};

const modernModel: ModelInfo = {
  ...model,
  name: "tiny-llama",
  preset: null,
  family: "llama",
  precision: "8-bit",
  config: {
    ...model.config,
    nKvHeads: G,
    norm: "shared",
    positions: { kind: "rotary", dims: K, theta: 10000, scaling: null, unrotatedLayers: [] },
  },
};

const vocabulary = {
  vocabSize: SPECIAL.length + 256,
  token: (id: number) => word(id),
  bytes: (id: number) => (id < SPECIAL.length ? new Uint8Array() : Uint8Array.of(id - SPECIAL.length)),
};

const word = (id: number): string => SPECIAL[id] ?? String.fromCharCode(id - SPECIAL.length);

function tokenize(text: string): TokenSpan[] {
  const tokens: TokenSpan[] = [{ id: 0, token: "<BOS>", start: 0, end: 0, special: true, bytes: new Uint8Array() }];
  let start = 0;
  for (const char of text) {
    const end = start + char.length;
    for (const byte of new TextEncoder().encode(char)) {
      const id = byte + SPECIAL.length;
      tokens.push({ id, token: word(id), start, end, special: false, bytes: Uint8Array.of(byte) });
    }
    start = end;
  }
  return tokens;
}

type Rows = readonly Float32Array[];

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const norm = (x: Float32Array): number => Math.sqrt(dot(x, x));
const add = (a: Rows, b: Rows): Float32Array[] =>
  a.map((row, i) => row.map((x, j) => x + ((b[i] as Float32Array)[j] as number)));

/** a [N, M] @ b [M, P] */
function matmul(a: Rows, b: Rows): Float32Array[] {
  return a.map((row) => {
    const out = new Float32Array((b[0] as Float32Array).length);
    for (let m = 0; m < row.length; m++) {
      const weights = b[m] as Float32Array;
      for (let p = 0; p < out.length; p++) out[p] = (out[p] as number) + (row[m] as number) * (weights[p] as number);
    }
    return out;
  });
}

/** Softmax of the first `count` values; the others get 0, as masked positions do. */
function softmax(x: Float32Array, count: number): Float32Array {
  const seen = x.slice(0, count);
  const top = Math.max(...seen);
  const exps = seen.map((y) => Math.exp(y - top));
  const total = exps.reduce((sum, y) => sum + y, 0);
  const out = new Float32Array(x.length);
  out.set(exps.map((y) => y / total));
  return out;
}

function layerNorm(x: Float32Array): Float32Array {
  const mean = x.reduce((sum, y) => sum + y, 0) / x.length;
  const variance = x.reduce((sum, y) => sum + (y - mean) ** 2, 0) / x.length;
  return x.map((y) => (y - mean) / Math.sqrt(variance + 1e-5));
}

/** The modules of the tiny decoder, named as in our checkpoints. */
function tinyModules(V: number, isModern: boolean): ModuleTree {
  const holder = (name: string, kind: string, children: readonly ModuleTree[]): ModuleTree => ({
    name,
    kind,
    parameters: children.reduce((sum, { parameters }) => sum + parameters, 0),
    bytes: children.reduce((sum, { bytes }) => sum + bytes, 0),
    tensors: [],
    children,
  });
  const leaf = (module: string, kind: string, ...shapes: readonly number[][]): ModuleTree => {
    const tensors = shapes.map((shape, i) => ({
      name: `${module}.${i === 0 ? "weight" : "bias"}`,
      shape,
      dtype: "float32",
      bytes: 4 * shape.reduce((a, b) => a * b, 1),
    }));
    const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const name = module.slice(module.lastIndexOf(".") + 1);
    return { name, module, kind, parameters: bytes / 4, bytes, tensors, children: [] };
  };
  const linear = (module: string, width: number, out: number) =>
    leaf(module, `Linear(in_features=${width}, out_features=${out}, bias=False)`, [out, width]);
  const embeddings = [leaf("embed.tokens", `Embedding(${V}, ${D})`, [V, D])];
  if (!isModern) embeddings.push(leaf("embed.positions", `Embedding(512, ${D})`, [512, D]));
  const blocks = Array.from({ length: L }, (_, l) =>
    holder(String(l), "DecoderLabBlock", [
      linear(`blocks.${l}.q`, D, D),
      linear(`blocks.${l}.k`, D, (isModern ? G : H) * K),
      linear(`blocks.${l}.v`, D, (isModern ? G : H) * K),
      linear(`blocks.${l}.o`, D, D),
      linear(`blocks.${l}.fc`, D, F),
      linear(`blocks.${l}.proj`, F, D),
    ]),
  );
  return holder("", "DecoderLabForCausalLM", [
    holder("embed", "DecoderLabEmbeddings", embeddings),
    holder("blocks", "ModuleList", blocks),
    leaf("lnFinal", `LayerNorm((${D},), eps=1e-05)`),
    leaf("head", `Linear(in_features=${D}, out_features=${V}, bias=False), weight tied to embed.tokens`),
  ]);
}
