/** Two traces that are shown beside each other, and the questions that views ask about both. */

import type { Lens } from "../../../src/protocol/traceApi";
import { formatValue } from "../../base/format";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { whenSeen } from "../../parts/whenSeen";
import type { Inspection, Selection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { columnsOf, type LensCell } from "../lens/layout";
import { type PairedToken, pairedTokens, wantedTokens } from "./layout";

export interface TracePair {
  readonly inspections: readonly [Inspection, Inspection];
  /** Such as "before" and "after". */
  readonly names: readonly [string, string];
  /** The selected position in each trace. */
  readonly positions: readonly [number, number];
}

/** Follows the selection while the node is visible: `token` runs for another position, `part` for another layer, head or source token. */
export function followSelection(selection: Store<Selection>, node: Element, token: () => void, part: () => void): void {
  const followToken = whenSeen(node, token);
  const followPart = whenSeen(node, part);
  selection.subscribe((now, before) => {
    if (now.token !== before.token) followToken();
    else if (now.layer !== before.layer || now.head !== before.head || now.sourceToken !== before.sourceToken)
      followPart();
  });
}

/** Tokens shown for each distribution. */
export const TOP = 10;
/** Tokens requested: most of the top tokens of one trace are among these of the other. */
const REQUESTED = 50;

/** The logit lenses of both traces at the selected positions. */
export interface LensPair {
  /** Depths of the first trace. */
  readonly depths: readonly string[];
  /** One cell per depth; undefined if the other model has fewer layers. */
  readonly cells: readonly [readonly (LensCell | undefined)[], readonly (LensCell | undefined)[]];
  /** The last depth of each trace, which is its next-token distribution. */
  readonly last: readonly [LensCell | undefined, LensCell | undefined];
}

export async function lensesOf({ inspections, positions }: TracePair): Promise<LensPair> {
  const lensOf = async (index: 0 | 1) => {
    const position = positions[index];
    const lens: Lens = await inspections[index].ask("lens", { positions: [position, position + 1], count: REQUESTED });
    return { depths: lens.depths, cells: columnsOf(lens).get(position) ?? [] };
  };
  // One after the other, since the engine computes one at a time.
  const a = await lensOf(0);
  const b = await lensOf(1);
  const ofB = a.depths.map((depth) => b.cells[b.depths.indexOf(depth)]);
  return { depths: a.depths, cells: [a.cells, ofB], last: [a.cells.at(-1), b.cells.at(-1)] };
}

/** The top tokens of both next-token distributions, each with its probability in both. */
export async function nextTokensOf(
  { inspections, positions }: TracePair,
  { last: [a, b] }: LensPair,
): Promise<PairedToken[]> {
  if (!a || !b) return [];
  const { missingInA, missingInB } = wantedTokens(a, b, TOP);
  const more = async (index: 0 | 1, ids: readonly number[]) => {
    const known = new Map<number, number>();
    for (const id of ids) known.set(id, await probabilityAt(inspections[index], positions[index], id));
    return known;
  };
  return pairedTokens(a, b, TOP, await more(0, missingInA), await more(1, missingInB));
}

/** The probability of a token after a position. */
export async function probabilityAt(inspection: Inspection, position: number, token: number): Promise<number> {
  const { tracked } = await inspection.ask("lens", { positions: [position, position + 1], count: 1, token });
  return tracked?.probabilities.at(-1) ?? Number.NaN;
}

/** Text such as `before: 0.123456 (tiny, trace 3)`, one line per trace. */
export const bothText = (
  { inspections, names }: Pick<TracePair, "inspections" | "names">,
  values: readonly [number, number],
): string =>
  names
    .map((name, i) => `${name}: ${formatValue(values[i] as number)} (${traceText(inspections[i] as Inspection)})`)
    .join("\n");

/** Text such as `after “fox” at 5`, or both positions if they differ. */
export function positionsText({ inspections, positions }: TracePair): string {
  const [a, b] = positions.map((position, i) => {
    const token = (inspections[i] as Inspection).trace.tokens[position];
    return t("“{0}” at {1}", token ? tokenLabel(token) : "", position);
  }) as [string, string];
  return a === b ? t("after {0}", a) : t("after {0}, and after {1}", a, b);
}
