/** Generations as a tree of branches: each shares the first steps of its parent and continues with its own. */

import type { Sampling, TokenSpan } from "../../../src/protocol/engineApi";
import type { GenerationStep, GenerationTrace } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { tokenLabel } from "../../trace/tokens/layout";

export type Settings = Sampling & { readonly maxNewTokens: number };

export interface Step extends Omit<GenerationStep, "drawnWith"> {
  /** Null where the user picked the token. */
  readonly drawnWith: number | null;
  /** True if the sampler kept tokens by the model's ranking, so that a rank says if a token was kept. */
  readonly keptByRank: boolean;
}

export interface Branch {
  readonly id: number;
  /** Id of the branch it starts from; null for the first. */
  readonly parent: number | null;
  /** Index of its first own step, counted from the end of the prompt. */
  readonly from: number;
  /** Its own steps. In a branch with a parent, the first one has the token the user picked. */
  readonly steps: readonly Step[];
  /** Why it ended; null while it is generated. */
  readonly reason: GenerationTrace["reason"] | null;
  readonly settings: Settings;
  /** All tokens after the prompt with their text; null until the branch has ended. */
  readonly spans: readonly TokenSpan[] | null;
}

/** A step that the sampler drew. */
export const drawnStep = (step: GenerationStep, { repetitionPenalty }: Sampling): Step => ({
  ...step,
  keptByRank: repetitionPenalty === 1,
});

/** The same step with another of its candidates, picked by the user; null for a token that was not reported. */
export function pickedStep(step: Step, id: number): Step | null {
  const token = step.top.find((each) => each.id === id);
  return token ? { ...step, id, token: token.token, probability: token.probability, drawnWith: null } : null;
}

const branchOf = (branches: readonly Branch[], id: number): Branch => {
  const branch = branches.find((each) => each.id === id);
  if (!branch) throw new Error(`There is no branch ${id}.`);
  return branch;
};

/** All steps from the end of the prompt to the end of a branch. */
export function stepsOf(branches: readonly Branch[], id: number): readonly Step[] {
  const { parent, from, steps } = branchOf(branches, id);
  return parent === null ? steps : [...stepsOf(branches, parent).slice(0, from), ...steps];
}

/** The parent of a new branch at a step of branch `id`: the branch that generated the step and did not start with it. */
export function parentAt(branches: readonly Branch[], id: number, step: number): number {
  const { parent, from } = branchOf(branches, id);
  return parent !== null && step <= from ? parentAt(branches, parent, step) : id;
}

/** The branch that equals branch `id` up to `step` and has `token` there; null if there is none. */
export function branchWith(branches: readonly Branch[], id: number, step: number, token: number): number | null {
  const wanted = [
    ...stepsOf(branches, id)
      .slice(0, step)
      .map((each) => each.id),
    token,
  ];
  const matches = (steps: readonly Step[]) => wanted.every((each, i) => steps[i]?.id === each);
  return branches.find((branch) => matches(stepsOf(branches, branch.id)))?.id ?? null;
}

/** Enough to generate a branch again, since the seed decides what is drawn. `parent` is an index in the list, or -1. */
export interface Recipe {
  readonly parent: number;
  readonly from: number;
  readonly token: number;
  readonly settings: Settings;
}

/** The recipes of branches, in the order in which they were generated. */
export const recipesOf = (branches: readonly Branch[]): readonly Recipe[] =>
  branches.map(({ parent, from, steps, settings }) => ({
    parent: branches.findIndex(({ id }) => id === parent),
    from,
    token: steps[0]?.id ?? -1,
    settings,
  }));

export interface TreeRow {
  readonly branch: Branch;
  /** Depth in the tree, from 1. */
  readonly level: number;
}

/** The branches in tree order, each after its parent; siblings by the step at which they start. */
export function treeRows(branches: readonly Branch[], parent: number | null = null, level = 1): TreeRow[] {
  const children = branches.filter((branch) => branch.parent === parent).sort((a, b) => a.from - b.from || a.id - b.id);
  return children.flatMap((branch) => [{ branch, level }, ...treeRows(branches, branch.id, level + 1)]);
}

/** The sum of the steps' surprisals, in bits. */
export const bitsOf = (steps: readonly Step[]): number =>
  steps.reduce((sum, { probability }) => sum - Math.log2(probability), 0);

/** The text of tokens. An incomplete UTF-8 character becomes a replacement character. */
export function textOf(tokens: readonly Pick<TokenSpan, "bytes">[]): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return tokens.map(({ bytes }) => decoder.decode(bytes, { stream: true })).join("") + decoder.decode();
}

export interface Choice {
  readonly id: number;
  readonly label: string;
  readonly probability: number;
  /** Null for a token that was not reported. */
  readonly rank: number | null;
  /** True if the sampler kept it; null if its rank is unknown. */
  readonly isKept: boolean | null;
  readonly isWritten: boolean;
}

/** The `count` most likely tokens of a step, followed by the chosen one if it is not among them. */
export function choicesOf({ top, id, token, probability, kept, keptByRank }: Step, count: number): readonly Choice[] {
  const choices = top.map(
    (each): Choice => ({
      id: each.id,
      label: rankedLabel(each),
      probability: each.probability,
      rank: each.rank,
      isKept: keptByRank ? each.rank <= kept.tokens : null,
      isWritten: each.id === id,
    }),
  );
  const shown = choices.slice(0, count);
  if (shown.some(({ isWritten }) => isWritten)) return shown;
  const written = choices.find(({ isWritten }) => isWritten);
  return [...shown, written ?? { id, label: token, probability, rank: null, isKept: true, isWritten: true }];
}

const rankedLabel = (token: Step["top"][number]): string => tokenLabel({ ...token, special: token.bytes.length === 0 });

/** The label of a step's chosen token. */
export function writtenLabel({ top, id, token }: Step): string {
  const known = top.find((each) => each.id === id);
  return known ? rankedLabel(known) : token;
}

/** Position of the generated tokens in the tokens of the whole text; null if that is tokenized differently. */
export function writtenAt(text: readonly { readonly id: number }[], written: readonly { readonly id: number }[]) {
  const first = text.length - written.length;
  return first >= 0 && written.every(({ id }, i) => text[first + i]?.id === id) ? first : null;
}

/** How many tokens of a completion the steps repeat. */
export function sharedSteps(steps: readonly Step[], ids: readonly number[]): number {
  const differs = ids.findIndex((id, i) => steps[i]?.id !== id);
  return differs < 0 ? ids.length : differs;
}

/** Alternatives of each step in the table. */
const ALTERNATIVES = 10;

/** A table with one row per step. */
export function generationTable(steps: readonly Step[], title: string): TableData {
  const numbered = Array.from({ length: ALTERNATIVES }, (_, k) => [
    `id ${k + 1}`,
    `token ${k + 1}`,
    `probability ${k + 1}`,
  ]);
  return {
    title,
    columns: [
      "step",
      "token",
      "id",
      "probability",
      "entropy (bits)",
      "kept tokens",
      "kept mass",
      "drawn with",
      ...numbered.flat(),
    ],
    rows: steps.length,
    row: (i) => {
      const step = steps[i] as Step;
      const { id, probability, entropyBits, kept, drawnWith, top } = step;
      const alternatives = Array.from({ length: ALTERNATIVES }, (_, k) => top[k]);
      return [
        i + 1,
        writtenLabel(step),
        id,
        probability,
        entropyBits,
        kept.tokens,
        kept.mass,
        drawnWith ?? "picked",
        ...alternatives.flatMap((each) => (each ? [each.id, rankedLabel(each), each.probability] : ["", "", ""])),
      ];
    },
  };
}
