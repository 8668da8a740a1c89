/** Two runs that are shown beside each other, and what views ask of both. */

import type { Lens } from "../../../src/protocol/traceApi";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { needsModel } from "../../trace/fromFile";
import type { Inspection, Selection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { columnsOf, type LensCell } from "../lens/layout";
import { type PairedToken, pairedTokens, wantedTokens } from "./layout";

export interface TracePair {
  readonly inspections: readonly [Inspection, Inspection];
  /** Such as "before" and "after". */
  readonly names: readonly [string, string];
  /** Of each run, the position that is looked at. */
  readonly positions: readonly [number, number];
}

/** Why a run cannot be run again and set beside another; "" where it can. */
export const refusal = needsModel;

/** Whether other values are looked at, of the same token of what is written. */
export const isElsewhere = (now: Selection, before: Selection): boolean =>
  now.layer !== before.layer || now.head !== before.head || now.sourceToken !== before.sourceToken;

/** Tokens shown of each place. */
export const TOP = 10;
/** Tokens asked for: of what is likely in one run, most are among these of the other. */
const ASKED = 50;

/** The lenses of both runs at the positions that are looked at. */
export interface LensPair {
  /** Of the first run. */
  readonly places: readonly string[];
  /** By place; a run of another depth has not all of them. */
  readonly cells: readonly [readonly (LensCell | undefined)[], readonly (LensCell | undefined)[]];
  /** What each run expects: its own last place. */
  readonly last: readonly [LensCell | undefined, LensCell | undefined];
}

export async function askLenses({ inspections, positions }: TracePair): Promise<LensPair> {
  const lensOf = async (run: 0 | 1) => {
    const position = positions[run];
    const lens: Lens = await inspections[run].ask("lens", { positions: [position, position + 1], count: ASKED });
    return { places: lens.places, cells: columnsOf(lens).get(position) ?? [] };
  };
  // One after the other: the engine has one processor to give.
  const a = await lensOf(0);
  const b = await lensOf(1);
  const ofB = a.places.map((place) => b.cells[b.places.indexOf(place)]);
  return { places: a.places, cells: [a.cells, ofB], last: [a.cells.at(-1), b.cells.at(-1)] };
}

/** What both runs expect, every token with its probability in both. */
export async function askTokens(
  { inspections, positions }: TracePair,
  { last: [a, b] }: LensPair,
): Promise<PairedToken[]> {
  if (!a || !b) return [];
  const { missingInA, missingInB } = wantedTokens(a, b, TOP);
  const more = async (run: 0 | 1, ids: readonly number[]) => {
    const known = new Map<number, number>();
    for (const id of ids) known.set(id, await probabilityAt(inspections[run], positions[run], id));
    return known;
  };
  return pairedTokens(a, b, TOP, await more(0, missingInA), await more(1, missingInB));
}

/** The probability of a token after a position. */
export async function probabilityAt(run: Inspection, position: number, token: number): Promise<number> {
  const { tracked } = await run.ask("lens", { positions: [position, position + 1], count: 1, token });
  return tracked?.probabilities.at(-1) ?? Number.NaN;
}

/** Reads as `before: 0.123456 (tiny, run 3)`, in a line for each run. */
export const bothText = (
  { inspections, names }: Pick<TracePair, "inspections" | "names">,
  values: readonly [number, number],
): string =>
  names
    .map((name, i) => `${name}: ${formatValue(values[i] as number)} (${traceText(inspections[i] as Inspection)})`)
    .join("\n");

/** Reads as `after “fox” at 5`, and of two different places as both. */
export function placesText({ inspections, positions }: TracePair): string {
  const [a, b] = positions.map((position, i) => {
    const token = (inspections[i] as Inspection).trace.tokens[position];
    return t("“{0}” at {1}", token ? tokenLabel(token) : "", position);
  }) as [string, string];
  return a === b ? t("after {0}", a) : t("after {0}, and after {1}", a, b);
}
