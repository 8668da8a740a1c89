/**
 * Embeddings: the selected token's vectors before the first block, those of all tokens, and comparisons of vectors with
 * each other and with the vocabulary, there or anywhere in the residual stream.
 */

import type { TraceTensor } from "../../../src/protocol/engineApi";
import { el, fill } from "../../base/dom";
import { formatDigits, formatShape } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { type Inspection, matrixOf, type View, type ViewContext } from "../inspection";
import { valueText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import { createAllTokens } from "./allTokens";
import { createComponents } from "./components";
import { createCosines } from "./cosines";
import "./embedding.css";
import { createProblem } from "../../parts/problem";
import { comparedNames, type EmbeddingPart, embeddingParts, norm, rowOf, stack } from "./layout";
import { createNeighbors } from "./neighbors";
import { tokenVectors } from "./tokenVectors";

export function createEmbeddingView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Embeddings"));
  const problem = createProblem(() => void load());
  const ofToken = el("h3", { class: "subheading" });
  const ofPosition = el("p", { class: "small muted" });
  const vectors = createHeatmap(() => undefined);
  const all = createAllTokens({ selection, save });
  // The side panel has no space for the comparisons.
  const compared = explorer && createCompared({ selection, save });
  let current: Inspection | null = null;
  let loaded: {
    readonly of: Inspection;
    readonly labels: readonly string[];
    readonly parts: readonly EmbeddingPart[];
    readonly tensors: readonly TraceTensor[];
  } | null = null;

  const vectorData = createDataBar(
    {
      fileName: () => `embedding-token${selection.get().token}`,
      table: () => tokenTable(),
      of: () => loaded?.of,
      drawing: vectors.drawing,
    },
    save,
  );
  const ofOne = el("div", {}, ofToken, ofPosition, vectors.node, vectorData.node);
  section.body.append(problem.node, ofOne, ...all.nodes);
  if (compared) section.body.append(compared.node);

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

  const drawToken = () => {
    const { token } = selection.get();
    // After a change of text, the selection changes before the vectors are there.
    if (!loaded || token >= loaded.labels.length) return;
    const { of, parts, labels } = loaded;
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
          .map((part, i) => `‖${part.label.replace(/^\W+/, "")}‖ ${formatDigits(norm(rows[i] as Float32Array))}`)
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
        valueText(of, parts[row]?.name ?? "", [0, token, col], values[row * cols + col] as number),
    });
    vectorData.update();
  };

  const load = async () => {
    const from = current;
    if (!from) return;
    const parts = embeddingParts(from);
    problem.clear();
    setPending(ofOne, "computing");
    try {
      const tensors = await Promise.all(parts.map(({ name }) => from.tensor(name)));
      if (from !== current) return;
      loaded = { of: from, labels: from.trace.tokens.map(tokenLabel), parts, tensors };
      setPending(ofOne, "done");
      section.summarize(formatShape((tensors[0] as TraceTensor).shape));
      drawToken();
    } catch (error) {
      if (from !== current) return;
      loaded = null;
      section.summarize("");
      setPending(ofOne, "failed");
      problem.say(error);
    }
  };

  selection.subscribe((now, before) => {
    if (now.token !== before.token) drawToken();
  });

  return {
    section,
    asksTensors: true,
    show(inspection) {
      current = inspection;
      ofPosition.textContent = WITHOUT_VECTORS[inspection.trace.model.config.positions.kind]?.() ?? "";
      ofPosition.hidden = ofPosition.textContent === "";
      void load();
      all.show(inspection);
      compared?.show(inspection);
    },
  };
}

/** Notes for models without position vectors, by kind of positions. */
const WITHOUT_VECTORS: Readonly<Record<string, () => string>> = {
  none: () => t("This model has no position vectors."),
  rotary: () =>
    t("This model has no position vectors. Rotary positions turn its queries and keys; select their angles below."),
};

/** Comparisons of the vectors that the user chooses: with each other, with the vocabulary, and by component. */
function createCompared(context: Pick<ViewContext, "selection" | "save">) {
  let inspection: Inspection | null = null;
  let name = "embed";
  const picker = dropdown(t("Compare vectors from"), (value) => {
    name = value;
    show();
  });
  const cosines = createCosines(context);
  const components = createComponents(context);
  const neighbors = createNeighbors(context, components.add);
  const node = el(
    "div",
    { class: "compared" },
    el("div", { class: "lens-controls" }, el("span", {}, t("Compare vectors from")), picker.node),
    el("div", { class: "compared-parts" }, cosines.node, neighbors.node),
    components.node,
  );
  const show = () => {
    if (!inspection) return;
    const vectors = tokenVectors(inspection, name);
    for (const part of [neighbors, cosines, components]) part.show(vectors);
  };
  return {
    node,
    show(next: Inspection) {
      inspection = next;
      const names = comparedNames(next.trace.values);
      if (!names.includes(name)) name = names[0] ?? "";
      picker.update(
        names.map((value) => ({ value, label: value })),
        name,
      );
      show();
    },
  };
}
