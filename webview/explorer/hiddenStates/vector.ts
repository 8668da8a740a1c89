/** One vector of the trace: all its numbers as a strip, its statistics, and its largest dimensions. */

import { el, fill } from "../../base/dom";
import { formatDigits, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import { rowOf } from "../../trace/embedding/layout";
import { type Inspection, matrixOf, type ViewContext } from "../../trace/inspection";
import { ENCODER } from "../../trace/layers/layout";
import { valueText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { ofLayer, statisticsOf, vectorNames, wrapped } from "./layout";

const LARGEST = 10;

interface Shown {
  readonly inspection: Inspection;
  readonly name: string;
  readonly token: number;
  readonly vector: Float32Array;
}

export function createVectorPart({ selection, save }: Pick<ViewContext, "selection" | "save">) {
  let inspection: Inspection | null = null;
  let names: readonly string[] = [];
  let name = "";
  let shown: Shown | null = null;

  const heading = el("h3", { class: "subheading" });
  const picker = dropdown(t("Value of the vector"), (value) => {
    name = value;
    void load();
  });
  const problem = createProblem(() => void load());
  const heatmap = createHeatmap(() => undefined);
  const statistics = el("dl", { class: "vector-statistics" });
  const list = el("ol", { class: "bars vector-largest" });
  const data = createDataBar(
    {
      fileName: () => (shown ? `${shown.name}-token${shown.token}` : "vector"),
      table: () =>
        shown && {
          title: `${shown.name}[0, ${shown.token}]`,
          columns: ["dimension", shown.name],
          rows: shown.vector.length,
          row: (i) => [i, shown?.vector[i] as number],
        },
      of: () => shown?.inspection,
      drawing: heatmap.drawing,
    },
    save,
  );
  const pictures = el(
    "div",
    {},
    heatmap.node,
    data.node,
    el(
      "div",
      { class: "lens-detail" },
      statistics,
      el(
        "div",
        {},
        el("h4", { class: "subheading" }, t("Largest dimensions and their share of the squared norm")),
        list,
      ),
    ),
  );
  const node = el(
    "div",
    { class: "vector-part" },
    el("div", { class: "heading-row" }, heading, picker.node),
    problem.node,
    pictures,
  );

  const load = async () => {
    if (!inspection || !names.includes(name)) return;
    const [from, of, { token, sourceToken = 0 }] = [inspection, name, selection.get()];
    const isSource = of.startsWith(ENCODER);
    const at = isSource ? sourceToken : token;
    const tokens = (isSource ? from.trace.source?.tokens : from.trace.tokens) ?? [];
    const span = tokens[at];
    picker.update(
      names.map((value) => ({ value, label: value })),
      name,
    );
    if (!span) return;
    setPending(pictures, "computing");
    try {
      const { cols, values } = matrixOf(await from.tensor(of));
      const now = selection.get();
      const isSame = (isSource ? (now.sourceToken ?? 0) : now.token) === at;
      if (inspection !== from || name !== of || !isSame) return;
      problem.clear();
      setPending(pictures, "done");
      shown = { inspection: from, name: of, token: at, vector: rowOf(values, cols, at) };
      fill(
        heading,
        t("The vector of “{0}”", tokenLabel(span)),
        el("span", { class: "number" }, `${of}[0, ${at}]  [${cols}]`),
      );
      draw(shown);
    } catch (error) {
      if (inspection !== from || name !== of) return;
      shown = null;
      fill(heading, t("The vector of “{0}”", tokenLabel(span)));
      setPending(pictures, "failed");
      problem.say(error);
    }
  };

  const draw = ({ inspection: from, name: of, token, vector }: Shown) => {
    const D = vector.length;
    const { rows, cols } = wrapped(D);
    const values = new Float32Array(rows * cols).fill(Number.NaN);
    values.set(vector);
    const text = (i: number) => valueText(from, of, [0, token, i], vector[i] as number);
    heatmap.show({
      title: `${of}[0, ${token}]`,
      rows,
      cols,
      values,
      scale: "diverging",
      ...(rows * cols > D && { masked: (row: number, col: number) => row * cols + col >= D }),
      rowLabels: Array.from({ length: rows }, (_, row) => `${row * cols}`),
      colLabels: "numbers",
      rowHeight: 16,
      describe: (row, col) => (row * cols + col < D ? text(row * cols + col) : t("The vector has no such dimension.")),
    });
    data.update();

    const { min, minAt, max, maxAt, mean, std, norm, largest } = statisticsOf(vector, LARGEST);
    const facts: [term: string, value: number, at?: number][] = [
      [t("L2 norm"), norm],
      [t("mean"), mean],
      [t("standard deviation"), std],
      [t("minimum"), min, minAt],
      [t("maximum"), max, maxAt],
    ];
    fill(
      statistics,
      ...facts.map(([term, value, at]) => {
        const number = at === undefined ? formatDigits(value) : t("{0} at dimension {1}", formatDigits(value), at);
        return el("div", { title: formatValue(value) }, el("dt", {}, term), el("dd", { class: "number" }, number));
      }),
    );
    const most = Math.abs(vector[largest[0] as number] as number);
    fill(
      list,
      ...largest.map((i) => {
        const value = vector[i] as number;
        const fillBar = el("span", { class: `bar-fill${value < 0 ? " negative" : ""}` });
        fillBar.style.width = most === 0 ? "0" : `${(100 * Math.abs(value)) / most}%`;
        return el(
          "li",
          { class: "bar", title: text(i) },
          el("span", { class: "bar-label mono" }, t("dimension {0}", i)),
          el("span", { class: "bar-note number" }, norm === 0 ? "" : formatPercent(value ** 2 / norm ** 2)),
          el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, fillBar),
          el("span", { class: "bar-value number" }, formatDigits(value)),
        );
      }),
    );
  };

  const loadWhenSeen = whenSeen(node, () => void load());
  const choose = (next: string) => {
    if (!names.includes(next) || next === name) return;
    name = next;
    loadWhenSeen();
  };
  selection.subscribe((now, before) => {
    if (now.value !== before.value && now.value !== undefined) choose(now.value);
    else if (now.layer !== before.layer) choose(ofLayer(name, now.layer));
    if (now.token !== before.token || now.sourceToken !== before.sourceToken) loadWhenSeen();
  });

  return {
    node,
    /** Shows another value, if the trace has it. */
    choose,
    show(next: Inspection) {
      inspection = next;
      names = vectorNames(next.trace.values);
      const { value, layer } = selection.get();
      const wanted = [name, value ?? "", `blocks.${layer}.residPost`].find((each) => names.includes(each));
      name = wanted ?? names[0] ?? "";
      void load();
    },
  };
}
