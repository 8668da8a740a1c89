/** Shades the editor's text by the selected token's attention, whichever view is open. */

import type { Store } from "../../base/store";
import type { Inspection, Selection } from "../inspection";
import { matrixOf } from "../inspection";
import { attentionKinds, meanOf, patternRow, type Shading, scoreRule, shades } from "./layout";

export interface AttentionShading {
  /** Shows another trace; a translator's text is not the editor's, so nothing is shaded. */
  readonly show: (inspection: Inspection) => void;
}

/** `shade` receives a weight from 0 to 1 per token, or null for no shading; `say` receives errors. */
export function createAttentionShading(
  selection: Store<Selection>,
  shading: Store<Shading>,
  shade: (weights: Float32Array | null) => void,
  say: (error: unknown) => void,
): AttentionShading {
  let inspection: Inspection | null = null;
  let isShaded = false;
  let lastRequest = 0;

  const update = async () => {
    const request = ++lastRequest;
    const { on, mean, scale } = shading.get();
    if (!inspection || !on || inspection.trace.source) {
      if (isShaded) shade(null);
      isShaded = false;
      return;
    }
    const { token, layer, head } = selection.get();
    try {
      const row = await rowOf(inspection, { token, layer, heads: mean ? "all" : [head] });
      if (request !== lastRequest) return;
      isShaded = row !== null;
      shade(row && shades(row, scale));
    } catch (error) {
      if (request === lastRequest) say(error);
    }
  };
  selection.subscribe((now, before) => {
    if (now.token !== before.token || now.layer !== before.layer || now.head !== before.head) void update();
  });
  shading.subscribe(() => void update());

  return {
    show(next) {
      inspection = next;
      void update();
    },
  };
}

/** A token's attention, averaged over some heads of a layer. Computed from q and k, so that no whole pattern is fetched. */
async function rowOf(
  inspection: Inspection,
  { token, layer, heads }: { token: number; layer: number; heads: "all" | readonly number[] },
): Promise<Float64Array | null> {
  const kind = attentionKinds(inspection.trace).find(({ id }) => id === "self");
  if (!kind || layer >= kind.layers || token >= kind.queries.length) return null;
  const chosen = heads === "all" ? Array.from({ length: kind.heads }, (_, head) => head) : heads;
  const rows = await Promise.all(
    chosen.map(async (head) => {
      const [q, k] = await Promise.all(
        (["q", "k"] as const).map((value) => inspection.tensor(kind.valueName(layer, value), head)),
      );
      if (!q || !k) throw new Error("This trace has no queries and keys. Run the text again.");
      const { cols, values } = matrixOf(q);
      const rule = scoreRule(inspection.trace, layer);
      return patternRow(values, matrixOf(k).values, cols, token, rule, kind.masked(layer));
    }),
  );
  return meanOf(rows);
}
