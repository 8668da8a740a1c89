/** Shares the selection with other pages of the same trace and with the editor, through the host. */

import type { Selected } from "../../src/protocol/webviewApi";
import type { Store } from "../base/store";
import type { Selection } from "./inspection";

/**
 * Calls `send` at most once per frame with the user's selection. Returns a function that applies a selection from the
 * host, which is not sent back. `trace` returns the number of the trace that is shown.
 */
export function shareSelection(
  selection: Store<Selection>,
  trace: () => number | undefined,
  send: (selected: Selected) => void,
): (selected: Pick<Selected, "trace"> & Partial<Selected>) => void {
  let shared = "";
  selection.subscribe(() => {
    requestAnimationFrame(() => {
      const of = trace();
      if (of === undefined) return;
      const selected = selectedIn(of, selection.get());
      if (JSON.stringify(selected) === shared) return;
      shared = JSON.stringify(selected);
      send(selected);
    });
  });
  return ({ trace: of, ...chosen }) => {
    if (of !== trace()) return;
    const selected = selectedIn(of, { ...selection.get(), ...chosen });
    shared = JSON.stringify(selected);
    const { token, layer, head } = selected;
    selection.set({ token, layer, head });
  };
}

const selectedIn = (trace: number, { token, layer, head }: Selection): Selected => ({ trace, token, layer, head });
