/** One vector per token, from a value of the trace that the user chooses, for the parts that compare vectors. */

import { type Inspection, type Selection, sourceTokenOf } from "../inspection";
import { ENCODER } from "../layers/layout";
import { tokenLabel } from "../tokens/layout";

export interface TokenVectors {
  readonly inspection: Inspection;
  /** Name of the value in the trace. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly ids: readonly number[];
  /** True if the tokens are a translator's source. */
  readonly isSource: boolean;
}

export function tokenVectors(inspection: Inspection, name: string): TokenVectors {
  const { tokens, source } = inspection.trace;
  const isSource = name.startsWith(ENCODER);
  const own = isSource ? (source?.tokens ?? []) : tokens;
  return { inspection, name, labels: own.map(tokenLabel), ids: own.map(({ id }) => id), isSource };
}

/** Returns whether the vocabulary's vectors are available: a trace file comes without its model. */
export const hasVocabulary = ({ inspection: { trace } }: TokenVectors): boolean => !trace.opened;

/** The stack whose vocabulary the vectors are compared with. */
export const stackOf = ({ isSource }: TokenVectors) => (isSource ? "encoder" : "decoder");

/** Returns whether ids mean the same tokens in both. */
export const hasSameVocabulary = (a: TokenVectors, b: TokenVectors | null): boolean =>
  a.isSource === b?.isSource && a.inspection.trace.model.dir === b.inspection.trace.model.dir;

/** Position of the selected token. */
export const selectedAt = ({ isSource, inspection }: TokenVectors, selection: Selection): number =>
  isSource ? sourceTokenOf(selection, inspection.trace) : selection.token;

/** The selection of the token at a position. */
export const selectionOf = ({ isSource }: TokenVectors, token: number): Partial<Selection> =>
  isSource ? { sourceToken: token } : { token };
