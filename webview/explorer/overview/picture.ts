/** Draws the picture from text to next token. */

import { formatDigits } from "../../base/format";
import { t } from "../../base/strings";
import type { Theme } from "../../base/theme";
import { contrast, type Rgb, sequentialScale } from "../../charts/colorScale";
import type { Drawing, Pen, Point } from "../../charts/pen";
import type { OverviewData } from "./data";
import { type Flow, type LayerColumn, type Layout, LEFT, NEXT, type NextBar, TOKENS_END, type Write } from "./layout";

export interface Shown {
  readonly layout: Layout;
  readonly data: OverviewData;
  readonly title: string;
  /** The layer whose attention stands out. */
  readonly emphasized: number | null;
  /** Part of the width that is drawn, 0 to 1; the tokens are always there. */
  readonly progress: number;
}

export function overviewDrawing({ layout, data, title, emphasized, progress }: Shown, theme: Theme): Drawing {
  const { width, height } = layout;
  return {
    title,
    width,
    height,
    draw(pen) {
      drawTokens(pen, layout, theme);
      pen.clip({ x: 0, y: 0, width: layout.embedding.x + progress * (width - layout.embedding.x), height }, () => {
        drawHeadings(pen, layout, data, theme);
        for (const flow of layout.flows) drawFlow(pen, flow, emphasized, theme);
        drawStream(pen, layout, theme);
        for (const column of layout.layers) drawLayer(pen, column, theme);
        drawEmbedding(pen, layout, theme);
        drawLens(pen, layout, theme);
        drawNext(pen, layout, theme);
      });
    },
  };
}

const STREAM_OPACITY = 0.32;

/** Width of the number of a layer; numbers that are closer are left out. */
const NUMBER_ROOM = 20;

/** Colors of what is written to the stream. */
const colorOf = (kind: Write["kind"], theme: Theme): Rgb =>
  theme.series[{ attention: 0, mlp: 1, cross: 3 }[kind]] as Rgb;

const mixed = (a: Rgb, b: Rgb, share: number): Rgb => a.map((x, i) => x + ((b[i] as number) - x) * share) as never;

function drawTokens(pen: Pen, { rows, gaps, secondStack, stream, embedding }: Layout, theme: Theme): void {
  const { foreground, background, muted, focus, border } = theme;
  const heading = { color: muted, anchor: "end" } as const;
  pen.text(TOKENS_END, 20, secondStack === null ? t("Tokens") : t("Source"), heading);
  if (secondStack !== null) pen.text(TOKENS_END, secondStack - 9, t("Translation"), heading);
  for (const { box, label, look } of rows) {
    const y = box.y + box.height / 2;
    const isSelected = look === "selected";
    if (look !== "later") {
      pen.line(
        [
          [box.x + box.width, y],
          [stream.end, y],
        ],
        { color: muted, opacity: isSelected ? 0.7 : 0.22 },
      );
    }
    pen.rect(box, {
      fill: mixed(background, isSelected ? focus : foreground, look === "later" ? 0.03 : isSelected ? 0.25 : 0.08),
      ...(isSelected ? { stroke: { color: focus } } : theme.highContrast && { stroke: { color: border } }),
      radius: 3,
    });
    const color = look === "later" ? muted : foreground;
    pen.text(box.x + 6, y, label, { color, room: box.width - 12, bold: isSelected });
  }
  for (const { y, count } of gaps) pen.text(TOKENS_END, y, t("⋯ {0} more", count), heading);
  const selected = rows.find(({ look }) => look === "selected");
  if (!selected) return;
  const { box } = selected;
  const from: Point = [box.x + box.width, box.y + box.height / 2];
  pen.line(curve(from, [embedding.x, stream.y], "horizontal"), { color: focus, width: 2 });
}

function drawHeadings(pen: Pen, layout: Layout, data: OverviewData, theme: Theme): void {
  const { layers, stream, lensY, barsX, bars } = layout;
  const { muted } = theme;
  const style = { color: muted, anchor: "middle" } as const;
  const step = Math.ceil(NUMBER_ROOM / (layers[0]?.width ?? NUMBER_ROOM));
  for (const { layer, x, width } of layers) {
    const text = width < 66 ? String(layer) : t("Layer {0}", layer);
    if (layer % step === 0) pen.text(x + width / 2, 20, text, style);
    if (layer > 0) pen.line(vertical(x, 30, stream.y), { color: muted, opacity: 0.14 });
  }
  for (const { kind, box } of layers[0]?.writes ?? []) {
    pen.text(LEFT, box.y + box.height / 2, WRITES[kind](), { color: theme.foreground });
  }
  pen.text(LEFT, stream.y, t("Residual stream"), { color: theme.foreground });
  if (lensY !== null) pen.text(LEFT, lensY, t("Logit lens"), { color: theme.foreground });
  const first = bars[0]?.box.y ?? 0;
  if (bars.length > 0) pen.text(barsX, first - 12, t("Next token"), { color: muted });
  const last = data.layers.at(-1)?.after;
  if (last === undefined || first < 120) return;
  const notes = [t("Thickness: L2 norm"), t("{0} at the end", formatDigits(last)), t("Dots: attention weights")];
  notes.forEach((note, i) => void pen.text(barsX, 40 + 16 * i, note, { color: muted, room: NEXT.width }));
}

const WRITES: Readonly<Record<Write["kind"], () => string>> = {
  attention: () => t("Attention"),
  cross: () => t("Cross-attention"),
  mlp: () => t("MLP"),
};

function drawFlow(pen: Pen, { layer, isCross, from, to, weight }: Flow, emphasized: number | null, theme: Theme) {
  const color = colorOf(isCross ? "cross" : "attention", theme);
  const strength = emphasized === null ? 0.35 + 0.5 * weight : emphasized === layer ? 0.5 + 0.5 * weight : 0.08;
  pen.line(curve(from, to, "down"), { color, width: 1 + 5 * weight, opacity: strength });
  pen.circle(from, 1.5 + 4 * Math.sqrt(weight), { fill: color });
}

function drawStream(pen: Pen, { stream, layers, embedding, bars, barsX }: Layout, theme: Theme): void {
  const { y, halves, end } = stream;
  const points: [x: number, half: number][] = [[embedding.x + embedding.width, halves[0] as number]];
  layers.forEach(({ x, width }, l) => {
    const [from, to] = [halves[l] as number, halves[l + 1] as number];
    for (let i = 0; i <= 8; i++) points.push([x + width * (0.34 + (0.5 * i) / 8), from + (to - from) * smooth(i / 8)]);
  });
  points.push([end, halves.at(-1) as number]);
  const edge = (sign: number) => points.map(([x, half]): Point => [x, y + sign * half]);
  pen.polygon([...edge(-1), ...edge(1).reverse()], theme.foreground, STREAM_OPACITY);
  for (const { box, share } of bars) {
    const middle = box.y + box.height / 2;
    const upper = curve([end, share.y - share.half], [barsX - 6, middle - Math.max(1, share.half)], "horizontal");
    const lower = curve([end, share.y + share.half], [barsX - 6, middle + Math.max(1, share.half)], "horizontal");
    pen.polygon([...upper, ...[...lower].reverse()], theme.positive, 0.4);
  }
}

function drawLayer(pen: Pen, { writes }: LayerColumn, theme: Theme): void {
  for (const { kind, box, text, share, joint } of writes) {
    const color = colorOf(kind, theme);
    const { x, y, width, height } = joint;
    if (width > 0) pen.rect({ x, y, width, height }, { fill: mixed(theme.background, color, 0.75) });
    const fill = sequentialScale(1, { ...theme, positive: color }).colorAt(0.12 + 0.48 * share);
    pen.rect(box, { fill, stroke: { color, opacity: theme.highContrast ? 1 : 0.6 }, radius: 3 });
    pen.text(box.x + box.width / 2, box.y + box.height / 2, text, { color: onColor(fill, theme), anchor: "middle" });
  }
}

const onColor = (fill: Rgb, { foreground, background }: Theme): Rgb =>
  contrast(fill, foreground) >= contrast(fill, background) ? foreground : background;

function drawEmbedding(pen: Pen, { embedding }: Layout, theme: Theme): void {
  const { background, foreground, muted } = theme;
  pen.rect(embedding, { fill: mixed(background, foreground, 0.12), stroke: { color: muted, opacity: 0.5 }, radius: 4 });
  const middle = embedding.y + embedding.height / 2;
  const x = embedding.x + embedding.width / 2;
  pen.text(x, middle, t("Embedding"), { color: foreground, anchor: "middle", turned: true });
}

function drawLens(pen: Pen, { layers, firstLens, isNarrow }: Layout, theme: Theme): void {
  for (const lens of [firstLens, ...layers.map(({ lens }) => lens)]) {
    if (!lens) continue;
    const [x, y] = lens.at;
    const color = lens.isFinal ? theme.positive : theme.foreground;
    const style = { color, bold: lens.isFinal, room: lens.room };
    if (isNarrow) pen.text(x, y, lens.label, { ...style, anchor: "end", turned: true });
    else {
      pen.text(x, y, lens.label, { ...style, anchor: "middle" });
      pen.text(x, y + 15, lens.probability, { color: theme.muted, anchor: "middle", room: lens.room });
    }
  }
}

function drawNext(pen: Pen, { bars }: Layout, theme: Theme): void {
  const largest = Math.max(...bars.map(({ probability }) => probability));
  bars.forEach(({ box, label, note, probability }: NextBar, i) => {
    const y = box.y + box.height / 2;
    pen.text(box.x, y, label, { color: theme.foreground, bold: i === 0, room: NEXT.labelWidth - 6 });
    const track = {
      x: box.x + NEXT.labelWidth,
      y: y - 6,
      width: box.width - NEXT.labelWidth - NEXT.valueWidth,
      height: 12,
    };
    pen.rect(track, { fill: mixed(theme.background, theme.foreground, 0.06), radius: 2 });
    pen.rect(
      { ...track, width: Math.max(1, (track.width * probability) / largest) },
      { fill: theme.positive, radius: 2 },
    );
    pen.text(box.x + box.width, y, note, { color: theme.foreground, anchor: "end" });
  });
}

const smooth = (x: number): number => x * x * (3 - 2 * x);

/** A line that leaves sideways and arrives sideways, or from above. */
function curve([x0, y0]: Point, [x1, y1]: Point, arrives: "horizontal" | "down"): Point[] {
  const middle = (x0 + x1) / 2;
  const controls: readonly [Point, Point] =
    arrives === "horizontal"
      ? [
          [middle, y0],
          [middle, y1],
        ]
      : [
          [x1, y0],
          [x1, y0 + 0.3 * (y1 - y0)],
        ];
  const [[ax, ay], [bx, by]] = controls;
  return Array.from({ length: 21 }, (_, i): Point => {
    const s = i / 20;
    const r = 1 - s;
    const at = (from: number, a: number, b: number, to: number) =>
      r * r * r * from + 3 * r * r * s * a + 3 * r * s * s * b + s * s * s * to;
    return [at(x0, ax, bx, x1), at(y0, ay, by, y1)];
  });
}

const vertical = (x: number, from: number, to: number): readonly Point[] => [
  [x, from],
  [x, to],
];
