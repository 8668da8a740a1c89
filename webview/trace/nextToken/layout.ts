/** Next-token distributions, always over the whole vocabulary. */

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
  /** All tokens that are not in `top`. */
  readonly rest: { readonly count: number; readonly probability: number };
  readonly entropyBits: number;
  /** Entropy of a uniform distribution. */
  readonly maxEntropyBits: number;
}

/** The `count` most likely tokens, the rest of the vocabulary, and the entropy. */
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

/** The query of a search: an id (`#12`), or text, in which glyphs stand for whitespace. */
export const searched = (typed: string): string => (/^#\d+$/.test(typed) ? typed : typedText(typed));

/** Settings with a slider; the others depend on the tokens generated so far. */
export type SamplerSettings = Pick<Sampling, "temperature" | "topK" | "topP" | "minP">;

/** Settings that leave the model's distribution unchanged. */
export const OWN: SamplerSettings = { temperature: 1, topK: 0, topP: 1, minP: 0 };

/** A listed token. */
export interface Row extends ShownToken {
  /** Probability that the sampler draws the token, where known. */
  readonly drawn?: number | undefined;
  /** The sampler removed the token; a kept token can also have a probability that rounds to 0. */
  readonly isCut?: boolean | undefined;
}

/** A distribution, with the sampler's where it is known. */
export interface Shown extends Omit<Distribution, "top"> {
  readonly top: readonly Row[];
  readonly restDrawn?: number | undefined;
}

export const sampledRow = (token: ShownToken, drawn: number, { tokens }: SamplerView["kept"]) => ({
  ...token,
  drawn,
  isCut: drawn === 0 && token.rank > tokens,
});

/** The `count` most likely tokens with their probabilities in the sampler, and the rest of the vocabulary. */
export function sampled({ model, drawn, kept }: SamplerView, vocabSize: number, count: number): Shown {
  const own = distribution(model, vocabSize, count);
  const top = own.top.map((token, i) => sampledRow(token, drawn[i] as number, kept));
  const covered = top.reduce((sum, token) => sum + token.drawn, 0);
  return { ...own, top, restDrawn: own.rest.count === 0 ? 0 : Math.max(0, 1 - covered) };
}

/** A row per listed token, then one for the rest of the vocabulary. */
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

/** Largest top-k of the slider; the number field goes up to the vocabulary size. */
const MOST_SLID = 100;

/** Ranges of the settings: `most` for the number field, `slid` for the slider; `neutral` changes nothing. */
export const settingRanges = (vocabSize: number) =>
  ({
    temperature: { neutral: OWN.temperature, most: 2, slid: 2, step: 0.01 },
    topK: { neutral: OWN.topK, most: vocabSize, slid: Math.min(vocabSize, MOST_SLID), step: 1 },
    topP: { neutral: OWN.topP, most: 1, slid: 1, step: 0.01 },
    minP: { neutral: OWN.minP, most: 1, slid: 1, step: 0.01 },
  }) as const satisfies Record<keyof SamplerSettings, object>;

/** The value of a typed setting; null if it is not valid. */
export function typedSetting(kind: keyof SamplerSettings, typed: string, vocabSize: number): number | null {
  const value = Number(typed);
  const { most } = settingRanges(vocabSize)[kind];
  if (typed.trim() === "" || !(value >= 0 && value <= most)) return null;
  return kind === "topK" && !Number.isInteger(value) ? null : value;
}
