/** Cosine similarity of all pairs of the tokens' vectors. */

import { el } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { setBusy, setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { matrixTable } from "../../parts/matrixTable";
import { createProblem } from "../../parts/problem";
import { matrixOf, type ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { cosineMatrix } from "./layout";
import { selectedAt, selectionOf, type TokenVectors } from "./tokenVectors";

export function createCosines({ selection, save }: Pick<ViewContext, "selection" | "save">) {
  let vectors: TokenVectors | null = null;
  let shown: { readonly of: TokenVectors; readonly cosines: Float32Array } | null = null;
  const heading = el("h3", { class: "subheading" });
  const problem = createProblem(() => vectors && show(vectors));
  /** True while a cell of this heatmap is being selected, which is in view already. */
  let isPicking = false;
  const heatmap = createHeatmap((row) => {
    isPicking = true;
    if (vectors) selection.set(selectionOf(vectors, row));
    isPicking = false;
  });
  const data = createDataBar(
    {
      fileName: () => `cosines-${shown?.of.name}`,
      table: () => {
        if (!shown) return null;
        const { of, cosines } = shown;
        const T = of.labels.length;
        return matrixTable(titleOf(of), of.labels, { rows: T, cols: T, values: cosines });
      },
      of: () => shown?.of.inspection,
      drawing: heatmap.drawing,
    },
    save,
  );
  const picture = el("div", {}, heatmap.node, data.node);
  const node = el(
    "div",
    { class: "embedding-part" },
    el("div", { class: "heading-row" }, heading),
    problem.node,
    picture,
  );

  const show = async (next: TokenVectors) => {
    vectors = next;
    problem.clear();
    setBusy(node, heading, titleOf(next), true);
    setPending(picture, "computing");
    try {
      const { cols, values } = matrixOf(await next.inspection.tensor(next.name));
      const cosines = vectors === next ? await cosineMatrix(values, cols, () => vectors !== next) : null;
      if (vectors !== next || !cosines) return;
      shown = { of: next, cosines };
      draw(next, cosines);
    } catch (error) {
      if (vectors !== next) return;
      setBusy(node, heading, titleOf(next), false);
      setPending(picture, "failed");
      problem.say(error);
    }
  };

  const draw = (of: TokenVectors, cosines: Float32Array) => {
    const T = of.labels.length;
    setBusy(node, heading, titleOf(of), false, t("computed from the trace"));
    setPending(picture, "done");
    heatmap.show({
      title: titleOf(of),
      rows: T,
      cols: T,
      values: cosines,
      scale: "diverging",
      max: 1,
      rowLabels: of.labels,
      colLabels: of.labels,
      rowHeight: "square",
      describe: (row, col) =>
        `“${of.labels[row]}” · “${of.labels[col]}”  cos(${of.name}[0, ${row}], ${of.name}[0, ${col}]) = ${formatValue(cosines[row * T + col] as number)}\n${traceText(of.inspection)}`,
    });
    mark();
    data.update();
  };
  const mark = () => {
    if (!shown) return;
    const token = selectedAt(shown.of, selection.get());
    heatmap.mark(token, token);
    if (!isPicking) heatmap.reveal({ row: token, col: token });
  };
  selection.subscribe(mark);

  return { node, show: (next: TokenVectors) => void show(next) };
}

const titleOf = ({ name }: TokenVectors): string => t("Cosine similarity, {0}", name);
