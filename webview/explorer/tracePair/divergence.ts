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
      table: () => shown && divergenceTable(title.textContent ?? "", shown.pair, shown.difference),
      of: () => shown?.pair.inspections,
      drawing: heatmap.drawing,
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
      const { positions, divergence } = difference;
      const [labels, others] = pair.inspections.map(({ trace }) => trace.tokens.map(tokenLabel)) as [
        string[],
        string[],
      ];
      /** Index of each token's pair; undefined if the other text has no such token. */
      const pairs = new Map([...positions.a].map((position, i) => [position, i]));
      summary.textContent = [
        t("KL({0} ‖ {1}) in bits after each token; mean {2} bits.", ...pair.names, formatShort(meanOf(divergence))),
        alignmentText(labels.length - pairs.size, others.length - pairs.size),
      ]
        .filter((part) => part !== "")
        .join(" ");
      // Wrapped into lines, as text is.
      columns = columnsIn(heatmap.node.clientWidth);
      length = labels.length;
      const rows = Math.ceil(length / columns);
      const bitsAt = (position: number) => divergence[pairs.get(position) ?? -1] ?? Number.NaN;
      heatmap.show({
        title: title.textContent ?? "",
        rows,
        cols: columns,
        values: Float32Array.from({ length: rows * columns }, (_, position) => bitsAt(position)),
        scale: "sequential",
        ...(rows * columns > pairs.size && { masked: (row: number, col: number) => !pairs.has(row * columns + col) }),
        rowLabels: Array.from({ length: rows }, (_, row) => String(row * columns)),
        colLabels: Array.from({ length: columns }, (_, col) => `+${col}`),
        rowHeight: 22,
        text: (row, col) => labels[row * columns + col] ?? "",
        describe: (row, col) => {
          const position = row * columns + col;
          if (position >= length) return t("no token");
          const after = (texts: readonly string[], at: number) => t("after “{0}” at {1}", texts[at] ?? "", at);
          const at = pairs.get(position);
          if (at === undefined) return `${after(labels, position)}: ${t("the other text has no such token")}`;
          const beside = positions.b[at] as number;
          return [
            [after(labels, position), ...(beside === position ? [] : [after(others, beside)])].join(" ‖ "),
            t("KL({0} ‖ {1}) = {2} bits", ...pair.names, formatValue(bitsAt(position))),
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

/** The mean of the aligned positions. */
export const meanOf = (divergence: Float32Array): number =>
  divergence.reduce((sum, bits) => sum + bits, 0) / Math.max(1, divergence.length);

/** How many tokens of each text are not compared; "" if all are. */
const alignmentText = (own: number, others: number): string =>
  own + others === 0
    ? ""
    : t("Tokens are aligned; {0} of this text and {1} of the other have no counterpart.", own, others);

const divergenceTable = (
  title: string,
  { inspections }: TracePair,
  { positions, divergence }: TraceDifference,
): TableData => {
  const label = (index: 0 | 1, position: number) => {
    const token = inspections[index].trace.tokens[position];
    return token ? tokenLabel(token) : "";
  };
  return {
    title,
    columns: ["position", "token", "KL (bits)", "other position", "other token"],
    rows: divergence.length,
    row: (i) => {
      const [own, other] = [positions.a[i] as number, positions.b[i] as number];
      return [own, label(0, own), divergence[i] as number, other, label(1, other)];
    },
  };
};
