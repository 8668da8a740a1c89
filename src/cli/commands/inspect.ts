import {
  type Attribution,
  EngineError,
  type Intervention,
  isTranslation,
  type LensView,
  LoadedModel,
  LoadedTranslator,
  type NextToken,
  nextToken,
  softmax,
  type Trace,
} from "../../engine";
import { writeSafetensors } from "../../engine/weights";
import { toJson } from "../json";
import type { Command, Options } from "../options";
import { promptRows, sourceRows } from "./generate";
import { saveInspection, tellTraceFile } from "./traceFile";

export const inspect: Command = {
  usage:
    'inspect --model DIR (--prompt TEXT | --ids "1,2,3;4,5") [--scale blocks.0.head.1=0…] [--patch "blocks.0.residPost@9=6:OTHER TEXT"…] [--out FILE.safetensors] [--json [--position N] [--lens] [--attribute TOKEN]] [--device D] | --model DIR --prompt TEXT --save FILE.dltrace | --open FILE.dltrace [--json]',
  values: ["model", "prompt", "ids", "out", "save", "open", "position", "attribute", "device"],
  many: ["scale", "patch"],
  flags: ["json", "lens"],
  async run(options) {
    if (options.has("open")) return tellTraceFile(options);
    if (options.has("save")) return saveInspection(options);
    const json = options.has("json");
    const out = json ? options.text("out") : options.needed("out");
    const [dir, device] = [options.needed("model"), options.device()];
    if (await isTranslation(dir)) return inspectTranslations(options);
    const loaded = await LoadedModel.open(dir, device);
    const { cfg } = loaded.model;
    const given = promptRows(loaded, options);
    const rows = options.has("ids") ? given : given.map((row) => row.slice(-cfg.nCtx));
    for (const row of rows) {
      if (row.length > cfg.nCtx) {
        throw new EngineError(
          "config",
          `A row has ${row.length} tokens and the model's context ${cfg.nCtx}; give fewer ids.`,
        );
      }
    }
    const changes = [...options.list("scale").map(parseScale), ...options.list("patch").map(parsePatch)];
    if (rows.length > 1 && (json || changes.length > 0)) {
      throw new EngineError("config", "--json, --scale and --patch are for one row of ids; give one.");
    }
    const interventions: Intervention[] = [];
    for (const change of changes) interventions.push(await withTrace(change, loaded));
    const trace = await loaded.trace(rows, interventions);
    if (out !== undefined) await write(out, trace, loaded);
    if (json) console.log(toJson(await told(loaded, trace, { changes, interventions }, options)));
    else console.log(`${trace.size} values of ${rows.length} × ${trace.get("ids")?.shape[1]} tokens: ${out}`);
    await loaded.release();
  },
};

/** An intervention whose other run is told by its text. */
type Change = Intervention<string>;

interface Told {
  readonly tokens: readonly { readonly id: number; readonly token: string }[];
  readonly position: number;
  /** After the position. */
  readonly nextToken: NextToken;
  /** With the text of the run that a patch is from. */
  readonly interventions: readonly Change[];
  /** Of the position that was asked for, or of all. */
  readonly lens?: LensView;
  readonly attribution?: Attribution;
}

async function told(
  loaded: LoadedModel,
  trace: Trace,
  { changes, interventions }: { changes: readonly Change[]; interventions: readonly Intervention[] },
  options: Options,
): Promise<Told> {
  const { tokenizer, cfg } = loaded.model;
  const ids = [...(trace.get("ids")?.data ?? [])];
  const position = options.number("position", { max: ids.length - 1, whole: true }) ?? ids.length - 1;
  const token = options.has("attribute") ? tokenNamed(options.needed("attribute"), loaded) : undefined;
  const positions = options.has("position") ? ([position, position + 1] as const) : ([0, ids.length] as const);
  const logits = trace.get("logits")?.data.subarray(position * cfg.vocabSize, (position + 1) * cfg.vocabSize);
  return {
    tokens: ids.map((id) => ({ id, token: tokenizer.token(id) })),
    position,
    nextToken: nextToken(softmax(logits as Float32Array), tokenizer, COUNT),
    interventions: changes,
    ...(options.has("lens") && { lens: await loaded.lens(trace, { positions, count: COUNT, token }) }),
    ...(token !== undefined && {
      attribution: await loaded.attribution(trace, { position, token }, interventions),
    }),
  };
}

const COUNT = 10;

/** A token by its id (`#12`) or its exact text. */
function tokenNamed(name: string, { vocabulary }: LoadedModel): number {
  const id = /^#(\d+)$/.exec(name)?.[1];
  const found = id === undefined ? vocabulary.indexOf(name) : Number(id);
  if (found >= 0 && found < vocabulary.length) return found;
  throw new EngineError(
    "tokenizer",
    `There is no token "${name}"; give one as the vocabulary has it, or its id as #12.`,
  );
}

/** blocks.0.head.1=0, blocks.0.attention=0.5, blocks.0.mlp=0 or, of both, blocks.0=0 */
function parseScale(text: string): Change {
  const [, layer, name, head, number] = /^blocks\.(\d+)(?:\.(?:(attention|mlp)|head\.(\d+)))?=(.+)$/.exec(text) ?? [];
  const factor = Number(number);
  if (layer === undefined || !Number.isFinite(factor)) {
    throw new EngineError(
      "config",
      `--scale takes a part and a number, such as blocks.0.head.1=0, blocks.0.mlp=0.5 or blocks.0=0, got "${text}".`,
    );
  }
  const at = { layer: Number(layer) };
  if (head !== undefined) return { kind: "scale", part: { kind: "head", ...at, head: Number(head) }, factor };
  const kind = name === "attention" || name === "mlp" ? name : "layer";
  return { kind: "scale", part: { kind, ...at }, factor };
}

/** blocks.0.residPost@9=6:OTHER TEXT: at position 9 what the other text has at position 6; so of .attnOut, .mlpOut, .head.1 */
function parsePatch(text: string): Change {
  const [, layer, name, head, position, from, trace] =
    /^blocks\.(\d+)\.(?:(attnOut|mlpOut|residPre|residPost)|head\.(\d+))@(\d+)=(\d+):(.*)$/s.exec(text) ?? [];
  if (trace === undefined) {
    throw new EngineError(
      "config",
      `--patch takes a value, a position and those of another text, such as "blocks.0.residPost@9=6:OTHER TEXT", got "${text}".`,
    );
  }
  const at = { position: Number(position), from: { trace, position: Number(from) } };
  if (head !== undefined)
    return { kind: "patch", value: { kind: "head", layer: Number(layer), head: Number(head) }, ...at };
  // The expression has no other names.
  const kind = name as "attnOut" | "mlpOut" | "residPre" | "residPost";
  return { kind: "patch", value: { kind, layer: Number(layer) }, ...at };
}

async function withTrace(change: Change, loaded: LoadedModel): Promise<Intervention> {
  if (change.kind === "scale") return change;
  const ids = loaded.model.tokenizer.encodePrompt(change.from.trace).slice(-loaded.model.cfg.nCtx);
  return { ...change, from: { ...change.from, trace: await loaded.trace([ids]) } };
}

/** Of a translator: both stacks, over sentences and the translations that it gives them. */
async function inspectTranslations(options: Options): Promise<void> {
  if (["json", "scale", "patch"].some((name) => options.has(name))) {
    throw new EngineError(
      "config",
      "--json, --scale and --patch are for decoders, and the model is a translator; give --out.",
    );
  }
  const out = options.needed("out");
  const loaded = await LoadedTranslator.open(options.needed("model"), options.device());
  const rows = sourceRows(loaded, options);
  const trace = await loaded.trace(rows);
  await write(out, trace, loaded);
  const lengths = ["enc.ids", "ids"].map((name) => trace.get(name)?.shape[1]);
  console.log(`${trace.size} values of ${rows.length} × ${lengths.join(" and ")} tokens: ${out}`);
  await loaded.release();
}

function write(out: string, trace: Trace, { model, weights }: LoadedModel | LoadedTranslator): Promise<void> {
  const tensors = [...trace].map(
    ([name, value]) => [name, { ...value, shape: [...value.shape], dtype: "F32" as const }] as const,
  );
  return writeSafetensors(out, new Map(tensors), { model: model.info.name, device: weights.device });
}
