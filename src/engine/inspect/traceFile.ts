/**
 * Trace files, which open without their model: docs/dltrace.md describes the format.
 *
 * Files are untrusted. Every field is checked, and every value must have the shape that its name and the configuration
 * imply, so that no computation reads past its end.
 */

import { dirname } from "node:path";
import { JsonProblem, parseJson } from "../../files/json";
import { byteSize } from "../../text/untrusted";
import type { Device, ModelInfo } from "../api/model";
import type { NextToken, TokenSpan } from "../api/tokens";
import type { Intervention, TraceSource } from "../api/trace";
import { EngineError } from "../errors";
import { type Shape, sameShape } from "../graph/shape";
import { type DecoderConfig, decoderOf, isEncoderDecoder, type ModelConfig } from "../nn/config";
import { readHeader, readTensors, writeSafetensors } from "../weights";
import { isCounts, isObject, quoted, shown } from "../weights/reading";
import { removeStale } from "../weights/temporary";
import type { Trace, TraceValue } from "./trace";

/** A trace without its values. */
export interface SavedTrace {
  readonly model: ModelInfo;
  /** Both stacks of a translator. */
  readonly config: ModelConfig;
  readonly tokens: readonly TokenSpan[];
  readonly source?: TraceSource | undefined;
  readonly residualNorms: Float32Array;
  readonly nextToken: NextToken;
  readonly interventions: readonly Intervention[];
  readonly device: Device;
  readonly milliseconds: number;
}

const VERSION = "1";
const MAX_BYTES = 2 ** 30;
/** An attention pattern has the square of this many numbers. */
const MAX_TOKENS = 8192;

/** Writes a trace of one row, without the path of its model. */
export async function saveTrace(path: string, summary: SavedTrace, trace: Trace): Promise<void> {
  const { residualNorms, source, tokens, nextToken, model, ...rest } = summary;
  const tensors = new Map([...trace].filter(([name, value]) => value !== repeatedBy(trace, name)));
  tensors.set(NORMS, asVector(residualNorms));
  if (source) tensors.set(SOURCE_NORMS, asVector(source.residualNorms));
  const bytes = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  if (bytes > MAX_BYTES) {
    throw new EngineError(
      "config",
      `The trace has ${byteSize(bytes)}, but a trace file can have at most ${byteSize(MAX_BYTES)}. Inspect fewer tokens and save again.`,
    );
  }
  const json = {
    ...rest,
    model: { ...model, dir: "" },
    tokens: tokens.map(spanToJson),
    nextToken: { ...nextToken, top: nextToken.top.map(withBase64) },
    ...(source && { source: { tokens: source.tokens.map(spanToJson), translation: source.translation } }),
  };
  const floats = [...tensors].map(([name, value]) => [name, { ...value, dtype: "F32" as const }] as const);
  await removeStale(dirname(path));
  await writeSafetensors(path, new Map(floats), { "decoder-lab.trace": VERSION, run: JSON.stringify(json) });
}

/** Reads and checks a trace file. */
export async function openTrace(path: string): Promise<{ readonly summary: SavedTrace; readonly trace: Trace }> {
  const { tensors, metadata } = await readHeader(path);
  const fail: Fail = (problem) => {
    throw new EngineError("data", `${path} cannot be opened as a trace: ${problem}. Save it again from its model.`);
  };
  const version = metadata["decoder-lab.trace"];
  if (version === undefined) fail("it is not a trace file");
  if (version !== VERSION) fail(`its version is ${quoted(String(version))}, but only version ${VERSION} is supported`);
  const bytes = [...tensors.values()].reduce((sum, { start, end }) => sum + end - start, 0);
  if (bytes > MAX_BYTES) fail(`it has ${byteSize(bytes)}, more than a trace can have`);
  const summary = summaryFrom(metadata.run ?? "", fail);

  const longest = Math.max(summary.tokens.length, summary.source?.tokens.length ?? 0);
  if (summary.tokens.length === 0 || longest > MAX_TOKENS)
    fail(`it has ${longest} tokens, but 1 to ${MAX_TOKENS} are supported`);
  const sizes = sizesOf(summary.config, summary.tokens.length, summary.source?.tokens.length);
  for (const [name, { dtype, shape }] of tensors) {
    const expected = expectedShapes(name, sizes);
    if (!expected) fail(`it has an unknown value ${quoted(name)}`);
    if (dtype !== "F32" || !expected?.some((each) => sameShape(each, shape))) {
      fail(`its value ${quoted(name)} is ${dtype} ${shown(shape)}, which does not fit its model`);
    }
  }
  for (const name of neededNames(sizes)) if (!tensors.has(name)) fail(`it has no ${name}`);
  const values = await readTensors(path);
  const take = (name: string) => {
    const { data } = values.get(name) as TraceValue;
    values.delete(name);
    return data;
  };
  const residualNorms = take(NORMS);
  const source = summary.source && { ...summary.source, residualNorms: take(SOURCE_NORMS) };
  return { summary: { ...summary, residualNorms, source }, trace: withRepeated(values) };
}

/**
 * Names of the values that views expect. A generator, because the layer count is untrusted: the caller stops at the first
 * name that is missing.
 */
function* neededNames({ cfg, encoder }: Sizes): Generator<string> {
  yield* ["ids", "logits", NORMS];
  if (encoder) yield* ["enc.ids", SOURCE_NORMS];
  const stacks = [{ prefix: "", of: cfg }, ...(encoder ? [{ prefix: "enc.", of: encoder }] : [])];
  for (const { prefix, of } of stacks) {
    for (let layer = 0; layer < of.nLayers; layer++) {
      const block = `${prefix}blocks.${layer}`;
      yield* [`${block}.attn.q`, `${block}.attn.k`, `${block}.attn.v`, `${block}.residPost`];
      if (encoder && !prefix) yield* [`${block}.cross.q`, `${block}.cross.k`];
    }
  }
}

const NORMS = "residualNorms";
const SOURCE_NORMS = "enc.residualNorms";

const asVector = (data: Float32Array): TraceValue => ({ shape: [data.length], data });

/** The value that a block's input repeats: the previous block's output, which is in the file once. */
function repeatedBy(trace: Trace, name: string): TraceValue | undefined {
  const [, layer] = /^blocks\.(\d+)\.residPre$/.exec(name) ?? [];
  return layer === undefined ? undefined : trace.get(`blocks.${Number(layer) - 1}.residPost`);
}

function withRepeated(values: ReadonlyMap<string, TraceValue>): Trace {
  const trace = new Map<string, TraceValue>();
  for (const [name, value] of values) trace.set(name, value);
  for (const name of values.keys()) {
    const [, layer] = /^blocks\.(\d+)\.residPost$/.exec(name) ?? [];
    const next = `blocks.${Number(layer) + 1}.residPre`;
    const isThere = layer !== undefined && values.has(`blocks.${Number(layer) + 1}.residPost`);
    if (isThere && !values.has(next)) trace.set(next, values.get(name) as TraceValue);
  }
  return trace;
}

interface Sizes {
  readonly cfg: DecoderConfig;
  readonly encoder: DecoderConfig | null;
  readonly T: number;
  readonly S: number;
}

const sizesOf = (config: ModelConfig, T: number, S = 0): Sizes => ({
  cfg: decoderOf(config),
  encoder: isEncoderDecoder(config) ? config.encoder : null,
  T,
  S,
});

/** Shapes that a value may have; null for an unknown name. */
function expectedShapes(name: string, { cfg, encoder, T, S }: Sizes): readonly Shape[] | null {
  const [, ofEncoder, rest] = /^(enc\.)?(.*)$/s.exec(name) as unknown as [string, string | undefined, string];
  const of = ofEncoder ? encoder : cfg;
  if (!of) return null;
  const { nLayers, nHeads: H, nKvHeads: G, dModel: D, dHead: K, vocabSize: V } = of;
  const own = ofEncoder ? S : T;
  if (rest === NORMS) return [[(nLayers + 1) * own]];
  if (rest === "ids" || rest === "mask") return [[1, own]];
  if (["embed", "posEmbed", "lnFinal"].includes(rest)) return [[1, own, D]];
  if (rest === "logits" && !ofEncoder) {
    return [
      [1, 1, V],
      [1, T, V],
    ];
  }
  const [, layer, value = ""] = /^blocks\.(0|[1-9]\d{0,5})\.(.+)$/.exec(rest) ?? [];
  if (layer === undefined || Number(layer) >= nLayers) return null;
  if (/^(residPre|attnOut|residMid|mlpOut|residPost)$/.test(value)) return [[1, own, D]];
  if (/^attn\.[qz]$/.test(value)) return [[1, H, own, K]];
  if (/^attn\.[kv]$/.test(value)) return [[1, G, own, K]];
  if (/^attn\.(scores|pattern)$/.test(value)) return [[1, H, own, own]];
  if (!encoder || ofEncoder) return null;
  if (/^(crossOut|residCross)$/.test(value)) return [[1, T, D]];
  if (/^cross\.[qz]$/.test(value)) return [[1, H, T, K]];
  if (/^cross\.[kv]$/.test(value)) return [[1, G, S, K]];
  return /^cross\.(scores|pattern)$/.test(value) ? [[1, H, T, S]] : null;
}

type Fail = (problem: string) => never;
type Json = Readonly<Record<string, unknown>>;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const withBase64 = <X extends { readonly bytes: Uint8Array }>(x: X) => ({ ...x, bytes: base64(x.bytes) });
const spanToJson = (span: TokenSpan) => withBase64(span);

/** The summary except for the residual norms, which are tensors. */
function summaryFrom(json: string, fail: Fail) {
  const parsed = parseDescription(json, fail);
  const field = fieldsOf(fail);
  const summary = field.object(parsed, "run");
  const config = configFrom(summary.config, field, fail);
  const source = summary.source === undefined ? undefined : field.object(summary.source, "source");
  if ((source !== undefined) !== isEncoderDecoder(config)) fail("its source does not fit its model");
  const next = field.object(summary.nextToken, "nextToken");
  return {
    model: modelFrom(field.object(summary.model, "model"), config, field),
    config,
    tokens: field.list(summary.tokens, "tokens").map((each) => spanFrom(each, field)),
    nextToken: {
      entropyBits: field.number(next.entropyBits, "entropyBits"),
      top: field.list(next.top, "nextToken").map((each) => {
        const { id, token, bytes, probability, rank } = field.object(each, "nextToken");
        return {
          id: field.count(id, "id"),
          token: field.text(token, "token"),
          bytes: field.bytes(bytes),
          probability: field.number(probability, "probability"),
          rank: field.count(rank, "rank"),
        };
      }),
    },
    source: source && {
      tokens: field.list(source.tokens, "source").map((each) => spanFrom(each, field)),
      translation: field.text(source.translation, "translation"),
    },
    interventions: field
      .list(summary.interventions, "interventions")
      .map((each) => interventionFrom(each, field, fail)),
    device: summary.device === "webgpu" ? ("webgpu" as const) : ("cpu" as const),
    milliseconds: field.number(summary.milliseconds, "milliseconds"),
  };
}

/** More than the tokens of the longest trace need. */
const DESCRIPTION_LIMITS = { depth: 20, values: 1_000_000 };

function parseDescription(json: string, fail: Fail): unknown {
  try {
    return parseJson(json, DESCRIPTION_LIMITS);
  } catch (error) {
    return fail(`its description ${error instanceof JsonProblem ? error.problem : "is damaged"}`);
  }
}

type Fields = ReturnType<typeof fieldsOf>;

function fieldsOf(fail: Fail) {
  const wrong = (name: string) => fail(`its ${name} is not valid`);
  return {
    object: (value: unknown, name: string): Json => (isObject(value) ? value : wrong(name)),
    list: (value: unknown, name: string): readonly unknown[] => (Array.isArray(value) ? value : wrong(name)),
    text: (value: unknown, name: string): string => (typeof value === "string" ? value : wrong(name)),
    number: (value: unknown, name: string): number => (Number.isFinite(value) ? (value as number) : wrong(name)),
    count: (value: unknown, name: string): number => (isCounts([value]) ? (value as number) : wrong(name)),
    isTrue: (value: unknown, name: string): boolean => (typeof value === "boolean" ? value : wrong(name)),
    bytes: (value: unknown): Uint8Array =>
      typeof value === "string" ? Uint8Array.from(Buffer.from(value, "base64")) : wrong("bytes"),
  };
}

function spanFrom(value: unknown, field: Fields): TokenSpan {
  const { id, token, start, end, special, bytes } = field.object(value, "tokens");
  return {
    // An unknown token has the id -1.
    id: id === -1 ? -1 : field.count(id, "tokens"),
    token: field.text(token, "tokens"),
    start: field.count(start, "tokens"),
    end: field.count(end, "tokens"),
    special: field.isTrue(special, "tokens"),
    bytes: field.bytes(bytes),
  };
}

function configFrom(value: unknown, field: Fields, fail: Fail): ModelConfig {
  const config = field.object(value, "config");
  if (!("encoder" in config)) return decoderFrom(config, field, fail);
  const stack = (each: unknown) => decoderFrom(field.object(each, "config"), field, fail);
  return { encoder: stack(config.encoder), decoder: stack(config.decoder) };
}

/** Checks the fields that computations use; the others are only shown. */
function decoderFrom(config: Json, field: Fields, fail: Fail): DecoderConfig {
  for (const name of ["vocabSize", "nCtx", "nLayers", "nHeads", "nKvHeads", "dModel", "dHead", "dMlp", "dEmbed"]) {
    const size = field.count(config[name], name);
    if (size < 1 || size > 2 ** 24) fail(`its ${name} is ${shown(size)}`);
  }
  // The sizes are valid; the other fields that computations use are checked here.
  const cfg = config as unknown as DecoderConfig;
  if (cfg.nHeads % cfg.nKvHeads !== 0) fail("its heads cannot share their keys");
  for (const name of ["causal", "scaleByLayer", "finalNorm"]) field.isTrue(config[name], name);
  field.number(cfg.attentionScale, "attentionScale");
  if (cfg.attentionSoftcap !== null && !(field.number(cfg.attentionSoftcap, "attentionSoftcap") > 0)) {
    fail("its attentionSoftcap is not positive");
  }
  const windows = field.list(cfg.windows, "windows");
  if (!windows.every((each) => each === null || field.count(each, "windows") > 0)) fail("its windows are not positive");
  field.object(cfg.positions, "positions");
  return cfg;
}

function modelFrom(model: Json, config: ModelConfig, field: Fields): ModelInfo {
  const orNull = <X>(value: unknown, read: (value: unknown, name: string) => X, name: string) =>
    value === null ? null : read(value, name);
  const text = (name: string) => field.text(model[name], name);
  const { maxDifference, of } = isObject(model.parity) ? model.parity : {};
  return {
    dir: "",
    name: text("name"),
    preset: orNull(model.preset, field.text, "preset"),
    family: text("family"),
    parameters: field.count(model.parameters, "parameters"),
    bytes: field.count(model.bytes, "bytes"),
    // `precision` and `tokenizer` are only shown.
    precision: text("precision") as ModelInfo["precision"],
    tokenizer: text("tokenizer") as ModelInfo["tokenizer"],
    config: decoderOf(config),
    step: field.count(model.step, "step"),
    steps: field.count(model.steps, "steps"),
    loss: orNull(model.loss, field.number, "loss"),
    valLoss: orNull(model.valLoss, field.number, "valLoss"),
    device: model.device === "webgpu" ? "webgpu" : "cpu",
    createdAt: text("createdAt"),
    ...(typeof maxDifference === "number" && typeof of === "string" && { parity: { maxDifference, of } }),
  };
}

function interventionFrom(value: unknown, field: Fields, fail: Fail): Intervention {
  const given = field.object(value, "interventions");
  const target = (of: unknown) => {
    const { kind, stack, layer, head } = field.object(of, "interventions");
    const isHead = (kind === "head" || kind === "crossHead") && { head: field.count(head, "head") };
    const isNamed = stack !== undefined && { stack: field.text(stack, "stack") };
    return { kind: field.text(kind, "interventions"), ...isNamed, layer: field.count(layer, "layer"), ...isHead };
  };
  // Interventions from a file are only shown: without the model they never run.
  if (given.kind === "scale") {
    const change = { kind: "scale", part: target(given.part), factor: field.number(given.factor, "factor") };
    return change as Intervention;
  }
  if (given.kind !== "patch") fail("it has an unknown kind of intervention");
  const from = field.object(given.from, "interventions");
  return {
    kind: "patch",
    value: target(given.value),
    position: field.count(given.position, "position"),
    from: { trace: 0, position: field.count(from.position, "position") },
  } as Intervention;
}
