/** A quantity of the residual stream as a map of layers and positions. Rows load one by one; only their numbers are kept. */

import { el } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar } from "../../parts/dataBar";
import { createExplanation } from "../../parts/explanation";
import { createProblem } from "../../parts/problem";
import { type Inspection, matrixOf, type ViewContext } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { cosinesByRow, formulaOf, type MapRow, mapRows, mapTable, normsOf, type Quantity, quantities } from "./layout";

interface Shown {
  readonly inspection: Inspection;
  readonly quantity: Quantity;
  readonly isEncoder: boolean;
  readonly rows: readonly MapRow[];
  /** One entry per row; null until it is loaded. */
  readonly numbers: (Float32Array | null)[];
  readonly labels: readonly string[];
}

/** `choose` is called with the name of the value of a cell that is clicked. */
export function createStreamMap(
  { selection, save, explorer }: Pick<ViewContext, "selection" | "save" | "explorer">,
  choose: (name: string) => void,
) {
  let inspection: Inspection | null = null;
  let quantity: Quantity = "norm";
  let isEncoder = false;
  let isLog = false;
  let shown: Shown | null = null;
  /** Maps of the trace that is shown, by quantity and stack. */
  const kept = new Map<string, Shown>();

  const problem = createProblem(() => void load());
  const explanation = createExplanation("hiddenStates", explorer?.memory);
  const quantityPicker = dropdown(t("Quantity"), (value) => {
    quantity = value as Quantity;
    void load();
  });
  const stackPicker = dropdown(t("Encoder or decoder"), (value) => {
    isEncoder = value === "encoder";
    void load();
  });
  const curve = checkbox(t("Logarithmic colors"), isLog, (checked) => {
    isLog = checked;
    draw();
  });
  /** Set during a click on a cell, which needs no scrolling. */
  let isPicking = false;
  const heatmap = createHeatmap((row, col) => {
    const cell = shown && rowAt(shown, row);
    if (!shown || !cell) return;
    choose(cell.names.at(-1) as string);
    isPicking = true;
    selection.set({ ...(shown.isEncoder ? { sourceToken: col } : { token: col }), layer: cell.layer });
    isPicking = false;
  });
  const data = createDataBar(
    {
      fileName: () => `residual-stream-${quantity}`,
      table: () => shown && mapTable(shown.rows, shown.numbers, shown.labels, titleOf(shown)),
      of: () => shown?.inspection,
      drawing: heatmap.drawing,
    },
    save,
  );
  const node = el(
    "div",
    { class: "stream-map" },
    el("h3", { class: "subheading" }, t("Residual stream by layer and token")),
    el("div", { class: "lens-controls" }, quantityPicker.node, stackPicker.node, curve),
    explanation.node,
    problem.node,
    heatmap.node,
    data.node,
  );

  const load = async () => {
    if (!inspection) return;
    const from = inspection;
    const { trace } = from;
    const offered = quantities(trace, isEncoder);
    if (!offered.includes(quantity)) quantity = "norm";
    quantityPicker.update(
      offered.map((value) => ({ value, label: QUANTITIES[value].name() })),
      quantity,
    );
    stackPicker.node.hidden = !trace.source;
    stackPicker.update(
      [
        { value: "decoder", label: t("Decoder") },
        { value: "encoder", label: t("Encoder") },
      ],
      isEncoder ? "encoder" : "decoder",
    );
    const key = `${quantity} ${isEncoder}`;
    const rows = mapRows(trace, quantity, isEncoder);
    const tokens = (isEncoder ? trace.source?.tokens : trace.tokens) ?? [];
    const now: Shown = kept.get(key) ?? {
      inspection: from,
      quantity,
      isEncoder,
      rows,
      numbers: rows.map(({ known }) => known),
      labels: tokens.map(tokenLabel),
    };
    kept.set(key, now);
    shown = now;
    problem.clear();
    draw();
    try {
      for (const [i, row] of rows.entries()) {
        if (now.numbers[i]) continue;
        const numbers = await numbersOf(from, row);
        if (inspection !== from) return;
        now.numbers[i] = numbers;
        if (shown === now) draw();
      }
    } catch (error) {
      if (shown === now) problem.say(error);
    }
  };

  const draw = () => {
    if (!shown) return;
    const { rows, numbers, labels } = shown;
    const T = labels.length;
    const isCosine = shown.quantity === "cosine";
    const values = new Float32Array(rows.length * T).fill(Number.NaN);
    const numberAt = (row: number, col: number) => numbers[rows.length - 1 - row]?.[col] ?? Number.NaN;
    for (let row = 0; row < rows.length; row++) {
      for (let col = 0; col < T; col++) {
        values[row * T + col] = isCosine ? 1 - numberAt(row, col) : numberAt(row, col);
      }
    }
    explanation.say(`${QUANTITIES[shown.quantity].explanation()} ${t("Read upward, layer by layer.")}`);
    const isMissing = numbers.includes(null);
    heatmap.show({
      title: titleOf(shown),
      rows: rows.length,
      cols: T,
      values,
      scale: "sequential",
      curve: isLog ? "log" : "linear",
      ...(isMissing && { masked: (row: number, col: number) => Number.isNaN(values[row * T + col]) }),
      rowLabels: rows.map(({ label }) => label).reverse(),
      colLabels: labels,
      rowHeight: 18,
      describe: (row, col) => describe(row, col, numberAt(row, col)),
    });
    mark();
    data.update();
  };

  const describe = (row: number, col: number, value: number): string => {
    const cell = shown && rowAt(shown, row);
    if (!shown || !cell) return "";
    const number = Number.isNaN(value) ? t("not loaded yet") : formatValue(value);
    return `“${shown.labels[col]}”  ${formulaOf(cell, col)} = ${number}\n${traceText(shown.inspection)}`;
  };

  const mark = () => {
    const { token, sourceToken = 0, layer } = selection.get();
    if (!shown) return;
    const last = shown.rows.findLastIndex((row) => row.layer === layer);
    const [row, col] = [shown.rows.length - 1 - last, shown.isEncoder ? sourceToken : token];
    heatmap.mark(last < 0 ? null : row, col);
    if (!isPicking) heatmap.reveal({ row: Math.min(row, shown.rows.length - 1), col });
  };
  selection.subscribe(mark);

  return {
    node,
    show(next: Inspection) {
      inspection = next;
      kept.clear();
      if (!next.trace.source) isEncoder = false;
      void load();
    },
  };
}

/** The rows of the picture are listed upward. */
const rowAt = ({ rows }: Shown, row: number): MapRow | undefined => rows[rows.length - 1 - row];

const titleOf = ({ quantity, isEncoder }: Shown): string =>
  isEncoder ? t("Encoder: {0}", QUANTITIES[quantity].name()) : QUANTITIES[quantity].name();

async function numbersOf(inspection: Inspection, { names: [of, after] }: MapRow): Promise<Float32Array> {
  const [first, second] = await Promise.all([of, ...(after ? [after] : [])].map((name) => inspection.tensor(name)));
  const { cols, values } = matrixOf(first as NonNullable<typeof first>);
  return second ? cosinesByRow(values, second.data, cols) : normsOf(values, cols);
}

const QUANTITIES: Readonly<Record<Quantity, { readonly name: () => string; readonly explanation: () => string }>> = {
  norm: {
    name: () => t("Norm of the residual stream"),
    explanation: () => t("L2 norm of each token’s vector, after the embeddings and after each layer."),
  },
  attention: {
    name: () => t("Norm of the attention output"),
    explanation: () => t("L2 norm of attnOut, the vector that the attention of a layer adds to the residual stream."),
  },
  cross: {
    name: () => t("Norm of the cross-attention output"),
    explanation: () =>
      t("L2 norm of crossOut, the vector that the cross-attention of a layer adds to the residual stream."),
  },
  mlp: {
    name: () => t("Norm of the MLP output"),
    explanation: () => t("L2 norm of mlpOut, the vector that the MLP of a layer adds to the residual stream."),
  },
  cosine: {
    name: () => t("Cosine with the previous layer"),
    explanation: () =>
      t(
        "Cosine between a token’s vector before and after a layer. The color is 1 − cosine: the stronger, the larger the change of direction.",
      ),
  },
};
