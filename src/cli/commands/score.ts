import { readFile } from "node:fs/promises";
import { EngineError, LoadedModel, type ScoredTokens } from "../../engine";
import type { Command, Options } from "../options";

export const score: Command = {
  usage: "score --model DIR (--text TEXT | --text-file FILE) [--from N] [--alternatives N] [--device D] [--json]",
  values: ["model", "text", "text-file", "from", "alternatives", "device"],
  flags: ["json"],
  async run(options) {
    const [from, alternatives] = [options.number("from", { whole: true }), options.number("alternatives", LIMITS) ?? 3];
    const text = await textOf(options);
    const loaded = await LoadedModel.open(options.needed("model"), options.device());
    const tell = options.has("json") ? tellJson : tellText;
    const report = (piece: ScoredTokens) => {
      for (const line of linesOf(piece, loaded.vocabulary)) tell(line);
    };
    try {
      await loaded.surprisal(text, { from, alternatives, signal: new AbortController().signal, report });
    } finally {
      await loaded.release();
    }
  },
};

const LIMITS = { max: 20, whole: true };

async function textOf(options: Options): Promise<string> {
  if (options.has("text")) return options.needed("text");
  const file = options.needed("text-file");
  return readFile(file, "utf8").catch((error) => {
    throw new EngineError("data", `${file} cannot be read; choose a text file.`, { cause: error });
  });
}

/** A token with what was expected in its place; null of one that has nothing before it. */
interface Line {
  readonly id: number;
  readonly token: string;
  readonly start: number;
  readonly end: number;
  /** In bits, as the entropy. */
  readonly surprisal: number | null;
  readonly entropy: number | null;
  readonly rank: number | null;
  readonly alternatives: readonly { readonly id: number; readonly token: string; readonly probability: number }[];
}

function linesOf(piece: ScoredTokens, vocabulary: readonly string[]): Line[] {
  const count = piece.ids.length / piece.tokens.length;
  return piece.tokens.map(({ id, token, start, end }, t) => {
    const [surprisal, entropy, rank] = [piece.surprisal, piece.entropy, piece.rank].map((of) => of[t] as number);
    const place = { id, token, start, end };
    if (Number.isNaN(surprisal)) return { ...place, surprisal: null, entropy: null, rank: null, alternatives: [] };
    const alternatives = Array.from(piece.ids.subarray(t * count, (t + 1) * count), (other, i) => ({
      id: other,
      token: vocabulary[other] as string,
      probability: piece.probabilities[t * count + i] as number,
    }));
    return { ...place, surprisal, entropy, rank, alternatives } as Line;
  });
}

const tellJson = (line: Line): void => console.log(JSON.stringify(line));

function tellText({ token, surprisal, rank, alternatives }: Line): void {
  const bits = surprisal === null ? "" : surprisal.toFixed(2);
  const others = alternatives.map(
    (other) => `${JSON.stringify(other.token)} ${(100 * other.probability).toFixed(1)} %`,
  );
  console.log(`${bits}\t${rank ?? ""}\t${JSON.stringify(token)}\t${others.join(", ")}`);
}
