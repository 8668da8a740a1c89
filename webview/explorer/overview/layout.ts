/**
 * The picture from text to next token: tokens from top to bottom, layers to the right. Below the tokens is the residual
 * stream of the selected one; attention writes to it from above and the MLP from below. Coordinates are CSS pixels.
 */

import { formatDigits, formatPercent } from "../../base/format";
import { type Box, FONT_SIZE, type Point } from "../../charts/pen";
import type { Guess, LayerData, OverviewData } from "./data";
import { type ReadWeights, type StackRow, shownRows } from "./rows";

interface TokenRow {
  /** Its line starts at the right. */
  readonly box: Box;
  readonly position: number;
  readonly label: string;
  readonly look: "selected" | "read" | "later";
  readonly isSource: boolean;
}

/** Tokens that are left out. */
interface Gap {
  readonly y: number;
  readonly count: number;
}

/** A vector that is added to the stream. */
export interface Write {
  readonly kind: "attention" | "cross" | "mlp";
  readonly box: Box;
  readonly text: string;
  /** 0 to 1: its norm relative to the largest one of the picture. */
  readonly share: number;
  /** The connection to the stream, as wide as its norm on the stream's scale. */
  readonly joint: Box;
}

export interface LayerColumn {
  readonly layer: number;
  readonly x: number;
  readonly width: number;
  readonly writes: readonly Write[];
  readonly lens: LensLabel | null;
}

interface LensLabel {
  readonly at: Point;
  readonly label: string;
  readonly probability: string;
  /** The layer already predicts the final token. */
  readonly isFinal: boolean;
  readonly room: number;
  readonly box: Box;
}

/** A line from a token to the attention of a layer. */
export interface Flow {
  readonly layer: number;
  readonly isCross: boolean;
  readonly from: Point;
  readonly to: Point;
  readonly weight: number;
}

export interface NextBar {
  readonly box: Box;
  readonly label: string;
  readonly note: string;
  readonly probability: number;
  /** Center and half of the thickness of its share of the stream. */
  readonly share: { readonly y: number; readonly half: number };
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly rows: readonly TokenRow[];
  readonly gaps: readonly Gap[];
  /** Start of the translation, below a translator's source. */
  readonly secondStack: number | null;
  readonly embedding: Box;
  readonly layers: readonly LayerColumn[];
  /** Layers are so narrow that lens tokens are turned. */
  readonly isNarrow: boolean;
  readonly stream: {
    readonly y: number;
    /** Half of the thickness before the first layer and after each one. */
    readonly halves: readonly number[];
    readonly end: number;
  };
  readonly lensY: number | null;
  readonly firstLens: LensLabel | null;
  readonly flows: readonly Flow[];
  readonly bars: readonly NextBar[];
  readonly barsX: number;
}

export const LEFT = 12;
const TOP = 34;
const ROW = 20;
const LEAST_ROWS = 4;
const GAP_ROW = 13;
/** Between a translator's source and its translation. */
const STACK_GAP = 24;
const TOKEN = { least: 34, width: 116, height: 17 };
export const TOKENS_END = LEFT + TOKEN.width;
/** Width of a character of the monospaced font. */
const CHARACTER = 0.61 * FONT_SIZE;
const EMBEDDING = { gap: 26, width: 22 };
const WRITE_HEIGHT = 22;
/** Half of the thickness of the stream where its norm is largest. */
const HALF = 15;
const LENS_ROOM = { wide: 34, turned: 66 };
/** Width of a layer. Below `wide`, the lens is turned; at `least`, the picture scrolls. */
const LAYER = { least: 14, wide: 46, most: 128 };
export const NEXT = { gap: 40, width: 240, least: 176, row: 24, labelWidth: 70, valueWidth: 68, most: 10 };

/** Lays the picture out in a width; `height` limits the number of tokens, at least four of which are shown. */
export function overviewLayout(data: OverviewData, width: number, height: number): Layout {
  const L = data.layers.length;
  const embeddingX = TOKENS_END + EMBEDDING.gap;
  const layersX = embeddingX + EMBEDDING.width + 12;
  const nextWidth = Math.max(NEXT.least, Math.min(NEXT.width, 0.18 * width));
  const available = width - layersX - NEXT.gap - nextWidth - LEFT;
  const column = Math.max(LAYER.least, Math.min(LAYER.most, available / Math.max(1, L)));
  const isNarrow = column < LAYER.wide;
  const layersEnd = layersX + L * column;
  const hasLens = data.layers.some(({ guesses }) => guesses.length > 0);
  const lensRoom = data.isOpened ? 0 : isNarrow ? LENS_ROOM.turned : LENS_ROOM.wide;
  const lane = 26 + (data.hasCross ? 2 : 1) * (WRITE_HEIGHT + 6) + 10 + 2 * HALF + 16 + WRITE_HEIGHT + 14 + lensRoom;

  let stacks = tokenStacks(data, Math.max(LEAST_ROWS, Math.floor((height - TOP - lane) / ROW)));
  // Gaps need room too; how many there are depends on the tokens that are chosen.
  while (stacks.bottom + lane > height && stacks.rows.length > LEAST_ROWS)
    stacks = tokenStacks(data, stacks.rows.length - 1);
  const bottom = stacks.bottom;
  const attentionY = bottom + 26;
  const crossY = attentionY + WRITE_HEIGHT + 6;
  const streamY = (data.hasCross ? crossY : attentionY) + WRITE_HEIGHT + 16 + HALF;
  const mlpY = streamY + HALF + 16;
  const lensY = mlpY + WRITE_HEIGHT + 22;
  const total = mlpY + WRITE_HEIGHT + 14 + lensRoom;

  const norms = [data.layers[0]?.before ?? 0, ...data.layers.map(({ after }) => after)];
  const unit = HALF / Math.max(...norms, Number.MIN_VALUE);
  const largest = Math.max(...data.layers.flatMap(({ attention, cross, mlp }) => [attention, cross, mlp].map(finite)));
  const final = data.next[0]?.label;
  const lensLabel = (guesses: readonly Guess[], center: number, room: number): LensLabel | null => {
    const [guess] = guesses;
    if (!guess) return null;
    return {
      at: [center, lensY - (isNarrow ? 10 : 0)],
      label: guess.label,
      probability: formatPercent(guess.probability),
      isFinal: guess.label === final,
      room: isNarrow ? LENS_ROOM.turned - 6 : room - 4,
      box: { x: center - room / 2, y: mlpY + WRITE_HEIGHT + 8, width: room, height: lensRoom + 4 },
    };
  };

  const layers = data.layers.map((layer, l): LayerColumn => {
    const x = layersX + l * column;
    const write = writer({ unit, largest, streamY }, column);
    const above = x + 0.34 * column;
    return {
      layer: l,
      x,
      width: column,
      writes: [
        write("attention", layer.attention, above, attentionY),
        ...(data.hasCross ? [write("cross", layer.cross, above, crossY)] : []),
        write("mlp", layer.mlp, x + 0.7 * column, mlpY),
      ],
      lens: lensLabel(layer.guesses, x + column / 2, column),
    };
  });

  return {
    width: Math.ceil(layersEnd + NEXT.gap + nextWidth + LEFT),
    height: total,
    rows: stacks.rows,
    gaps: stacks.gaps,
    secondStack: stacks.second,
    embedding: { x: embeddingX, y: TOP, width: EMBEDDING.width, height: streamY + HALF - TOP },
    layers,
    isNarrow,
    stream: { y: streamY, halves: norms.map((norm) => Math.max(1, unit * norm)), end: layersEnd },
    lensY: hasLens ? lensY : null,
    firstLens: lensLabel(data.firstGuesses, embeddingX + EMBEDDING.width / 2, EMBEDDING.width + 34),
    flows: layers.flatMap((column) => flowsTo(column, data.layers[column.layer] as LayerData, stacks.rows)),
    bars: nextBars(
      data.next,
      { x: layersEnd + NEXT.gap, width: nextWidth },
      { streamY, total, half: unit * (norms.at(-1) as number) },
    ),
    barsX: layersEnd + NEXT.gap,
  };
}

const finite = (x: number): number => (Number.isFinite(x) ? x : 0);

interface Scale {
  readonly unit: number;
  readonly largest: number;
  readonly streamY: number;
}

const writer =
  ({ unit, largest, streamY }: Scale, column: number) =>
  (kind: Write["kind"], norm: number, center: number, y: number): Write => {
    const width = Math.min(60, 0.62 * column);
    const isKnown = Number.isFinite(norm);
    const number = isKnown ? formatDigits(norm) : "";
    const thickness = isKnown ? Math.max(1, Math.min(width, 2 * unit * norm)) : 0;
    const [top, bottom] = kind === "mlp" ? [streamY, y] : [y + WRITE_HEIGHT, streamY];
    return {
      kind,
      box: { x: center - width / 2, y, width, height: WRITE_HEIGHT },
      text: number.length * CHARACTER <= width - 4 ? number : "",
      share: isKnown && largest > 0 ? norm / largest : 0,
      joint: { x: center - thickness / 2, y: top, width: thickness, height: bottom - top },
    };
  };

/** The rows of the tokens, from the top; a translator's source comes first. */
function tokenStacks(data: OverviewData, count: number) {
  const { tokens, source, position } = data;
  const rows: TokenRow[] = [];
  const gaps: Gap[] = [];
  let y = TOP;
  const longest = [...tokens, ...(source ?? [])].reduce((most, { length }) => Math.max(most, length), 0);
  const chip = Math.max(TOKEN.least, Math.min(TOKEN.width, longest * CHARACTER + 12));
  const add = (labels: readonly string[], stack: readonly StackRow[], isSource: boolean) => {
    for (const row of stack) {
      if (row.kind === "gap") {
        gaps.push({ y: y + GAP_ROW / 2, count: row.count });
        y += GAP_ROW;
        continue;
      }
      const look = isSource || row.position < position ? "read" : row.position === position ? "selected" : "later";
      const y0 = y + (ROW - TOKEN.height) / 2;
      const box = { x: TOKENS_END - chip, y: y0, width: chip, height: TOKEN.height };
      rows.push({ box, position: row.position, label: labels[row.position] as string, look, isSource });
      y += ROW;
    }
  };
  const half = source ? Math.max(2, Math.floor((count - 1) / 2)) : count;
  let second: number | null = null;
  if (source) {
    add(source, shownRows(source.length, null, readWeights(data, true), half), true);
    y += STACK_GAP;
    second = y;
  }
  add(tokens, shownRows(tokens.length, position, readWeights(data, false), half), false);
  return { rows, gaps, second, bottom: y };
}

function readWeights({ layers }: OverviewData, isCross: boolean): ReadWeights {
  const weights = new Map<number, number>();
  for (const { sources } of layers) {
    for (const { position, weight, isCross: cross } of sources) {
      if (cross === isCross) weights.set(position, (weights.get(position) ?? 0) + weight);
    }
  }
  return weights;
}

function flowsTo({ layer, x, writes }: LayerColumn, { sources }: LayerData, rows: readonly TokenRow[]): Flow[] {
  return sources.flatMap(({ position, isCross, weight }) => {
    const row = rows.find((row) => row.position === position && row.isSource === isCross);
    const write = writes.find(({ kind }) => kind === (isCross ? "cross" : "attention"));
    if (!row || !write) return [];
    const { box } = write;
    const from: Point = [x + 2, row.box.y + row.box.height / 2];
    return [{ layer, isCross, from, to: [box.x + box.width / 2, box.y] as Point, weight }];
  });
}

/** Bars beside the end of the stream, which divides among them. */
function nextBars(
  next: readonly Guess[],
  { x, width }: Pick<Box, "x" | "width">,
  { streamY, total, half }: { readonly streamY: number; readonly total: number; readonly half: number },
): NextBar[] {
  const count = Math.min(next.length, NEXT.most, Math.floor((total - TOP - 20) / NEXT.row));
  const height = count * NEXT.row;
  const top = Math.max(TOP + 20, Math.min(streamY - height / 2, total - 6 - height));
  let y = streamY - half;
  return next.slice(0, count).map(({ label, probability }, i) => {
    const share = { y: y + half * probability, half: half * probability };
    y += 2 * half * probability;
    const box = { x, y: top + i * NEXT.row, width, height: NEXT.row };
    return { box, label, note: formatPercent(probability), probability, share };
  });
}
