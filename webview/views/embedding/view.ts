/** The vectors that a token enters the model with: its own, its position's and their sum; then those of all tokens. */

import type { TraceTensor } from "../../../src/protocol/engineApi";
import { createHeatmap } from "../../charts/heatmap";
import { el, fill } from "../../dom";
import { formatShape, formatValue } from "../../format";
import { type Inspection, matrixOf, type View, type ViewContext } from "../../inspection";
import { createDataBar } from "../../parts/dataBar";
import { matrixTable } from "../../parts/matrixTable";
import { t } from "../../strings";
import { dropdown } from "../../toolkit";
import { ENCODER } from "../layers/layout";
import { tokenLabel } from "../tokens/layout";
import { type EmbeddingPart, embeddingParts, norm, rowOf, stack } from "./layout";

const TITLES: Readonly<Record<string, string>> = {
  embed: "Token embedding",
  posEmbed: "Position embedding",
  "blocks.0.residPre": "Their sum",
};

export function createEmbeddingView({ section: makeSection, selection, save }: ViewContext): View {
  const section = makeSection(t("Embeddings"));
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const ofToken = el("h3", { class: "subheading" });
  const vectors = createHeatmap(() => undefined);
  const picker = dropdown(t("Value"), (name) => {
    whole = name;
    void drawAll().catch(say);
  });
  const say = (error: unknown) => {
    problem.textContent = error instanceof Error ? error.message : String(error);
  };
  const ofAll = el("h3", { class: "subheading" });
  const all = createHeatmap((row) => selection.set(isOfSource() ? { sourceToken: row } : { token: row }));
  let current: Inspection | null = null;
  let whole = "embed";
  let loaded: { labels: string[]; parts: readonly EmbeddingPart[]; tensors: readonly TraceTensor[] } | null = null;
  /** The value of all tokens that is shown. */
  let shown: { tensor: TraceTensor; labels: string[] } | null = null;
  const isOfSource = () => whole.startsWith(ENCODER);

  const vectorData = createDataBar(
    { fileName: () => `embedding-token${selection.get().token}`, table: () => tokenTable(), picture: vectors.picture },
    save,
  );
  const allData = createDataBar({ fileName: () => whole, table: () => allTable(), picture: all.picture }, save);
  section.body.append(
    problem,
    ofToken,
    vectors.node,
    vectorData.node,
    el("div", { class: "heading-row" }, ofAll, picker.node),
    all.node,
    allData.node,
  );

  const rowsOfToken = () => {
    const { token } = selection.get();
    return loaded?.tensors.map((tensor) => rowOf(tensor.data, matrixOf(tensor).cols, token)) ?? [];
  };
  const tokenTable = () => {
    if (!loaded) return null;
    const rows = rowsOfToken();
    return {
      title: t("Embedding of token {0}", selection.get().token),
      columns: ["dimension", ...loaded.parts.map(({ name }) => name)],
      rows: rows[0]?.length ?? 0,
      row: (i: number) => [i, ...rows.map((row) => row[i] as number)],
    };
  };
  const allTable = () => {
    return shown && matrixTable(whole, shown.labels, matrixOf(shown.tensor));
  };

  const drawToken = () => {
    const { token } = selection.get();
    // A new text's selection comes before its vectors.
    if (!loaded || token >= loaded.labels.length) return;
    const { parts, labels } = loaded;
    const rows = rowsOfToken();
    const cols = rows[0]?.length ?? 0;
    const values = stack(rows);
    fill(
      ofToken,
      t("Token “{0}” at position {1}", labels[token] ?? "", token),
      el(
        "span",
        { class: "number" },
        parts
          .map(
            (part, i) =>
              `‖${part.label.replace(/^\W+/, "")}‖ ${formatValue(norm(rows[i] as Float32Array)).slice(0, 6)}`,
          )
          .join("  "),
      ),
    );
    vectors.show({
      title: t("Embedding of token {0}", token),
      rows: parts.length,
      cols,
      values,
      scale: "diverging",
      rowLabels: parts.map(({ label }) => label),
      colLabels: "numbers",
      rowHeight: 18,
      describe: (row, col) =>
        `${parts[row]?.name}[0, ${token}, ${col}] = ${formatValue(values[row * cols + col] as number)}`,
    });
    vectorData.update();
  };

  const drawAll = async () => {
    const asked = current;
    const name = whole;
    if (!asked) return;
    const tensor = await asked.tensor(name);
    if (asked !== current || name !== whole) return;
    const labels = (isOfSource() ? (asked.trace.source?.tokens ?? []) : asked.trace.tokens).map(tokenLabel);
    shown = { tensor, labels };
    const { rows, cols, values } = matrixOf(tensor);
    fill(ofAll, t("All tokens"), el("span", { class: "number" }, formatShape(tensor.shape)));
    const title = TITLES[name.replace(ENCODER, "")];
    all.show({
      title: `${isOfSource() ? t("Encoder: {0}", title ?? "") : title}, ${name}`,
      rows,
      cols,
      values,
      scale: "diverging",
      rowLabels: labels,
      colLabels: "numbers",
      rowHeight: 10,
      describe: (row, col) =>
        `“${labels[row]}”  ${name}[0, ${row}, ${col}] = ${formatValue(values[row * cols + col] as number)}`,
    });
    markAll();
    allData.update();
  };
  const markAll = () => {
    const { token, sourceToken = 0 } = selection.get();
    all.mark(isOfSource() ? sourceToken : token);
  };

  selection.subscribe((now, before) => {
    if (now.token !== before.token) drawToken();
    if (now.token !== before.token || now.sourceToken !== before.sourceToken) markAll();
  });

  return {
    section,
    asksTensors: true,
    async show(inspection) {
      current = inspection;
      const parts = embeddingParts(inspection);
      try {
        const tensors = await Promise.all(parts.map(({ name }) => inspection.tensor(name)));
        if (inspection !== current) return;
        loaded = { labels: inspection.trace.tokens.map(tokenLabel), parts, tensors };
        problem.textContent = "";
        const encoder = embeddingParts({ has: (name) => inspection.has(ENCODER + name) });
        const names = [...parts.map(({ name }) => name), ...encoder.map(({ name }) => ENCODER + name)];
        if (!names.includes(whole)) whole = names[0] ?? "";
        picker.update(
          names.map((name) => ({ value: name, label: name })),
          whole,
        );
        const { shape } = tensors[0] as TraceTensor;
        section.summarize(`${formatShape(shape)}`);
        drawToken();
        await drawAll();
      } catch (error) {
        if (inspection === current) say(error);
      }
    },
  };
}
