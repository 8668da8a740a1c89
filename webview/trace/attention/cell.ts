/** How one weight was computed: the query's and the key's vectors, their product per dimension, and the softmax. */

import { el, fill } from "../../base/dom";
import { formatDigits, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { setPending } from "../../parts/busy";
import { createDataBar, type Save } from "../../parts/dataBar";
import type { Inspection } from "../inspection";
import { traceText, valueText } from "../provenance";
import { type AttentionKind, type CellParts, cellParts, kvHeadOf, type Masked, pairText, scoreRule } from "./layout";

/** Number of terms that are listed, the largest first. */
const LISTED = 8;

/** A cell of a pattern and the vectors it was computed from. */
interface ShownCell {
  readonly inspection: Inspection;
  readonly kind: AttentionKind;
  readonly layer: number;
  readonly head: number;
  readonly query: number;
  readonly key: number;
  readonly queryLabel: string;
  readonly keyLabel: string;
  /** Queries of the head, [T, K]. */
  readonly q: Float32Array;
  /** Keys and values, [S, K]. */
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly K: number;
  readonly masked: Masked | null;
  /** Value in the trace. */
  readonly weight: number;
}

export interface CellPanel {
  readonly node: HTMLElement;
  readonly show: (cell: ShownCell | null) => void;
}

export function createCellPanel(save: Save): CellPanel {
  let shown: { readonly cell: ShownCell; readonly parts: CellParts; readonly vectors: readonly Vector[] } | null = null;
  const title = el("h3", { class: "subheading" });
  const sharing = el("p", { class: "small muted" });
  const steps = el("dl", { class: "cell-steps" });
  const strip = createHeatmap(() => undefined);
  const terms = el("ol", { class: "bars cell-terms" });
  const data = createDataBar(
    {
      fileName: () => (shown ? `attention-cell-layer${shown.cell.layer}-head${shown.cell.head}` : "attention-cell"),
      table: () => shown && vectorTable(shown.cell, shown.vectors),
      of: () => shown?.cell.inspection,
      drawing: strip.drawing,
    },
    save,
  );
  const node = el(
    "div",
    { class: "cell-panel" },
    title,
    sharing,
    steps,
    el(
      "p",
      { class: "small muted" },
      t("Per dimension of the head. Colors are scaled to the largest value in each row."),
    ),
    strip.node,
    el("h3", { class: "subheading" }, t("Largest terms of q · k")),
    terms,
    data.node,
  );
  node.hidden = true;

  return {
    node,
    show(cell) {
      node.hidden = cell === null;
      setPending(node, "done");
      shown = null;
      if (!cell) return;
      const { inspection, kind, layer, head, query, key, q, k, K, masked } = cell;
      const parts = cellParts(q, k, K, [query, key], scoreRule(inspection.trace, layer), masked);
      const vectors = vectorsOf(cell, parts);
      shown = { cell, parts, vectors };
      title.textContent = t(
        "How this weight was computed: {0}",
        pairText(`${query} ${cell.queryLabel}`, `${key} ${cell.keyLabel}`),
      );
      sharing.textContent = sharingText(kind, head);
      sharing.hidden = sharing.textContent === "";
      fill(steps, ...stepsOf(cell, parts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
      strip.show({
        title: t("q, k, their product and v per dimension"),
        rows: vectors.length,
        cols: K,
        values: relative(vectors, K),
        scale: "diverging",
        max: 1,
        rowLabels: vectors.map(({ label }) => label),
        colLabels: "numbers",
        rowHeight: 18,
        describe: (row, i) => describeVector(inspection, vectors[row] as Vector, i),
      });
      drawTerms(terms, cell, parts);
      data.update();
    },
  };
}

interface Vector {
  readonly label: string;
  readonly values: ArrayLike<number>;
  /** Tensor and index but for the last dimension; null for what is computed here. */
  readonly from: { readonly name: string; readonly index: readonly number[] } | null;
}

function vectorsOf(cell: ShownCell, { terms }: CellParts): Vector[] {
  const { kind, layer, head, query, key, K } = cell;
  const kvHead = kvHeadOf(kind, head);
  const row = (label: "q" | "k" | "v", at: number, ofHead: number): Vector => ({
    label,
    values: cell[label].subarray(at * K, (at + 1) * K),
    from: { name: kind.valueName(layer, label), index: [0, ofHead, at] },
  });
  return [
    row("q", query, head),
    row("k", key, kvHead),
    { label: "q · k", values: terms, from: null },
    row("v", key, kvHead),
  ];
}

const describeVector = (inspection: Inspection, { label, values, from }: Vector, i: number): string => {
  const value = values[i] as number;
  if (from) return valueText(inspection, from.name, [...from.index, i], value);
  return `${label}: q[${i}] × k[${i}] = ${formatValue(value)}\n${traceText(inspection)}`;
};

/** Divides each row by its largest absolute value, so that all rows are readable. */
function relative(vectors: readonly Vector[], K: number): Float32Array {
  const out = new Float32Array(vectors.length * K);
  vectors.forEach(({ values }, row) => {
    let max = 0;
    for (let i = 0; i < K; i++) max = Math.max(max, Math.abs(values[i] as number));
    for (let i = 0; i < K; i++) out[row * K + i] = (values[i] as number) / (max || 1);
  });
  return out;
}

/** Names the heads that share keys and values; empty where each head has its own. */
function sharingText({ heads, kvHeads }: AttentionKind, head: number): string {
  if (kvHeads === heads) return "";
  const kvHead = kvHeadOf({ heads, kvHeads }, head);
  const shared = heads / kvHeads;
  const [first, last] = [kvHead * shared, (kvHead + 1) * shared - 1];
  return t(
    "Head {0} uses key-value head {1} of {2}, which heads {3} to {4} share.",
    head,
    kvHead,
    kvHeads,
    first,
    last,
  );
}

function stepsOf(cell: ShownCell, parts: CellParts): [name: string, value: string][] {
  const { inspection, kind, layer, head, query, key, K, masked, weight } = cell;
  const { scale, softcap } = scoreRule(inspection.trace, layer);
  const pattern = valueText(inspection, kind.valueName(layer, "pattern"), [0, head, query, key], weight);
  const steps: [string, string][] = [
    ["q · k", t("{0}, sum of {1} terms", formatValue(parts.product), K)],
    [t("× scale {0}", formatValue(scale)), formatValue(parts.scaled)],
  ];
  if (softcap !== null) {
    steps.push([t("soft cap, {0} · tanh(x / {0})", softcap), formatValue(parts.score)]);
  }
  if (masked?.(query, key)) {
    steps.push([t("mask"), t("This query does not attend to this key, so the weight is 0.")]);
  } else {
    const { score, largest, denominator } = parts;
    const seen = Array.from({ length: kind.keys.length }, (_, j) => j).filter((j) => !masked?.(query, j)).length;
    steps.push(
      [
        t("softmax, exp(x − {0}) ÷ {1}", formatValue(largest), formatValue(denominator)),
        `${formatValue(Math.exp(score - largest))} ÷ ${formatValue(denominator)} = ${formatValue(parts.weight)}`,
      ],
      [
        t("where"),
        seen === 1
          ? t(
              "{0} is the row’s only score and {1} is exp(score − {0}), because the query attends to a single key",
              formatValue(largest),
              formatValue(denominator),
            )
          : t(
              "{0} is the row’s largest score and {1} is the sum of exp(score − {0}) over the {2} keys it attends to",
              formatValue(largest),
              formatValue(denominator),
              seen,
            ),
      ],
    );
  }
  steps.push([t("in the trace"), pattern]);
  return steps;
}

/** The largest terms as bars, to the right if they raise the score and to the left if they lower it. */
function drawTerms(list: HTMLElement, cell: ShownCell, { terms, product }: CellParts): void {
  const order = Array.from(terms.keys()).sort((a, b) => Math.abs(terms[b] as number) - Math.abs(terms[a] as number));
  const listed = order.slice(0, LISTED);
  const most = Math.abs(terms[listed[0] ?? 0] as number) || 1;
  const rest = product - listed.reduce((sum, i) => sum + (terms[i] as number), 0);
  const bar = (label: string, value: number, title: string, isRest = false) => {
    const filled = el("span", { class: `term-fill ${value < 0 ? "negative" : "positive"}` });
    filled.style.width = `${Math.min(50, (50 * Math.abs(value)) / most)}%`;
    return el(
      "li",
      { class: isRest ? "bar rest" : "bar", title },
      el("span", { class: "bar-label mono" }, label),
      el("span", { class: "bar-track term-track", attrs: { "aria-hidden": "true" } }, filled),
      el("span", { class: "bar-value number" }, formatDigits(value)),
    );
  };
  fill(
    list,
    ...listed.map((i) => {
      const [q, k] = [cell.q[cell.query * cell.K + i] as number, cell.k[cell.key * cell.K + i] as number];
      const written = `${formatValue(q)} × ${formatValue(k)} = ${formatValue(q * k)}`;
      const title = `q[${i}] × k[${i}] = ${written}\n${traceText(cell.inspection)}`;
      return bar(t("dimension {0}", i), terms[i] as number, title);
    }),
    order.length > LISTED && bar(t("all others"), rest, t("Sum of the other {0} terms", order.length - LISTED), true),
  );
}

const vectorTable = ({ K, queryLabel, keyLabel }: ShownCell, vectors: readonly Vector[]) => ({
  title: t("q, k, their product and v of {0}", pairText(queryLabel, keyLabel)),
  columns: [
    "dimension",
    ...vectors.map(({ label, from }) => (from ? `${from.name}[${from.index.join(", ")}, ·]` : label)),
  ],
  rows: K,
  row: (i: number) => [String(i), ...vectors.map(({ values }) => values[i] as number)],
});
