/** The next-token distribution as it is shown: always over the whole vocabulary. */

import type { NextToken, RankedToken, Sampling } from "../../../src/protocol/engineApi";
import type { SamplerView } from "../../../src/protocol/traceApi";
import type { TableData } from "../../charts/csv";
import { tokenLabel, typedText } from "../tokens/layout";

export interface ShownToken {
  readonly id: number;
  readonly label: string;
  readonly probability: number;
  /** 1 is the most likely. */
  readonly rank: number;
}

export interface Distribution {
  readonly top: readonly ShownToken[];
  /** The tokens that are not in `top`, together. */
  readonly rest: { readonly count: number; readonly probability: number };
  readonly entropyBits: number;
  /** The entropy if every token were as likely as any other. */
  readonly maxEntropyBits: number;
}

/** The `count` most likely tokens, what is left of the vocabulary, and the entropy. */
export function distribution({ top: known, entropyBits }: NextToken, vocabSize: number, count: number): Distribution {
  const top = known.slice(0, count).map(shownToken);
  const covered = top.reduce((sum, { probability }) => sum + probability, 0);
  return {
    top,
    rest: { count: vocabSize - top.length, probability: Math.max(0, 1 - covered) },
    entropyBits,
    maxEntropyBits: Math.log2(vocabSize),
  };
}

export const shownToken = (token: RankedToken): ShownToken => ({
  id: token.id,
  label: tokenLabel({ ...token, special: token.bytes.length === 0 }),
  probability: token.probability,
  rank: token.rank,
});

/** What to search for: an id (`#12`), or text, typed as it is or with the glyphs that tokens are shown with. */
export const searched = (typed: string): string => (/^#\d+$/.test(typed) ? typed : typedText(typed));

/** What the sliders set; the rest of sampling needs a text that goes on. */
export type SamplerSettings = Pick<Sampling, "temperature" | "topK" | "topP" | "minP">;

/** Draws from the model's own distribution. */
export const OWN: SamplerSettings = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** A token of the list, with the probability that the sampler draws it where that is known. */
export interface Row extends ShownToken {
  readonly drawn?: number | undefined;
  /** The sampler never draws it; one that is left can still be too unlikely for a number. */
  readonly isCut?: boolean | undefined;
}

/** A distribution, with what a sampler makes of it where that is known. */
export interface Shown extends Omit<Distribution, "top"> {
  readonly top: readonly Row[];
  readonly restDrawn?: number | undefined;
}

export const sampledRow = (token: ShownToken, drawn: number, { tokens }: SamplerView["kept"]) => ({
  ...token,
  drawn,
  isCut: drawn === 0 && token.rank > tokens,
});

/** The `count` most likely tokens, each with the probability that the sampler draws it, and the rest of the vocabulary. */
export function sampled({ model, drawn, kept }: SamplerView, vocabSize: number, count: number): Shown {
  const own = distribution(model, vocabSize, count);
  const top = own.top.map((token, i) => sampledRow(token, drawn[i] as number, kept));
  const covered = top.reduce((sum, token) => sum + token.drawn, 0);
  return { ...own, top, restDrawn: own.rest.count === 0 ? 0 : Math.max(0, 1 - covered) };
}

/** Every token that is told, then the rest of the vocabulary as one. */
export function distributionTable(now: Shown, title: string, restLabel: string): TableData {
  const { top, rest, restDrawn } = now;
  const withDrawn = (cells: readonly (string | number)[], drawn: number | undefined) =>
    restDrawn === undefined ? cells : [...cells, drawn ?? 0];
  return {
    title,
    columns: ["rank", "token", "id", "probability", ...(restDrawn === undefined ? [] : ["drawn with"])],
    rows: top.length + Number(rest.count > 0),
    row: (i) => {
      const token = top[i];
      if (!token) return withDrawn([`> ${top.length}`, restLabel, "", rest.probability], restDrawn);
      return withDrawn([token.rank, token.label, token.id, token.probability], token.drawn);
    },
  };
}

/** A slider's places go up to this many tokens; its number field to all of them. */
const MOST_SLID = 100;

/** What each setting may be, and the steps of its slider; `neutral` changes nothing. */
export const settingRanges = (vocabSize: number) =>
  ({
    temperature: { neutral: OWN.temperature, most: 2, slid: 2, step: 0.01 },
    topK: { neutral: OWN.topK, most: vocabSize, slid: Math.min(vocabSize, MOST_SLID), step: 1 },
    topP: { neutral: OWN.topP, most: 1, slid: 1, step: 0.01 },
    minP: { neutral: OWN.minP, most: 1, slid: 1, step: 0.01 },
  }) as const satisfies Record<keyof SamplerSettings, object>;

/** What was typed as a setting; null where that is none. */
export function typedSetting(kind: keyof SamplerSettings, typed: string, vocabSize: number): number | null {
  const value = Number(typed);
  const { most } = settingRanges(vocabSize)[kind];
  if (typed.trim() === "" || !(value >= 0 && value <= most)) return null;
  return kind === "topK" && !Number.isInteger(value) ? null : value;
}
