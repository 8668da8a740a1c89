/** KL divergence between the next-token distributions of two traces, token by token. */

import type { TraceDifference } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import type { TracePair } from "./tracePair";

export interface DivergenceStrip {
  readonly node: HTMLElement;
  readonly show: (pair: TracePair, difference: TraceDifference) => void;
  readonly mark: (position: number) => void;
}

/** `pick` is called with the position of a token that is clicked. */
export function createDivergenceStrip(fileName: string, save: Save, pick: (position: number) => void): DivergenceStrip {
  let shown: { readonly pair: TracePair; readonly difference: TraceDifference } | null = null;
  const title = el("h3", { class: "subheading" }, t("Divergence of the next-token distributions"));
  const summary = el("p", { class: "small muted" });
  let columns = 1;
  let length = 0;
  const heatmap = createHeatmap((row, col) => {
    const position = row * columns + col;
    if (position < length) pick(position);
  });
  const data = createDataBar(
    {
      fileName: () => fileName,
      table: () => shown && divergenceTable(title.textContent ?? "", labelsOf(shown.pair), shown.difference),
      of: () => shown?.pair.inspections,
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  return {
    node: el("section", { class: "pair-part wide" }, title, summary, heatmap.node, data.node),
    mark(position) {
      const at = { row: Math.floor(position / columns), col: position % columns };
      heatmap.mark(at.row, at.col);
      heatmap.reveal(at);
    },
    show(pair, difference) {
      shown = { pair, difference };
      const { positions, tokensDifferAt, divergence } = difference;
      const labels = labelsOf(pair);
      const mean = divergence.reduce((sum, bits) => sum + bits, 0) / Math.max(1, positions);
      summary.textContent = [
        t("KL({0} ‖ {1}) in bits after each token; mean {2} bits.", ...pair.names, formatShort(mean)),
        tokensDifferAt !== null &&
          (pair.inspections[0].trace.source
            ? t("The translations differ from token {0} on; positions are compared by index.", tokensDifferAt)
            : t("The texts differ from token {0} on; positions are compared by index.", tokensDifferAt)),
      ]
        .filter((part) => part !== false)
        .join(" ");
      // Wrapped into lines, as text is.
      columns = columnsIn(heatmap.node.clientWidth);
      length = positions;
      const rows = Math.ceil(positions / columns);
      const values = new Float32Array(rows * columns);
      values.set(divergence.subarray(0, positions));
      heatmap.show({
        title: title.textContent ?? "",
        rows,
        cols: columns,
        values,
        scale: "sequential",
        ...(rows * columns > positions && { masked: (row: number, col: number) => row * columns + col >= positions }),
        rowLabels: Array.from({ length: rows }, (_, row) => String(row * columns)),
        colLabels: Array.from({ length: columns }, (_, col) => `+${col}`),
        rowHeight: 22,
        text: (row, col) => labels[row * columns + col] ?? "",
        describe: (row, col) => {
          const position = row * columns + col;
          if (position >= positions) return t("no token");
          return [
            t("after “{0}” at {1}", labels[position] ?? "", position),
            t("KL({0} ‖ {1}) = {2} bits", ...pair.names, formatValue(divergence[position] as number)),
            `${traceText(pair.inspections[0])} ‖ ${traceText(pair.inspections[1])}`,
          ].join("\n");
        },
      });
      data.update();
    },
  };
}

/** Columns that fit, with room for a word each; 16 on a page without layout. */
const columnsIn = (width: number): number => (width === 0 ? 16 : Math.max(4, Math.floor((width - 40) / 60)));

const labelsOf = ({ inspections }: TracePair): string[] => inspections[0].trace.tokens.map(tokenLabel);

const divergenceTable = (
  title: string,
  labels: readonly string[],
  { positions, divergence }: TraceDifference,
): TableData => ({
  title,
  columns: ["position", "token", "KL (bits)"],
  rows: positions,
  row: (i) => [i, labels[i] ?? "", divergence[i] as number],
});
