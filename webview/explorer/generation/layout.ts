/** Generations as a tree of branches: each has the steps of the one that it parts from, and goes on in its own way. */

import type { Sampling, TokenSpan } from "../../../src/protocol/engineApi";
import type { GenerationStep, GenerationTrace } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { tokenLabel } from "../../trace/tokens/layout";

export type Settings = Sampling & { readonly maxNewTokens: number };

export interface Step extends Omit<GenerationStep, "drawnWith"> {
  /** Null where the user picked the token. */
  readonly drawnWith: number | null;
  /** Whether the sampler kept the most likely tokens by the model's own order, so that ranks tell which those are. */
  readonly keptByRank: boolean;
}

export interface Branch {
  readonly id: number;
  /** The branch that it parts from; null for the first. */
  readonly parent: number | null;
  /** Its first own step, counted from the prompt's end. */
  readonly from: number;
  /** Its own; of a branch that parts from another, the first has the token that was picked. */
  readonly steps: readonly Step[];
  /** Null while it is being written. */
  readonly reason: GenerationTrace["reason"] | null;
  /** What it is written with. */
  readonly settings: Settings;
  /** All tokens after the prompt as they are in the text; null until it is written. */
  readonly spans: readonly TokenSpan[] | null;
}

/** A step of a generation as it is kept. */
export const drawnStep = (step: GenerationStep, { repetitionPenalty }: Sampling): Step => ({
  ...step,
  keptByRank: repetitionPenalty === 1,
});

/** The same choice with another of its tokens, picked by the user; null for a token that is not told of. */
export function pickedStep(step: Step, id: number): Step | null {
  const token = step.top.find((each) => each.id === id);
  return token ? { ...step, id, token: token.token, probability: token.probability, drawnWith: null } : null;
}

const branchOf = (branches: readonly Branch[], id: number): Branch => {
  const branch = branches.find((each) => each.id === id);
  if (!branch) throw new Error(`There is no branch ${id}.`);
  return branch;
};

/** All steps from the prompt to the end of a branch. */
export function stepsOf(branches: readonly Branch[], id: number): readonly Step[] {
  const { parent, from, steps } = branchOf(branches, id);
  return parent === null ? steps : [...stepsOf(branches, parent).slice(0, from), ...steps];
}

/** The branch that a new one parts from at a step of another: the one that the step is of, or its own parent at its pick. */
export function parentAt(branches: readonly Branch[], id: number, step: number): number {
  const { parent, from } = branchOf(branches, id);
  return parent !== null && step <= from ? parentAt(branches, parent, step) : id;
}

/** A branch that goes as another does until a step, and has a token there; null where there is none yet. */
export function branchWith(branches: readonly Branch[], id: number, step: number, token: number): number | null {
  const wanted = [
    ...stepsOf(branches, id)
      .slice(0, step)
      .map((each) => each.id),
    token,
  ];
  const goesSo = (steps: readonly Step[]) => wanted.every((each, i) => steps[i]?.id === each);
  return branches.find((branch) => goesSo(stepsOf(branches, branch.id)))?.id ?? null;
}

/** What a branch is made again from: drawing is decided by the seed. Its parent is a place in the list. */
export interface Recipe {
  readonly parent: number;
  readonly from: number;
  readonly token: number;
  readonly settings: Settings;
}

/** How branches came about, in the order in which they did; the first from nothing. */
export const recipesOf = (branches: readonly Branch[]): readonly Recipe[] =>
  branches.map(({ parent, from, steps, settings }) => ({
    parent: branches.findIndex(({ id }) => id === parent),
    from,
    token: steps[0]?.id ?? -1,
    settings,
  }));

export interface TreeRow {
  readonly branch: Branch;
  /** 1 for the first. */
  readonly level: number;
}

/** The branches in the order of a list, each after the one that it parts from: the earlier parting first. */
export function treeRows(branches: readonly Branch[], parent: number | null = null, level = 1): TreeRow[] {
  const children = branches.filter((branch) => branch.parent === parent).sort((a, b) => a.from - b.from || a.id - b.id);
  return children.flatMap((branch) => [{ branch, level }, ...treeRows(branches, branch.id, level + 1)]);
}

/** What the model thought of a text: the sum of its tokens' surprisals, in bits. */
export const bitsOf = (steps: readonly Step[]): number =>
  steps.reduce((sum, { probability }) => sum - Math.log2(probability), 0);

/** The text of tokens; of a character that is not complete, a replacement. */
export function textOf(tokens: readonly Pick<TokenSpan, "bytes">[]): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return tokens.map(({ bytes }) => decoder.decode(bytes, { stream: true })).join("") + decoder.decode();
}

export interface Choice {
  readonly id: number;
  readonly label: string;
  readonly probability: number;
  /** Null where the token is not among those that are told of. */
  readonly rank: number | null;
  /** Null where the ranks do not tell. */
  readonly isKept: boolean | null;
  readonly isWritten: boolean;
}

/** The most likely tokens of a step, and after them the one that was written if it is not among them. */
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

export const rankedLabel = (token: Step["top"][number]): string =>
  tokenLabel({ ...token, special: token.bytes.length === 0 });

/** The written token as it is shown anywhere. */
export function writtenLabel({ top, id, token }: Step): string {
  const known = top.find((each) => each.id === id);
  return known ? rankedLabel(known) : token;
}

/** Where written tokens begin in a run of the whole text; null where the text is split into other tokens than were written. */
export function writtenAt(run: readonly { readonly id: number }[], written: readonly { readonly id: number }[]) {
  const first = run.length - written.length;
  return first >= 0 && written.every(({ id }, i) => run[first + i]?.id === id) ? first : null;
}

/** How many of a generation's steps a completion has too; all of them where it came about the same way. */
export function sharedSteps(steps: readonly Step[], ids: readonly number[]): number {
  const differs = ids.findIndex((id, i) => steps[i]?.id !== id);
  return differs < 0 ? ids.length : differs;
}

/** Alternatives of each step in the table. */
const TOLD = 10;

/** A row for each step. */
export function generationTable(steps: readonly Step[], title: string): TableData {
  const numbered = Array.from({ length: TOLD }, (_, k) => [`id ${k + 1}`, `token ${k + 1}`, `probability ${k + 1}`]);
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
      const alternatives = Array.from({ length: TOLD }, (_, k) => top[k]);
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
