/** The selected token's attention as shades of the text in the editor; it goes on while another view is looked at. */

import type { Store } from "../../base/store";
import type { Inspection, Selection } from "../inspection";
import { matrixOf } from "../inspection";
import { attentionKinds, meanOf, patternRow, type Shading, scoreRule, shades } from "./layout";

export interface AttentionShading {
  /** Another run; of a translator's, whose text is not the editor's, nothing is shaded. */
  readonly show: (inspection: Inspection) => void;
}

/** `shade` is told a weight for each token, 0 to 1, or null for none; `say` what went wrong. */
export function createAttentionShading(
  selection: Store<Selection>,
  shading: Store<Shading>,
  shade: (weights: Float32Array | null) => void,
  say: (error: unknown) => void,
): AttentionShading {
  let inspection: Inspection | null = null;
  let isShaded = false;
  let asked = 0;

  const update = async () => {
    const question = ++asked;
    const { on, mean, scale } = shading.get();
    if (!inspection || !on || inspection.trace.source) {
      if (isShaded) shade(null);
      isShaded = false;
      return;
    }
    const { token, layer, head } = selection.get();
    try {
      const row = await rowOf(inspection, { token, layer, heads: mean ? "all" : [head] });
      if (question !== asked) return;
      isShaded = row !== null;
      shade(row && shades(row, scale));
    } catch (error) {
      if (question === asked) say(error);
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

/** A token's attention by some heads of a layer, their mean where they are several. Computed from q and k: a row costs no matrix. */
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
      if (!q || !k) throw new Error("This run has no queries and keys; run the text again.");
      const { cols, values } = matrixOf(q);
      const rule = scoreRule(inspection.trace, layer);
      return patternRow(values, matrixOf(k).values, cols, token, rule, kind.masked(layer));
    }),
  );
  return meanOf(rows);
}
