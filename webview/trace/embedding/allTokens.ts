/** One vector per token for all tokens at once: their embeddings and positions. */

import { el, fill } from "../../base/dom";
import { formatShape, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createHeatmap, type HeatmapData } from "../../charts/heatmap";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { matrixTable } from "../../parts/matrixTable";
import { createProblem } from "../../parts/problem";
import { type Inspection, matrixOf, type ViewContext } from "../inspection";
import { ENCODER } from "../layers/layout";
import { traceText, valueText } from "../provenance";
import { embeddingParts } from "./layout";
import { rotaryAngles, rotaryText } from "./rotary";
import { selectedAt, selectionOf, tokenVectors } from "./tokenVectors";

/** Computed on the page, because the trace has no tensor of them. */
const ANGLES = "rotary angles";
const COSINES = "cosines of the rotary angles";

type Picture = Pick<HeatmapData, "title" | "rows" | "cols" | "values" | "scale" | "curve" | "max" | "describe"> & {
  readonly size: string;
  readonly note: string;
};

export function createAllTokens({ selection, save }: Pick<ViewContext, "selection" | "save">) {
  let inspection: Inspection | null = null;
  let name = "embed";
  let shown: {
    readonly of: Inspection;
    readonly name: string;
    readonly labels: readonly string[];
    readonly picture: Picture;
  } | null = null;

  const heading = el("h3", { class: "subheading" });
  const picker = dropdown(t("Value"), (value) => {
    name = value;
    void draw();
  });
  const note = el("p", { class: "small muted" });
  const problem = createProblem(() => void draw());
  const heatmap = createHeatmap(
    (row) => inspection && selection.set(selectionOf(tokenVectors(inspection, shown?.name ?? name), row)),
  );
  const data = createDataBar(
    {
      fileName: () => (shown?.name ?? "embeddings").replaceAll(" ", "-"),
      table: () => shown && matrixTable(shown.name, shown.labels, shown.picture),
      of: () => shown?.of,
      drawing: heatmap.drawing,
    },
    save,
  );

  const pictures = el("div", {}, heatmap.node, data.node);

  const draw = async () => {
    const from = inspection;
    const of = name;
    if (!from) return;
    problem.clear();
    setPending(pictures, "computing");
    try {
      const picture = pictureOfRotary(from, of) ?? (await pictureOfValue(from, of));
      if (from !== inspection || of !== name) return;
      const { labels } = tokenVectors(from, of);
      shown = { of: from, name: of, labels, picture };
      const { size, note: text, ...rest } = picture;
      setPending(pictures, "done");
      fill(heading, t("All tokens"), el("span", { class: "number" }, size));
      note.textContent = text;
      heatmap.show({
        ...rest,
        rowLabels: labels,
        colLabels: "numbers",
        rowHeight: 10,
        describe: (row, col) => `“${labels[row]}”  ${picture.describe(row, col)}`,
      });
      mark();
      data.update();
    } catch (error) {
      if (from !== inspection) return;
      shown = null;
      note.textContent = "";
      setPending(pictures, "failed");
      problem.say(error);
    }
  };
  const mark = () =>
    inspection && heatmap.mark(selectedAt(tokenVectors(inspection, shown?.name ?? name), selection.get()));
  selection.subscribe(mark);

  return {
    nodes: [el("div", { class: "heading-row" }, heading, picker.node), note, problem.node, pictures],
    show(next: Inspection) {
      inspection = next;
      const decoder = embeddingParts(next);
      const encoder = embeddingParts({ has: (part) => next.has(ENCODER + part) });
      const isRotary = next.trace.model.config.positions.kind === "rotary";
      const names = [
        ...decoder.map((part) => part.name),
        ...encoder.map((part) => ENCODER + part.name),
        ...(isRotary ? [ANGLES, COSINES] : []),
      ];
      if (!names.includes(name)) name = names[0] ?? "";
      picker.update(
        names.map((value) => ({ value, label: value })),
        name,
      );
      void draw();
    },
  };
}

async function pictureOfValue(inspection: Inspection, name: string): Promise<Picture> {
  const tensor = await inspection.tensor(name);
  const { rows, cols, values } = matrixOf(tensor);
  const { kind } = inspection.trace.model.config.positions;
  const own = name.replace(ENCODER, "");
  const note =
    own === "posEmbed"
      ? kind === "sinusoidal"
        ? t("Fixed sines and cosines of the position (Vaswani et al., 2017).")
        : t("A trained vector for each position.")
      : own === "embed"
        ? t("Token embeddings.")
        : t("Input of the first layer.");
  return {
    title: name,
    size: formatShape(tensor.shape),
    note,
    rows,
    cols,
    values,
    scale: "diverging",
    describe: (row, col) => valueText(inspection, name, [0, row, col], values[row * cols + col] as number),
  };
}

/** The angles by which rotary positions turn queries and keys; null for other names. */
function pictureOfRotary(inspection: Inspection, name: string): Picture | null {
  const { positions } = inspection.trace.model.config;
  if ((name !== ANGLES && name !== COSINES) || positions.kind !== "rotary") return null;
  const T = inspection.trace.tokens.length;
  const { frequencies, scale } = rotaryAngles(positions, T);
  const cols = frequencies.length;
  const angle = (row: number, col: number) => row * (frequencies[col] as number);
  const isCosine = name === COSINES;
  const values = Float32Array.from({ length: T * cols }, (_, i) => {
    const radians = angle(Math.floor(i / cols), i % cols);
    return isCosine ? scale * Math.cos(radians) : radians;
  });
  return {
    title: t("{0}, computed from the configuration", name),
    size: t("{0} positions × {1} pairs of dimensions", T, cols),
    note: t(
      "Computed from the configuration, not part of the trace. In each head’s queries and keys, position p turns pair i by p × frequency i radians: {0}.",
      rotaryText(positions) + (scale === 1 ? "" : `, ${t("cosines and sines times {0}", formatValue(scale))}`),
    ),
    rows: T,
    cols,
    values,
    ...(isCosine ? { scale: "diverging", max: scale } : { scale: "sequential", curve: "log" }),
    describe: (row, col) => {
      const radians = angle(row, col);
      const [cos, sin] = [scale * Math.cos(radians), scale * Math.sin(radians)];
      const turned = `${row} × ${formatValue(frequencies[col] as number)} = ${formatValue(radians)} rad`;
      return `${t("position {0}, pair {1}", row, col)}: ${turned}, cos ${formatValue(cos)}, sin ${formatValue(sin)}\n${traceText(inspection)}`;
    },
  };
}
