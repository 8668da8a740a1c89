/** Shares what is chosen with other views of the same run and with the editor, through the host. */

import type { Selected } from "../../src/protocol/webviewApi";
import type { Store } from "../base/store";
import type { Selection } from "./inspection";

/**
 * `tell` is called once a frame with what the user chose; what came from the host, through the function that is
 * answered, is not told back. `trace` is the run that is shown.
 */
export function shareSelection(
  selection: Store<Selection>,
  trace: () => number | undefined,
  tell: (selected: Selected) => void,
): (selected: Pick<Selected, "trace"> & Partial<Selected>) => void {
  let told = "";
  selection.subscribe(() => {
    requestAnimationFrame(() => {
      const of = trace();
      if (of === undefined) return;
      const selected = selectedIn(of, selection.get());
      if (JSON.stringify(selected) === told) return;
      told = JSON.stringify(selected);
      tell(selected);
    });
  });
  return ({ trace: of, ...chosen }) => {
    if (of !== trace()) return;
    const selected = selectedIn(of, { ...selection.get(), ...chosen });
    told = JSON.stringify(selected);
    const { token, layer, head } = selected;
    selection.set({ token, layer, head });
  };
}

const selectedIn = (trace: number, { token, layer, head }: Selection): Selected => ({ trace, token, layer, head });
