/** A head's attention in two runs, and the difference of the two. */

import type { Curve } from "../../charts/colorScale";
import { createHeatmap } from "../../charts/heatmap";
import { el } from "../../dom";
import { formatValue } from "../../format";
import { type Inspection, matrixOf } from "../../inspection";
import { createDataBar, type Save } from "../../parts/dataBar";
import { runText, valueText } from "../../parts/provenance";
import { t } from "../../strings";
import { attentionKinds, type Masked } from "../attention/layout";
import { tokenLabel } from "../tokens/layout";
import { matrixDifference } from "./layout";
import type { Pair } from "./pair";

export interface AttentionPair {
  readonly node: HTMLElement;
  readonly show: (pair: Pair, layer: number, head: number) => Promise<void>;
}

interface Pattern {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** `pick` is called with the query of a cell that is chosen. */
export function createAttentionPair(fileName: string, save: Save, pick: (query: number) => void): AttentionPair {
  const title = el("h3", { class: "subheading" });
  let wanted: readonly [Pair, number, number] | null = null;

  const part = (name: string) => {
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
        picture: heatmap.picture,
        svg: heatmap.svg,
      },
      save,
    );
    return {
      node: el("div", { class: "pair-third" }, heading, heatmap.node, data.node),
      mark: heatmap.mark,
      show(
        label: string,
        what: string,
        pattern: Pattern,
        scale: { readonly scale: "sequential" | "diverging"; readonly curve?: Curve; readonly max?: number },
        [queries, keys]: readonly [readonly string[], readonly string[]],
        masked: Masked | null,
        describe: (query: number, key: number, value: number) => string,
      ) {
        heading.textContent = label;
        shown = { pattern, title: what };
        heatmap.show({
          title: what,
          ...pattern,
          ...scale,
          ...(masked && { masked }),
          rowLabels: queries,
          colLabels: keys,
          rowHeight: "square",
          describe: (query, key) =>
            masked?.(query, key)
              ? t("“{0}” does not see “{1}”", queries[query] ?? "", keys[key] ?? "")
              : `“${queries[query]}” → “${keys[key]}”\n${describe(query, key, pattern.values[query * pattern.cols + key] as number)}`,
        });
        data.update();
      },
    };
  };
  const [first, second, difference] = [part("first"), part("second"), part("difference")] as const;
  const parts = el("div", { class: "pair-thirds" }, first.node, second.node, difference.node);

  return {
    node: el("section", { class: "pair-part wide" }, title, parts),
    async show(pair, layer, head) {
      const asked = [pair, layer, head] as const;
      wanted = asked;
      const { runs, names, positions } = pair;
      const kinds = runs.map(({ trace }) => attentionKinds(trace).find(({ id }) => id === "self"));
      const [kindA, kindB] = kinds;
      const isThere =
        kindA && kindB && layer < Math.min(kindA.layers, kindB.layers) && head < Math.min(kindA.heads, kindB.heads);
      parts.hidden = !isThere;
      if (!isThere) {
        title.textContent = t("Only one of the two has layer {0}, head {1}", layer, head);
        return;
      }
      const name = kindA.valueName(layer, "pattern");
      const a = matrixOf(await runs[0].tensor(name, head));
      const b = matrixOf(await runs[1].tensor(name, head));
      if (wanted !== asked) return;
      title.textContent = t("Attention of layer {0}, head {1}", layer, head);
      const max = Math.max(largest(a.values), largest(b.values));
      const whatOf = (run: number) => `${name}[0, ${head}], ${names[run]}`;
      const labelsOf = ({ trace }: Inspection) => trace.tokens.map(tokenLabel);
      const [labelsA, labelsB] = [labelsOf(runs[0]), labelsOf(runs[1])];
      const ofRun = (run: Inspection) => (query: number, key: number, value: number) =>
        valueText(run, name, [0, head, query, key], value);
      const scale = { scale: "sequential", curve: "sqrt", max } as const;
      const maskOf = (kind: typeof kindA) => kind.masked(layer);
      first.show(names[0], whatOf(0), a, scale, [labelsA, labelsA], maskOf(kindA), ofRun(runs[0]));
      second.show(names[1], whatOf(1), b, scale, [labelsB, labelsB], maskOf(kindB), ofRun(runs[1]));
      const differs = matrixDifference(a, b);
      const isWhole = labelsA.length === labelsB.length;
      difference.show(
        isWhole ? t("difference") : t("difference, of the positions that both have"),
        t("{0}[0, {1}], {2} minus {3}", name, head, names[1], names[0]),
        differs,
        { scale: "diverging" },
        [labelsA, labelsA],
        maskOf(kindA),
        (query, key, value) =>
          `${t(
            "difference of {0}[0, {1}, {2}, {3}]: {4} − {5} = {6}",
            name,
            head,
            query,
            key,
            formatValue(b.values[query * b.cols + key] as number),
            formatValue(a.values[query * a.cols + key] as number),
            formatValue(value),
          )}\n${runText(runs[1])} − ${runText(runs[0])}`,
      );
      first.mark(positions[0]);
      second.mark(positions[1]);
      difference.mark(positions[0]);
    },
  };
}

const largest = (values: Float32Array): number => values.reduce((most, x) => (x > most ? x : most), 0);
