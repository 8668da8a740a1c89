/** A quantity of the residual stream as a map of layers and positions. A row is loaded after the other, and only its numbers are kept. */

import { el } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar } from "../../parts/dataBar";
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
  /** By row; null where it is not loaded yet. */
  readonly numbers: (Float32Array | null)[];
  readonly labels: readonly string[];
}

/** `choose` is told the value of a cell that is clicked. */
export function createStreamMap(
  { selection, save }: Pick<ViewContext, "selection" | "save">,
  choose: (name: string) => void,
) {
  let inspection: Inspection | null = null;
  let quantity: Quantity = "norm";
  let isEncoder = false;
  let isLog = false;
  let shown: Shown | null = null;
  /** Of the run that is shown, by quantity and stack. */
  const kept = new Map<string, Shown>();

  const problem = createProblem(() => void load());
  const says = el("p", { class: "small muted" });
  const quantityPicker = dropdown(t("What is shown of the residual stream"), (value) => {
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
  /** While a cell of this picture is chosen, which is in sight already. */
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
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const node = el(
    "div",
    { class: "stream-map" },
    el("h3", { class: "subheading" }, t("The residual stream by layer and token")),
    el("div", { class: "lens-controls" }, quantityPicker.node, stackPicker.node, curve),
    says,
    problem.node,
    heatmap.node,
    data.node,
  );

  const load = async () => {
    if (!inspection) return;
    const asked = inspection;
    const { trace } = asked;
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
      inspection: asked,
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
        const numbers = await numbersOf(asked, row);
        if (inspection !== asked) return;
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
    says.textContent = `${QUANTITIES[shown.quantity].says()} ${t("Read it upwards, layer by layer.")}`;
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

/** The picture's rows go upwards. */
const rowAt = ({ rows }: Shown, row: number): MapRow | undefined => rows[rows.length - 1 - row];

const titleOf = ({ quantity, isEncoder }: Shown): string =>
  isEncoder ? t("Encoder: {0}", QUANTITIES[quantity].name()) : QUANTITIES[quantity].name();

async function numbersOf(inspection: Inspection, { names: [of, after] }: MapRow): Promise<Float32Array> {
  const [first, second] = await Promise.all([of, ...(after ? [after] : [])].map((name) => inspection.tensor(name)));
  const { cols, values } = matrixOf(first as NonNullable<typeof first>);
  return second ? cosinesByRow(values, second.data, cols) : normsOf(values, cols);
}

const QUANTITIES: Readonly<Record<Quantity, { readonly name: () => string; readonly says: () => string }>> = {
  norm: {
    name: () => t("Norm of the stream"),
    says: () => t("The L2 norm of each token’s vector: after the embeddings, then after each layer."),
  },
  attention: {
    name: () => t("What attention added (norm)"),
    says: () => t("The L2 norm of attnOut, the vector that a layer’s attention adds to the stream."),
  },
  cross: {
    name: () => t("What cross-attention added (norm)"),
    says: () => t("The L2 norm of crossOut, the vector that a layer’s attention to the source adds to the stream."),
  },
  mlp: {
    name: () => t("What the MLP added (norm)"),
    says: () => t("The L2 norm of mlpOut, the vector that a layer’s MLP adds to the stream."),
  },
  cosine: {
    name: () => t("Cosine to the layer before"),
    says: () =>
      t(
        "The cosine between a token’s vector before and after a layer; the color is 1 − cosine, so strong is turned far.",
      ),
  },
};
