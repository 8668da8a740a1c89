/** A set of prompts and its scores, as pure functions: the text that is edited, the rows of the table, and their order. */

import type { PromptScore } from "../../../src/protocol/traceApi";
import { formatCount, formatPercent, formatShort } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import type { Column } from "../../parts/sortableTable";

/** Stands for a line break in a prompt, as prompts are edited one per line. */
const BREAK = "↵";

export const textOf = (prompts: readonly string[]): string =>
  prompts.map((prompt) => prompt.replace(/\r\n|\r|\n/g, BREAK)).join("\n");

/** The prompts of an edited text. Lines without a prompt are left out. */
export const promptsOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.replace(/\r$/, "").replaceAll(BREAK, "\n"))
    .filter((prompt) => prompt.trim() !== "");

/** A token whose probability is shown for each prompt. */
export interface ChosenToken {
  readonly id: number;
  readonly label: string;
}

/** A prompt with its score, the error of scoring it, or neither yet. */
export interface PromptRow {
  /** Counts from 1, in the order of the set. */
  readonly number: number;
  readonly prompt: string;
  readonly outcome: PromptScore | Error | null;
}

export const scoreOf = ({ outcome }: PromptRow): PromptScore | null =>
  outcome === null || outcome instanceof Error ? null : outcome;

export interface PromptColumn extends Column<PromptRow> {
  readonly format: (value: number) => string;
}

export function columnsOf(tokens: readonly ChosenToken[]): PromptColumn[] {
  const count = { format: formatCount };
  const probability = { format: formatPercent };
  return [
    { label: "#", value: ({ number }) => number, ...count },
    { label: t("prompt"), isText: true, value: ({ prompt }) => prompt, ...count },
    { label: t("tokens"), value: (row) => scoreOf(row)?.tokens ?? null, ...count },
    {
      label: t("next token"),
      isText: true,
      value: (row) => (row.outcome instanceof Error ? row.outcome.message : (row.outcome?.next.token ?? null)),
      ...count,
    },
    { label: t("probability"), value: (row) => scoreOf(row)?.next.probability ?? null, ...probability },
    { label: t("loss per token (nats)"), value: (row) => scoreOf(row)?.loss ?? null, format: formatShort },
    ...tokens.map(({ label, id }, i) => ({
      label: t("p(“{0}”, #{1})", label, id),
      value: (row: PromptRow) => scoreOf(row)?.probabilities[i] ?? null,
      ...probability,
    })),
  ];
}

/** A table that the reader of prompt sets reads again: its column "prompt" has the prompts. */
export const promptTable = (rows: readonly PromptRow[], tokens: readonly ChosenToken[]): TableData => ({
  title: t("Scores of the prompts"),
  columns: [
    "number",
    "prompt",
    "tokens",
    "next token id",
    "next token",
    "probability",
    "loss per token (nats)",
    ...tokens.map(({ label, id }) => `probability of #${id} ${label}`),
    "error",
  ],
  isGuarded: true,
  rows: rows.length,
  row: (i) => {
    const row = rows[i] as PromptRow;
    const score = scoreOf(row);
    return [
      row.number,
      row.prompt,
      score?.tokens ?? "",
      score?.next.id ?? "",
      score?.next.token ?? "",
      score?.next.probability ?? "",
      score?.loss ?? "",
      ...tokens.map((_, token) => score?.probabilities[token] ?? ""),
      row.outcome instanceof Error ? row.outcome.message : "",
    ];
  },
});

/** The mean loss of the scored prompts, each counted once; null if there is none. */
export function meanLoss(rows: readonly PromptRow[]): number | null {
  const losses = rows.flatMap((row) => scoreOf(row)?.loss ?? []);
  return losses.length > 0 ? losses.reduce((sum, loss) => sum + loss, 0) / losses.length : null;
}

/** A file name for a set: letters, digits, spaces and dots stay. */
export const fileNameOf = (name: string): string => {
  const plain = name.replace(/[^\p{L}\p{N} ._-]/gu, "-").replace(/^[^\p{L}\p{N}]+/u, "");
  return plain === "" ? "prompts" : plain;
};

/** The state of the view that survives a reload. */
export interface SavedPrompts {
  /** The name of the open set; "" for prompts that are not saved. */
  readonly name: string;
  /** The text of the prompts that are not saved. */
  readonly draft: string;
  readonly tokens: readonly ChosenToken[];
}

/** Reads the state; what another version of the extension wrote differently is ignored. */
export function readSaved(saved: string): SavedPrompts {
  const none = { name: "", draft: "", tokens: [] };
  try {
    const { name, draft, tokens } = JSON.parse(saved) as Record<string, unknown>;
    const isToken = (token: unknown): token is ChosenToken => {
      const { id, label } = (token ?? {}) as Record<string, unknown>;
      return typeof id === "number" && typeof label === "string";
    };
    if (typeof name !== "string" || typeof draft !== "string" || !Array.isArray(tokens)) return none;
    return { name, draft, tokens: tokens.filter(isToken) };
  } catch {
    return none;
  }
}
