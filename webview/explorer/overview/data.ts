/** The numbers of the picture: one position of a trace, from its tokens to the prediction after it. */

import type { Lens, Overview } from "../../../src/protocol/traceApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import type { Inspection } from "../../trace/inspection";
import { residualNorm } from "../../trace/layers/layout";
import { shownToken } from "../../trace/nextToken/layout";
import { tokenLabel } from "../../trace/tokens/layout";
import { columnsOf } from "../lens/layout";

export interface Guess {
  readonly label: string;
  readonly probability: number;
}

/** A token that attention reads. */
export interface Source {
  readonly position: number;
  /** In a translator's source; otherwise among the tokens of the text or the translation. */
  readonly isCross: boolean;
  /** Attention weight, averaged over heads. */
  readonly weight: number;
  /** The head with the largest weight. */
  readonly head: number;
}

export interface LayerData {
  /** Norms of the stream before and after the layer. */
  readonly before: number;
  readonly after: number;
  /** Norms of what is added; NaN until they are known, or if the model has no such value. */
  readonly attention: number;
  readonly cross: number;
  readonly mlp: number;
  /** Strongest first. */
  readonly sources: readonly Source[];
  /** The logit lens after the layer, most likely first; empty if it is not known. */
  readonly guesses: readonly Guess[];
}

export interface OverviewData {
  readonly tokens: readonly string[];
  /** Labels of a translator's source tokens. */
  readonly source: readonly string[] | null;
  readonly position: number;
  readonly layers: readonly LayerData[];
  /** The logit lens on the embeddings. */
  readonly firstGuesses: readonly Guess[];
  /** Most likely first; empty if the distribution after the position is not known. */
  readonly next: readonly Guess[];
  readonly hasCross: boolean;
  /** The trace has no model, so that there is no logit lens. */
  readonly isOpened: boolean;
}

/** Combines the parts of an answer that have arrived. */
export function overviewData(
  { trace }: Pick<Inspection, "trace">,
  position: number,
  overview: Overview | null,
  lens: Lens | null,
): OverviewData {
  const T = trace.tokens.length;
  const L = trace.residualNorms.length / T - 1;
  const cells = lens && columnsOf(lens).get(position);
  const guessesAt = (name: string): readonly Guess[] => cells?.[lens?.depths.indexOf(name) ?? -1]?.top ?? [];
  const layers = Array.from({ length: L }, (_, l): LayerData => {
    const sources = overview ? [...sourcesOf(overview, l, false), ...sourcesOf(overview, l, true)] : [];
    return {
      before: residualNorm(trace, l, position),
      after: residualNorm(trace, l + 1, position),
      attention: overview?.attention[l] ?? Number.NaN,
      cross: overview?.cross?.[l] ?? Number.NaN,
      mlp: overview?.mlp[l] ?? Number.NaN,
      sources: sources.sort((a, b) => b.weight - a.weight),
      guesses: guessesAt(`blocks.${l}.residPost`),
    };
  });
  const isLast = position === T - 1;
  return {
    tokens: trace.tokens.map(tokenLabel),
    source: trace.source ? trace.source.tokens.map(tokenLabel) : null,
    position,
    layers,
    firstGuesses: guessesAt("blocks.0.residPre"),
    next: isLast ? trace.nextToken.top.map(shownToken) : (layers.at(-1)?.guesses ?? []),
    hasCross: trace.source !== undefined,
    isOpened: trace.opened === true,
  };
}

/** Weights below this are not worth a line. */
const FAINT = 0.02;

function sourcesOf(overview: Overview, layer: number, isCross: boolean): Source[] {
  const read = isCross ? overview.crossSources : overview.sources;
  if (!read) return [];
  return Array.from({ length: read.count }, (_, i) => layer * read.count + i)
    .filter((at) => (read.weights[at] as number) >= FAINT)
    .map((at) => ({
      position: read.positions[at] as number,
      isCross,
      weight: read.weights[at] as number,
      head: read.heads[at] as number,
    }));
}

/** The label of a token that attention reads. */
export const sourceLabel = ({ tokens, source }: OverviewData, { position, isCross }: Source): string =>
  (isCross ? source : tokens)?.[position] ?? "";

/** Sources of a layer in the table. */
const LISTED = 3;

/** A table with one row per layer. */
export function overviewTable(data: OverviewData): TableData {
  const { layers, hasCross, position, tokens } = data;
  const numbered = (name: (n: number) => readonly string[]) => Array.from({ length: LISTED }, (_, i) => name(i + 1));
  return {
    title: t("Layers at position {0}, “{1}”", position, tokens[position] ?? ""),
    columns: [
      "layer",
      "‖residPre‖",
      "‖attnOut‖",
      ...(hasCross ? ["‖crossOut‖"] : []),
      "‖mlpOut‖",
      "‖residPost‖",
      ...numbered((n) => [`reads ${n}`, `position ${n}`, `weight ${n}`, `head ${n}`]).flat(),
      "lens token",
      "lens probability",
    ],
    rows: layers.length,
    row: (l) => {
      const { before, after, attention, cross, mlp, sources, guesses } = layers[l] as LayerData;
      const [guess] = guesses;
      return [
        l,
        before,
        attention,
        ...(hasCross ? [cross] : []),
        mlp,
        after,
        ...numbered((n) => [String(n)]).flatMap((_, i) => {
          const source = sources[i];
          return source ? [sourceLabel(data, source), source.position, source.weight, source.head] : ["", "", "", ""];
        }),
        guess?.label ?? "",
        guess?.probability ?? Number.NaN,
      ];
    },
  };
}
