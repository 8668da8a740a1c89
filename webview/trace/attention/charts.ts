/** The charts of one head: its matrix or its lines, with their notes, descriptions and table. */

import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { LOG_RANGE, maxAbs } from "../../charts/colorScale";
import type { TableData } from "../../charts/csv";
import type { HeatmapData } from "../../charts/heatmap";
import { traceText, valueText } from "../provenance";
import {
  byRow,
  firstKeyMass,
  KIND_NAMES,
  type Line,
  type Masked,
  pairText,
  rowMaxima,
  type Scale,
  type Stage,
  strongestKeys,
  strongestLines,
} from "./layout";
import type { LineEnd, LinesData } from "./lines";
import type { Choices, ShownPattern } from "./state";

export const STAGES: { readonly [S in Stage]: () => string } = {
  scores: () => t("scores"),
  masked: () => t("masked scores"),
  pattern: () => t("softmax"),
};

const STAGE_NOTES: { readonly [S in Stage]: () => string } = {
  scores: () => t("Scaled query-key products, before the mask."),
  masked: () => t("Scaled query-key products. Masked cells become 0 in the softmax."),
  pattern: () => "",
};

export const SCALES: { readonly [S in Scale]: () => string } = {
  linear: () => t("linear"),
  log: () => t("logarithmic"),
  withoutFirst: () => t("ignore first token"),
  byRow: () => t("per row"),
};

function patternTitle({ inspection, kind, stage, layer, head }: ShownPattern): string {
  const isTranslator = inspection.trace.source !== undefined;
  const details = [isTranslator && KIND_NAMES[kind.id](), stage !== "pattern" && STAGES[stage]()];
  return [t("Attention of layer {0}, head {1}", layer, head), ...details].filter((part) => part !== false).join(", ");
}

/** Describes the rows and columns, the stage and the mask. */
export function noteText({ inspection, kind, layer, stage, overlaid }: ShownPattern, { form, scale }: Choices): string {
  const window = kind.id === "self" ? (inspection.trace.model.config.windows[layer] ?? null) : null;
  const notes = [
    form === "lines"
      ? t("Lines connect each query on the left with the keys it attends to.")
      : t("Rows are queries, columns are keys."),
    STAGE_NOTES[stage](),
    form === "matrix" &&
      scale === "byRow" &&
      overlaid.length === 0 &&
      t("Colors are scaled to the largest value in each row."),
    window !== null && t("This layer attends to the last {0} tokens only.", window),
    inspection.base && t("With interventions applied."),
  ];
  return notes.filter((note) => typeof note === "string" && note !== "").join(" ");
}

/** A query's row in words: its strongest keys of at least 5 %; empty for scores, which are no shares. */
export function readingOf(
  { kind, stage, values, cols, masked, labels, keyLabels }: ShownPattern,
  query: number,
): string {
  if (stage !== "pattern") return "";
  const [first, ...others] = strongestKeys(values, cols, query, 3, masked);
  if (!first) return "";
  const name = (key: number) => (kind.id !== "cross" && key === query ? t("itself") : `“${keyLabels[key] ?? key}”`);
  const label = labels[query] ?? "";
  if (first.weight > 0.995) return t("“{0}” reads only {1}.", label, name(first.key));
  const share = ({ key, weight }: typeof first) => `${name(key)} (${Math.round(100 * weight)} %)`;
  const [second, third] = others.filter(({ weight }) => weight >= LEAST_READ);
  if (!second) return t("“{0}” reads mostly {1}.", label, share(first));
  if (!third) return t("“{0}” reads mostly {1} and {2}.", label, share(first), share(second));
  return t("“{0}” reads mostly {1}, {2} and {3}.", label, share(first), share(second), share(third));
}

/** Smaller shares are not put into words. */
const LEAST_READ = 0.05;

/** Cells without a color: those that have no value, and the first key's if it is ignored. */
const uncolored = ({ masked, stage }: ShownPattern, scale: Scale): Masked | null =>
  scale === "withoutFirst" && stage === "pattern"
    ? (query, key) => key === 0 || (masked?.(query, key) ?? false)
    : masked;

/** The chosen head and those overlaid with it, under short names. */
const overlaidHeads = ({ layer, head, values, overlaid }: ShownPattern) =>
  [{ layer, head, values }, ...overlaid].map((each) => ({ name: `L${each.layer} H${each.head}`, values: each.values }));

/** Cells that no head sees: layers may have windows of different lengths. */
function overlaidMask({ kind, layer, overlaid, masked }: ShownPattern): Masked | null {
  const masks = [layer, ...overlaid.map((each) => each.layer)].map(kind.masked);
  return masked && ((query, key) => masks.every((mask) => mask?.(query, key)));
}

/** Several heads as one heatmap; a cell is described with the weight of each. */
function overlaidChart(pattern: ShownPattern): { data: HeatmapData; note: string } {
  const { inspection, kind, rows, cols, values, labels, keyLabels, overlaid } = pattern;
  const heads = overlaidHeads(pattern);
  const masked = overlaidMask(pattern);
  const isTranslator = inspection.trace.source !== undefined;
  const title = t("Attention of {0}", heads.map(({ name }) => name).join(", "));
  const weights = (query: number, key: number) =>
    [pattern, ...overlaid].map(({ layer, head }, i) => {
      const weight = (heads[i]?.values ?? values)[query * cols + key] as number;
      return `${kind.valueName(layer, "pattern")}[0, ${head}, ${query}, ${key}] = ${formatValue(weight)}`;
    });
  return {
    data: {
      title: isTranslator ? `${title}, ${KIND_NAMES[kind.id]()}` : title,
      rows,
      cols,
      values,
      overlaid: heads,
      scale: "sequential",
      max: heads.reduce((most, each) => Math.max(most, maxAbs(each.values)), 0),
      ...(masked && { masked, maskedLabel: t("masked"), flatMask: true }),
      rowLabels: labels,
      colLabels: keyLabels,
      rowHeight: "square",
      fit: true,
      describe: (query, key) =>
        [
          pairText(labels[query] ?? query, keyLabels[key] ?? key),
          ...(masked?.(query, key) ? [t("masked")] : weights(query, key)),
          traceText(inspection),
        ].join("\n"),
    },
    note: "",
  };
}

/** The matrix as a heatmap, and a note on what it leaves out. */
export function matrixChart(pattern: ShownPattern, scale: Scale): { data: HeatmapData; note: string } {
  const { rows, cols, values, masked, labels, keyLabels, stage } = pattern;
  const isPattern = stage === "pattern";
  if (isPattern && pattern.overlaid.length > 0) return overlaidChart(pattern);
  const hidden = uncolored(pattern, scale);
  const needsMaxima = scale === "byRow" || scale === "withoutFirst" || !isPattern;
  const maxima = needsMaxima ? rowMaxima(values, [rows, cols], hidden) : null;
  const title = patternTitle(pattern);
  return {
    data: {
      title: scale === "linear" ? title : `${title}, ${t("colors: {0}", SCALES[scale]())}`,
      rows,
      cols,
      values: scale === "byRow" && maxima ? byRow(values, cols, maxima) : values,
      scale: isPattern ? "sequential" : "diverging",
      ...(scale === "log" && { curve: "log" }),
      max: scale !== "byRow" && maxima ? maxima.reduce((max, x) => Math.max(max, x), 0) : 1,
      ...(hidden && { masked: hidden, maskedLabel: t("masked"), flatMask: true }),
      rowLabels: labels,
      colLabels: keyLabels,
      rowHeight: "square",
      fit: true,
      describe: (query, key) => describeCell(pattern, query, key, maxima),
    },
    note:
      scale === "withoutFirst"
        ? t(
            "The first token, “{0}”, is ignored. It receives {1} of the attention.",
            keyLabels[0] ?? "",
            formatPercent(firstKeyMass(values, [rows, cols], masked)),
          )
        : "",
  };
}

/** The strongest weights as lines, and a note on what they leave out. */
export function linesChart(pattern: ShownPattern, { scale, perQuery }: Choices): { data: LinesData; note: string } {
  const { rows, cols, values, masked, labels, keyLabels } = pattern;
  const hidden = uncolored(pattern, scale);
  const { lines, leftOut } = strongestLines(values, [rows, cols], perQuery, hidden);
  const maxima = rowMaxima(values, [rows, cols], hidden);
  // A first query that sees only itself has a weight of 1, which would make all other lines faint.
  const largest = maxima.subarray(masked && rows > 1 ? 1 : 0).reduce((max, x) => Math.max(max, x), 0) || 1;
  const strength = ({ query, weight }: Line) => {
    if (scale === "byRow") return weight / (maxima[query] || 1);
    return scale === "log" ? Math.max(0, 1 - Math.log(weight) / Math.log(LOG_RANGE)) : Math.min(1, weight / largest);
  };
  const shown =
    scale === "withoutFirst"
      ? t("Shows the {0} strongest lines per token, ignoring the first token.", perQuery)
      : t("Shows the {0} strongest lines per token.", perQuery);
  return {
    data: {
      title: t("{0} as lines, the {1} strongest per token", patternTitle(pattern), perQuery),
      queries: labels,
      keys: keyLabels,
      lines,
      strength,
      describe: (end) => describeEnd(pattern, end, lines),
    },
    note: `${shown} ${t("{0} of the attention is not shown.", formatPercent(leftOut))}`,
  };
}

/** Reads as `“the” → “cat”`, then the tensor's value, or "masked". */
function describeCell(pattern: ShownPattern, query: number, key: number, maxima: Float32Array | null): string {
  const { inspection, name, head, values, cols, labels, keyLabels, masked } = pattern;
  const pair = pairText(labels[query] ?? query, keyLabels[key] ?? key);
  const value = values[query * cols + key] as number;
  if (masked?.(query, key))
    return `${pair}: ${t("masked")}\n${name}[0, ${head}, ${query}, ${key}]\n${traceText(inspection)}`;
  const share = maxima?.[query]
    ? `, ${t("{0} of the row’s maximum", formatPercent(Math.abs(value) / maxima[query]))}`
    : "";
  return `${pair}${share}\n${valueText(inspection, name, [0, head, query, key], value)}`;
}

/** A token's lines, strongest first. */
function describeEnd(pattern: ShownPattern, { side, index }: LineEnd, drawn: readonly Line[]): string {
  const { inspection, name, head, labels, keyLabels } = pattern;
  const own = drawn.filter((line) => line[side] === index).sort((a, b) => b.weight - a.weight);
  const listed = own.slice(0, 4).map(({ query, key, weight }) => {
    const pair = pairText(labels[query] ?? query, keyLabels[key] ?? key);
    return `${pair} ${name}[0, ${head}, ${query}, ${key}] = ${formatValue(weight)}`;
  });
  const title =
    side === "query"
      ? t("“{0}” ({1}): {2} lines drawn from it", labels[index] ?? "", index, own.length)
      : t("“{0}” ({1}): {2} lines drawn to it", keyLabels[index] ?? "", index, own.length);
  return [title, ...listed, traceText(inspection)].join("\n");
}

export const patternTable = (pattern: ShownPattern): TableData => {
  if (pattern.overlaid.length > 0) return overlaidTable(pattern);
  const { name, head, labels, keyLabels, rows, cols, values, masked } = pattern;
  return {
    title: `${patternTitle(pattern)}: ${name}[0, ${head}, query, key]`,
    columns: ["query \\ key", ...keyLabels.map((label, i) => `${i} ${label}`)],
    rows,
    row: (query) => [
      `${query} ${labels[query]}`,
      ...Array.from({ length: cols }, (_, key) =>
        masked?.(query, key) ? "masked" : (values[query * cols + key] as number),
      ),
    ],
  };
};

/** A row per cell, with the weight of each overlaid head. */
function overlaidTable(pattern: ShownPattern): TableData {
  const { rows, cols, labels, keyLabels } = pattern;
  const heads = overlaidHeads(pattern);
  const masked = overlaidMask(pattern);
  return {
    title: t("Attention of {0}", heads.map(({ name }) => name).join(", ")),
    columns: ["query", "key", ...heads.map(({ name }) => name)],
    rows: rows * cols,
    row(i) {
      const [query, key] = [Math.floor(i / cols), i % cols];
      const weights = heads.map(({ values }) => (masked?.(query, key) ? "masked" : (values[i] as number)));
      return [`${query} ${labels[query]}`, `${key} ${keyLabels[key]}`, ...weights];
    },
  };
}
