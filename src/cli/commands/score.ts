import { EngineError, LoadedModel, type PromptScore, type ScoredTokens } from "../../engine";
import { PromptSetError, readPrompts } from "../../files/promptSet";
import { readRegularText } from "../../files/regular";
import { quoted } from "../../text/untrusted";
import type { Command, Options } from "../options";
import { print } from "../terminal";

export const score: Command = {
  summary: "Print the surprisal of each token of a text, or the prediction after each prompt of a set",
  usage:
    "score --model PATH (--text TEXT | --text-file FILE | --prompts FILE) [--from N] [--alternatives N] [--device D] [--json]",
  values: ["model", "text", "text-file", "prompts", "from", "alternatives", "device"],
  flags: ["json"],
  descriptions: { from: ["N", "First character to score (UTF-16 offset)"] },
  readsGguf: true,
  async run(options) {
    if (options.has("prompts")) return scorePrompts(options);
    const [from, alternatives] = [options.number("from", { whole: true }), options.number("alternatives", LIMITS) ?? 3];
    const text = await textOf(options);
    const loaded = await LoadedModel.open(options.needed("model"), options.device());
    const print = options.has("json") ? printJson : printText;
    const report = (piece: ScoredTokens) => {
      for (const line of linesOf(piece, loaded.vocabulary)) print(line);
    };
    try {
      await loaded.surprisal(text, { from, alternatives, signal: new AbortController().signal, report });
    } finally {
      await loaded.release();
    }
  },
};

/** Scores the prompts of a CSV or JSONL file, one line each. */
async function scorePrompts(options: Options): Promise<void> {
  const prompts = await readPrompts(options.needed("prompts")).catch((error) => {
    throw error instanceof PromptSetError ? new EngineError("data", error.message, { cause: error }) : error;
  });
  const line = options.has("json") ? promptJson : promptText;
  const loaded = await LoadedModel.open(options.needed("model"), options.device());
  try {
    for (const prompt of prompts) print(line(prompt, await scoreOrError(loaded, prompt)));
  } finally {
    await loaded.release();
  }
}

/** A prompt that the model cannot read does not keep the others from being scored. */
async function scoreOrError(loaded: LoadedModel, prompt: string): Promise<PromptScore | { readonly error: string }> {
  try {
    return await loaded.scorePrompt(prompt, []);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    process.exitCode = 1;
    return { error: error.message };
  }
}

const promptJson: PromptLine = (prompt, result) => {
  if ("error" in result) return JSON.stringify({ prompt, ...result });
  const { probabilities: _, ...score } = result;
  return JSON.stringify({ prompt, ...score });
};

const promptText: PromptLine = (prompt, result) => {
  if ("error" in result) return `\t\t\t\t${quoted(prompt)}\t${result.error}`;
  const { next, loss, tokens } = result;
  const numbers = [next.probability.toFixed(4), quoted(next.token), loss?.toFixed(4) ?? "", tokens];
  return [...numbers, quoted(prompt)].join("\t");
};

type PromptLine = (prompt: string, result: PromptScore | { readonly error: string }) => string;

const LIMITS = { max: 20, whole: true };

const MAX_TEXT_BYTES = 100_000_000;

async function textOf(options: Options): Promise<string> {
  if (options.has("text")) return options.needed("text");
  const file = options.needed("text-file");
  return readRegularText(file, MAX_TEXT_BYTES).catch((error) => {
    throw new EngineError("data", `Could not read ${file}. Choose a text file.`, { cause: error });
  });
}

/** A token with the model's predictions for its position; null for the first one, which has no context. */
interface Line {
  readonly id: number;
  readonly token: string;
  readonly start: number;
  readonly end: number;
  /** In bits. */
  readonly surprisal: number | null;
  /** In bits. */
  readonly entropy: number | null;
  readonly rank: number | null;
  readonly alternatives: readonly { readonly id: number; readonly token: string; readonly probability: number }[];
}

function linesOf(piece: ScoredTokens, vocabulary: readonly string[]): Line[] {
  const count = piece.ids.length / piece.tokens.length;
  return piece.tokens.map(({ id, token, start, end }, t) => {
    const [surprisal, entropy, rank] = [piece.surprisal, piece.entropy, piece.rank].map((of) => of[t] as number);
    const span = { id, token, start, end };
    if (Number.isNaN(surprisal)) return { ...span, surprisal: null, entropy: null, rank: null, alternatives: [] };
    const alternatives = Array.from(piece.ids.subarray(t * count, (t + 1) * count), (other, i) => ({
      id: other,
      token: vocabulary[other] as string,
      probability: piece.probabilities[t * count + i] as number,
    }));
    return { ...span, surprisal, entropy, rank, alternatives } as Line;
  });
}

const printJson = (line: Line): void => print(JSON.stringify(line));

function printText({ token, surprisal, rank, alternatives }: Line): void {
  const bits = surprisal === null ? "" : surprisal.toFixed(2);
  const others = alternatives.map((other) => `${quoted(other.token)} ${(100 * other.probability).toFixed(1)} %`);
  print(`${bits}\t${rank ?? ""}\t${quoted(token)}\t${others.join(", ")}`);
}
