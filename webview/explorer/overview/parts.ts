/** The parts of the picture that open other views: where they are, how they are described, and what they select. */

import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import type { Box } from "../../charts/pen";
import type { Selection } from "../../trace/inspection";
import { type Guess, type LayerData, type OverviewData, type Source, sourceLabel } from "./data";
import type { Layout, Write } from "./layout";

/** A part of the picture. */
export interface Part {
  readonly box: Box;
  /** Its name and numbers; the first line is the name. */
  readonly text: string;
  /** Id of the view that it opens. */
  readonly view: string;
  readonly select: Partial<Selection>;
  /** Layer whose attention is emphasized while the pointer is on the part. */
  readonly layer: number | null;
}

/** The parts from left to right, those of a column from top to bottom. `opens` returns whether a view is available. */
export function partsOf(layout: Layout, data: OverviewData): Part[] {
  const { position, tokens, layers } = data;
  const label = tokens[position] ?? "";
  const tokenParts = layout.rows.map(({ box, position: at, label, isSource }): Part => {
    const name = isSource
      ? t("Source token “{0}” at position {1}", label, at)
      : t("Token “{0}” at position {1}", label, at);
    const select = isSource ? { sourceToken: at } : { token: at };
    return { box, text: name, view: "tokens", select, layer: null };
  });
  const embedding: Part = {
    box: layout.embedding,
    text: lines(
      t("Embedding of “{0}”", label),
      t("norm {0}", formatValue(layers[0]?.before ?? 0)),
      guessText(data.firstGuesses),
    ),
    view: "embedding",
    select: {},
    layer: null,
  };
  const inLayers = layout.layers.flatMap(({ layer, x, width, writes, lens }): Part[] => {
    const of = layers[layer] as LayerData;
    const { y, halves } = layout.stream;
    const half = Math.max(6, halves[layer + 1] as number);
    const stream: Part = {
      box: { x, y: y - half, width, height: 2 * half },
      text: lines(
        t("Residual stream after layer {0}", layer),
        t("norm {0}, {1} before the layer", formatValue(of.after), formatValue(of.before)),
      ),
      view: "layers",
      select: { layer, value: `blocks.${layer}.residPost` },
      layer: null,
    };
    const written = writes.map((write) => writePart(write, layer, of, data));
    const read: Part[] = lens
      ? [
          {
            box: lens.box,
            text: lines(t("Logit lens after layer {0}", layer), guessText(of.guesses)),
            view: "lens",
            select: { layer },
            layer: null,
          },
        ]
      : [];
    // In the order of the picture: above the stream, the stream, below it.
    return [...written.slice(0, -1), stream, ...written.slice(-1), ...read];
  });
  const next = layout.bars.map(
    ({ box, label, probability }): Part => ({
      box,
      text: lines(t("Next token “{0}”", label), t("probability {0}", formatValue(probability))),
      view: "nextToken",
      select: {},
      layer: null,
    }),
  );
  return [...tokenParts, embedding, ...inLayers, ...next];
}

function writePart({ kind, box }: Write, layer: number, of: LayerData, data: OverviewData): Part {
  const norm = t("adds a vector of norm {0}", formatValue(of[kind]));
  if (kind === "mlp") {
    const select = { layer, value: `blocks.${layer}.mlpOut` };
    return { box, text: lines(t("MLP of layer {0}", layer), norm), view: "layers", select, layer: null };
  }
  const isCross = kind === "cross";
  const sources = of.sources.filter((source) => source.isCross === isCross);
  const name = isCross ? t("Cross-attention of layer {0}", layer) : t("Attention of layer {0}", layer);
  const read = (source: Source) =>
    t(
      "“{0}” at {1}: weight {2}, most in head {3}",
      sourceLabel(data, source),
      source.position,
      formatValue(source.weight),
      source.head,
    );
  const select = { layer, head: sources[0]?.head ?? 0 };
  return { box, text: lines(name, norm, ...sources.map(read)), view: "attention", select, layer };
}

/** Guesses that are listed. */
const LISTED = 5;

const guessText = (guesses: readonly Guess[]): string =>
  guesses
    .slice(0, LISTED)
    .map(({ label, probability }) => `“${label}” ${formatValue(probability)}`)
    .join("\n");

const lines = (...texts: readonly string[]): string => texts.filter((text) => text !== "").join("\n");

const DIRECTIONS: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The index of the part that a key moves to: the nearest one in its direction; null for other keys and at the ends. */
export function nextPart(boxes: readonly Box[], from: number, key: string): number | null {
  if (key === "Home") return 0;
  if (key === "End") return boxes.length - 1;
  const direction = DIRECTIONS[key];
  const start = boxes[from];
  if (!direction || !start) return null;
  const [dx, dy] = direction;
  let best: { readonly index: number; readonly cost: number } | null = null;
  boxes.forEach((box, index) => {
    const [x, y] = [centerX(box) - centerX(start), centerY(box) - centerY(start)];
    const along = x * dx + y * dy;
    if (along < 2) return;
    // Parts that overlap across the direction are beside or below each other, whatever their centers are.
    const [acrossX, acrossY] = [x, y].map(Math.abs) as [number, number];
    const gap = dx === 0 ? acrossX - (box.width + start.width) / 2 : acrossY - (box.height + start.height) / 2;
    const cost = along + 3 * Math.max(0, gap);
    if (!best || cost < best.cost) best = { index, cost };
  });
  return (best as { readonly index: number } | null)?.index ?? null;
}

const centerX = ({ x, width }: Box): number => x + width / 2;
const centerY = ({ y, height }: Box): number => y + height / 2;
