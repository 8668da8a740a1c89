import {
  type AnyLoaded,
  type Attribution,
  decoderOf,
  EngineError,
  type Intervention,
  type LensReading,
  LoadedTranslator,
  loadModel,
  type NextToken,
  nextToken,
  requireWritableFile,
  softmax,
  type Tokenizer,
  type Trace,
  type TraceIntervention,
  tokenAs,
} from "../../engine";
import { writeSafetensors } from "../../engine/weights";
import { toJson } from "../json";
import type { Command, Options } from "../options";
import { print } from "../terminal";
import { promptRows, sourceRows } from "./generate";
import { printTraceFile, saveTraceFile } from "./traceFile";

export const inspect: Command = {
  summary: "Record, modify and analyze a forward pass",
  usage:
    'inspect --model PATH (--prompt TEXT | --ids "1,2,3;4,5") [--scale blocks.0.head.1=0…] [--patch "blocks.0.residPost@9=6:OTHER TEXT"…] [--out FILE.safetensors] [--json [--position N] [--lens] [--attribute TOKEN]] [--device D] | --model PATH --prompt TEXT --save FILE.dltrace | --open FILE.dltrace [--json]',
  values: ["model", "prompt", "ids", "out", "save", "open", "position", "attribute", "device"],
  many: ["scale", "patch"],
  flags: ["json", "lens"],
  readsGguf: true,
  async run(options) {
    if (options.has("open")) return printTraceFile(options);
    if (options.has("save")) return saveTraceFile(options);
    const json = options.has("json");
    const out = json ? options.text("out") : options.needed("out");
    const [dir, device] = [options.needed("model"), options.device()];
    if (out !== undefined) await requireWritableFile(out);
    const loaded = await loadModel(dir, device);
    const rows = rowsOf(loaded, options);
    const changes = [...options.list("scale").map(parseScale), ...options.list("patch").map(parsePatch)];
    if (rows.length > 1 && (json || changes.length > 0)) {
      throw new EngineError("config", "--json, --scale and --patch need a single row of ids.");
    }
    const interventions: TraceIntervention[] = [];
    for (const change of changes) interventions.push(await withTrace(change, loaded));
    const trace = await loaded.trace(rows, interventions);
    if (out !== undefined) await write(out, trace, loaded);
    const lengths = ["enc.ids", "ids"].flatMap((name) => trace.get(name)?.shape[1] ?? []);
    if (json) print(toJson(await reportOf(loaded, trace, { changes, interventions }, options)));
    else print(`${trace.size} values of ${rows.length} × ${lengths.join(" and ")} tokens: ${out}`);
    await loaded.release();
  },
};

/** The input rows. A translator gets sources and translates them itself. */
function rowsOf(loaded: AnyLoaded, options: Options): readonly (readonly number[])[] {
  if (loaded instanceof LoadedTranslator) return sourceRows(loaded, options);
  const { nCtx } = loaded.model.cfg;
  const given = promptRows(loaded, options);
  const rows = options.has("ids") ? given : given.map((row) => row.slice(-nCtx));
  const long = rows.find((row) => row.length > nCtx);
  if (!long) return rows;
  throw new EngineError(
    "config",
    `A row has ${long.length} tokens, more than the context length of ${nCtx}. Use fewer ids.`,
  );
}

/** An intervention in which the source of a patch is given by its text. */
type Change = Intervention<string>;

/** The JSON output. */
interface Report {
  /** For a translator, its output after BOS. */
  readonly tokens: readonly ReportToken[];
  /** The input of a translator. */
  readonly source?: { readonly tokens: readonly ReportToken[] };
  readonly position: number;
  /** Prediction at the position. */
  readonly nextToken: NextToken;
  readonly interventions: readonly Change[];
  /** For the requested position, or all. */
  readonly lens?: ReturnType<typeof withPlaces>;
  readonly attribution?: Attribution;
}

interface ReportToken {
  readonly id: number;
  readonly token: string;
}

async function reportOf(
  loaded: AnyLoaded,
  trace: Trace,
  { changes, interventions }: { changes: readonly Change[]; interventions: readonly TraceIntervention[] },
  options: Options,
): Promise<Report> {
  const { vocabSize } = decoderOf(loaded.model.cfg);
  const source = loaded instanceof LoadedTranslator ? loaded.model.source : undefined;
  const tokenizer = loaded.writer;
  const tokensOf = (name: string, by: Tokenizer) =>
    [...(trace.get(name)?.data ?? [])].map((id) => ({ id, token: tokenAs(by, id) }));
  const ids = [...(trace.get("ids")?.data ?? [])];
  const position = options.number("position", { max: ids.length - 1, whole: true }) ?? ids.length - 1;
  const token = options.has("attribute") ? tokenNamed(options.needed("attribute"), loaded) : undefined;
  const positions = options.has("position") ? ([position, position + 1] as const) : ([0, ids.length] as const);
  const logits = trace.get("logits")?.data.subarray(position * vocabSize, (position + 1) * vocabSize);
  const lens = options.has("lens") ? await loaded.lens(trace, { positions, count: COUNT, token }) : null;
  return {
    tokens: tokensOf("ids", tokenizer),
    ...(source && { source: { tokens: tokensOf("enc.ids", source) } }),
    position,
    nextToken: nextToken(softmax(logits as Float32Array), tokenizer, COUNT),
    interventions: changes,
    ...(lens && { lens: withPlaces(lens) }),
    ...(token !== undefined && {
      attribution: await loaded.attribution(trace, { position, token }, interventions),
    }),
  };
}

const COUNT = 10;

/** The JSON keeps the name that scripts read. */
const withPlaces = ({ depths, ...lens }: LensReading) => ({ places: depths, ...lens });

/** Finds a token by its id (`#12`) or its exact text. */
function tokenNamed(name: string, { vocabulary }: AnyLoaded): number {
  const id = /^#(\d+)$/.exec(name)?.[1];
  const found = id === undefined ? vocabulary.indexOf(name) : Number(id);
  if (found >= 0 && found < vocabulary.length) return found;
  throw new EngineError(
    "tokenizer",
    `There is no token "${name}". Use its exact text in the vocabulary, or its id, such as #12.`,
  );
}

/**
 * Parses blocks.0.head.1=0, blocks.0.attention=0.5, blocks.0.mlp=0 or, for a whole layer, blocks.0=0. Translators also have
 * blocks.0.cross.head.1=0 and blocks.0.cross=0.5, and the prefix `enc.` for their encoder.
 */
function parseScale(text: string): Change {
  const [, enc, layer, name, cross, head, number] =
    /^(enc\.)?blocks\.(\d+)(?:\.(?:(attention|cross|mlp)|(cross\.)?head\.(\d+)))?=(.+)$/.exec(text) ?? [];
  const factor = Number(number);
  if (layer === undefined || !Number.isFinite(factor)) {
    throw new EngineError(
      "config",
      `--scale must be a component and a factor, such as blocks.0.head.1=0, blocks.0.mlp=0.5 or blocks.0=0, got "${text}".`,
    );
  }
  const at = layerOf(enc, layer);
  if (head !== undefined) return { kind: "scale", part: { kind: headKind(cross), ...at, head: Number(head) }, factor };
  // The regular expression allows only these names.
  const kind = (name ?? "layer") as "attention" | "cross" | "mlp" | "layer";
  return { kind: "scale", part: { kind, ...at }, factor };
}

/**
 * Parses blocks.0.residPost@9=6:OTHER TEXT, which patches position 9 with the value of the other text at position 6. Also
 * supports .residPre, .attnOut, .mlpOut and .head.1, for translators .crossOut, .cross.head.1 and the prefix `enc.`.
 */
function parsePatch(text: string): Change {
  const [, enc, layer, name, cross, head, position, from, trace] =
    /^(enc\.)?blocks\.(\d+)\.(?:(attnOut|crossOut|mlpOut|residPre|residPost)|(cross\.)?head\.(\d+))@(\d+)=(\d+):(.*)$/s.exec(
      text,
    ) ?? [];
  if (layer === undefined || trace === undefined) {
    throw new EngineError(
      "config",
      `--patch must be a value, a position, and a position in another text, such as "blocks.0.residPost@9=6:OTHER TEXT", got "${text}".`,
    );
  }
  const at = { position: Number(position), from: { trace, position: Number(from) } };
  const site = layerOf(enc, layer);
  if (head !== undefined) {
    return { kind: "patch", value: { kind: headKind(cross), ...site, head: Number(head) }, ...at };
  }
  // The regular expression allows only these names.
  const kind = name as "attnOut" | "crossOut" | "mlpOut" | "residPre" | "residPost";
  return { kind: "patch", value: { kind, ...site }, ...at };
}

const layerOf = (enc: string | undefined, layer: string) => ({
  ...(enc !== undefined && { stack: "encoder" as const }),
  layer: Number(layer),
});

const headKind = (cross: string | undefined) => (cross === undefined ? "head" : "crossHead");

async function withTrace(change: Change, loaded: AnyLoaded): Promise<TraceIntervention> {
  if (change.kind === "scale") return change;
  const text = change.from.trace;
  const ids =
    loaded instanceof LoadedTranslator
      ? loaded.sourceIds(text)
      : loaded.model.tokenizer.encodePrompt(text).slice(-loaded.model.cfg.nCtx);
  return { ...change, from: { ...change.from, trace: await loaded.trace([ids]) } };
}

function write(out: string, trace: Trace, { model, weights }: AnyLoaded): Promise<void> {
  const tensors = [...trace].map(
    ([name, value]) => [name, { ...value, shape: [...value.shape], dtype: "F32" as const }] as const,
  );
  return writeSafetensors(out, new Map(tensors), { model: model.info.name, device: weights.device });
}
