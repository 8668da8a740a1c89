/** The changes that a new trace makes to the page, as pure functions. */

import type { TraceInfo } from "../../src/protocol/engineApi";
import type { InspectedSource } from "../../src/protocol/webviewApi";

/** The prompt that was shown before a new trace, and what was selected in it. */
export interface Before {
  readonly text: string;
  /** The token position, or -1 if nothing was selected yet. */
  readonly token: number;
  /** `InspectedSource.chosen` of the trace that was shown, if there was one. */
  readonly chosen: number | undefined;
}

/**
 * The token to select in a new trace: the one its source chose, else the one selected before if the prompt is the same,
 * else the last, whose continuation is shown.
 */
export function tokenToSelect({ tokens }: Pick<TraceInfo, "tokens">, source: InspectedSource, before: Before): number {
  const last = tokens.length - 1;
  const isSameText = source.text === before.text;
  const { chosen } = source;
  if (chosen !== undefined && !(isSameText && chosen === before.chosen)) {
    const token = tokens.findIndex(({ start, end }) => start <= chosen && chosen < end);
    if (token >= 0) return token;
  }
  return isSameText && before.token >= 0 ? Math.min(before.token, last) : last;
}
