/** Where the vectors are taken that the parts of the view compare, and the tokens they are of. */

import { type Inspection, type Selection, sourceTokenOf } from "../inspection";
import { ENCODER } from "../layers/layout";
import { tokenLabel } from "../tokens/layout";

export interface Place {
  readonly inspection: Inspection;
  /** A value with a vector for each token. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly ids: readonly number[];
  /** Of a translator, whether the tokens are those it reads. */
  readonly isSource: boolean;
}

export function placeOf(inspection: Inspection, name: string): Place {
  const { tokens, source } = inspection.trace;
  const isSource = name.startsWith(ENCODER);
  const own = isSource ? (source?.tokens ?? []) : tokens;
  return { inspection, name, labels: own.map(tokenLabel), ids: own.map(({ id }) => id), isSource };
}

/** Whether the engine can compare with the vocabulary's vectors: the model is at hand. */
export const hasVocabulary = ({ inspection: { trace } }: Place): boolean => !trace.opened;

/** Whose vocabulary its vectors are compared with. */
export const stackOf = ({ isSource }: Place) => (isSource ? "encoder" : "decoder");

/** Whether ids mean the same in both. */
export const hasSameVocabulary = (a: Place, b: Place | null): boolean =>
  a.isSource === b?.isSource && a.inspection.trace.model.dir === b.inspection.trace.model.dir;

/** The selected token among those of a place. */
export const selectedAt = ({ isSource, inspection }: Place, selection: Selection): number =>
  isSource ? sourceTokenOf(selection, inspection.trace) : selection.token;

/** The selection of one of its tokens. */
export const selectionOf = ({ isSource }: Place, token: number): Partial<Selection> =>
  isSource ? { sourceToken: token } : { token };
