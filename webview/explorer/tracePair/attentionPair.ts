/** The attention patterns of a head in two traces, and their difference. */

import { el } from "../../base/dom";
import { formatValue } from "../../base/format";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import type { Curve } from "../../charts/colorScale";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { type AttentionKind, attentionKinds, KIND_NAMES, type Masked } from "../../trace/attention/layout";
import { type Inspection, matrixOf, type Selection, sourceTokenOf } from "../../trace/inspection";
import { traceText, valueText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { matrixDifference, partnersOf } from "./layout";
import type { TracePair } from "./tracePair";

export interface AttentionPair {
  readonly node: HTMLElement;
  /** Shows the selected layer and head, limited to those of the first trace. */
  readonly show: (pair: TracePair) => Promise<void>;
}

interface Pattern {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** A click on a cell selects its query. */
export function createAttentionPair(fileName: string, save: Save, selection: Store<Selection>): AttentionPair {
  const title = el("h3", { class: "subheading" });
  /** The kind of attention that is shown of a translator. */
  let chosen: AttentionKind["id"] = "cross";
  let wanted: { readonly pair: TracePair } | null = null;
  const problem = createProblem(() => showAgain());
  const kindPicker = dropdown(t("Kind"), (id) => {
    chosen = id as AttentionKind["id"];
    showAgain();
  });
  const pick = (query: number) => {
    const isOfSource = chosen === "encoder" && wanted?.pair.inspections[0].trace.source;
    selection.set(isOfSource ? { sourceToken: query } : { token: query });
  };

  const part = (name: string, inspectionsOf: (pair: TracePair) => readonly Inspection[]) => {
    const heatmap = createHeatmap(pick);
    const heading = el("h4", { class: "subheading" });
    let shown: { readonly pattern: Pattern; readonly title: string } | null = null;
    const data = createDataBar(
      {
        fileName: () => `${fileName}-${name}`,
        table: () =>
          shown && {
            title: shown.title,
            columns: ["query", "key", "value"],
            rows: shown.pattern.values.length,
            row: (i) => {
              const { cols, values } = (shown as { pattern: Pattern }).pattern;
              return [Math.floor(i / cols), i % cols, values[i] as number];
            },
          },
        of: () => wanted && inspectionsOf(wanted.pair),
        drawing: heatmap.drawing,
      },
      save,
    );
    return {
      node: el("div", { class: "pair-third" }, heading, heatmap.node, data.node),
      mark: heatmap.mark,
      show(
        label: string,
        name: string,
        pattern: Pattern,
        scale: { readonly scale: "sequential" | "diverging"; readonly curve?: Curve; readonly max?: number },
        [queries, keys]: readonly [readonly string[], readonly string[]],
        masked: Masked | null,
        describe: (query: number, key: number, value: number) => string,
        /** Cells whose tokens the other text does not have. */
        unaligned: Masked | null = null,
      ) {
        heading.textContent = label;
        shown = { pattern, title: name };
        heatmap.show({
          title: name,
          ...pattern,
          ...scale,
          ...((masked || unaligned) && {
            masked: (query: number, key: number) =>
              (masked?.(query, key) ?? false) || (unaligned?.(query, key) ?? false),
            maskedLabel: unaligned ? t("masked or not aligned") : t("masked"),
          }),
          rowLabels: queries,
          colLabels: keys,
          rowHeight: "square",
          describe: (query, key) => {
            const [from, to] = [queries[query] ?? "", keys[key] ?? ""];
            if (masked?.(query, key)) return t("“{0}” cannot attend to “{1}”", from, to);
            const text = unaligned?.(query, key)
              ? t("The other text has no such tokens.")
              : describe(query, key, pattern.values[query * pattern.cols + key] as number);
            return `“${from}” → “${to}”\n${text}`;
          },
        });
        data.update();
      },
    };
  };
  const first = part("first", ({ inspections }) => [inspections[0]]);
  const second = part("second", ({ inspections }) => [inspections[1]]);
  const difference = part("difference", ({ inspections }) => inspections);
  const parts = el("div", { class: "pair-thirds" }, first.node, second.node, difference.node);

  const show = async (pair: TracePair): Promise<void> => {
    const request = { pair };
    wanted = request;
    const { inspections, names, positions } = pair;
    const [kinds, kindsB] = [attentionKinds(inspections[0].trace), attentionKinds(inspections[1].trace)];
    const kindA = kinds.find(({ id }) => id === chosen) ?? kinds[0];
    const kindB = kindsB.find(({ id }) => id === kindA?.id);
    const now = selection.get();
    const layer = Math.min(now.layer, (kindA?.layers ?? 1) - 1);
    const head = Math.min(now.head, (kindA?.heads ?? 1) - 1);
    kindPicker.node.hidden = kinds.length < 2;
    kindPicker.update(
      kinds.map(({ id }) => ({ value: id, label: KIND_NAMES[id]() })),
      kindA?.id ?? "",
    );
    const isThere =
      kindA && kindB && layer < Math.min(kindA.layers, kindB.layers) && head < Math.min(kindA.heads, kindB.heads);
    parts.hidden = !isThere;
    if (!isThere) {
      title.textContent = t("Only one of the two has layer {0}, head {1}", layer, head);
      return;
    }
    const name = kindA.valueName(layer, "pattern");
    const a = matrixOf(await inspections[0].tensor(name, head));
    const b = matrixOf(await inspections[1].tensor(name, head));
    if (wanted !== request) return;
    const heading = t("Attention of layer {0}, head {1}", layer, head);
    title.textContent = kinds.length > 1 ? `${heading}, ${KIND_NAMES[kindA.id]()}` : heading;
    const max = Math.max(largest(a.values), largest(b.values));
    const nameOf = (index: number) => `${name}[0, ${head}], ${names[index]}`;
    const labelsOf = ({ queries, keys }: AttentionKind) => [queries.map(tokenLabel), keys.map(tokenLabel)] as const;
    const [labelsA, labelsB] = [labelsOf(kindA), labelsOf(kindB)];
    const describe = (inspection: Inspection) => (query: number, key: number, value: number) =>
      valueText(inspection, name, [0, head, query, key], value);
    const scale = { scale: "sequential", curve: "sqrt", max } as const;
    const maskOf = (kind: AttentionKind) => kind.masked(layer);
    first.show(names[0], nameOf(0), a, scale, labelsA, maskOf(kindA), describe(inspections[0]));
    second.show(names[1], nameOf(1), b, scale, labelsB, maskOf(kindB), describe(inspections[1]));
    const [queries, keys] = [partnersOf(kindA.queries, kindB.queries), partnersOf(kindA.keys, kindB.keys)];
    const isUnaligned = (query: number, key: number) => queries[query] === null || keys[key] === null;
    const isWhole = !queries.includes(null) && !keys.includes(null);
    difference.show(
      isWhole ? t("difference") : t("difference of the aligned tokens"),
      t("{0}[0, {1}], {2} minus {3}", name, head, names[1], names[0]),
      matrixDifference(a, b, queries, keys),
      { scale: "diverging" },
      labelsA,
      maskOf(kindA),
      (query, key, value) =>
        `${t(
          "difference of {0}[0, {1}, {2}, {3}]: {4} − {5} = {6}",
          name,
          head,
          query,
          key,
          formatValue(b.values[(queries[query] as number) * b.cols + (keys[key] as number)] as number),
          formatValue(a.values[query * a.cols + key] as number),
          formatValue(value),
        )}\n${traceText(inspections[1])} − ${traceText(inspections[0])}`,
      isWhole ? null : isUnaligned,
    );
    const [rowA, rowB] = kindA.id === "encoder" ? [sourceTokenOf(now, inspections[0].trace), null] : positions;
    first.mark(rowA);
    second.mark(rowB);
    difference.mark(rowA);
  };
  const showAgain = () => {
    problem.clear();
    if (wanted) show(wanted.pair).catch(problem.say);
  };

  return { node: el("section", { class: "pair-part wide" }, title, kindPicker.node, problem.node, parts), show };
}

const largest = (values: Float32Array): number => values.reduce((most, x) => (x > most ? x : most), 0);
