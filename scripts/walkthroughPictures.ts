/**
 * Draws the pictures of the walkthrough that show real values of the bundled model. Run it after that model was trained
 * again.
 *
 *   node scripts/walkthroughPictures.ts
 */

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type * as Engine from "../src/engine/index.ts";
import { stepOf } from "../src/extension/surprisal/shading.ts";
import { bundleProgram } from "./build.ts";
import { inRoot, runAsScript } from "./paths.ts";

/** "dragon" is not in the stories, so that it has several tokens. */
const SPLIT = "Tom was a clever dragon";
const PICKED = 3;
const STRIP = 48;
const PROMPT = "Tom was a";
const COMPLETION = 6;
const EXPLORED = "Tom had a red ball and";
/** The head is the one that attends most from the last token to the name that follows. */
const TWO_NAMES = { text: 'Tom met his friend Mia, a cat. "Why are you sad?" asked', name: " Mia" };
/** The stories say "took it everywhere". */
const SURPRISING = ["Tom was a clever frog.", " He had a red hat and ate"] as const;
const EXPLAINED = " ate";

runAsScript(import.meta.url, async () => {
  const { LoadedModel, nextToken, softmax } = await bundledEngine();
  const loaded = await LoadedModel.open(inRoot("media/model"), "cpu");
  const { cfg, tokenizer } = loaded.model;
  /** The tokens of a text, and the values that the model computes from them. */
  const run = async (text: string) => {
    const ids = tokenizer.encodePrompt(text);
    const trace = await loaded.trace([ids]);
    const value = (name: string) => {
      const found = trace.get(name);
      if (!found) throw new Error(`the trace has no ${name}`);
      return found.data;
    };
    const logits = value("logits").subarray(-cfg.vocabSize);
    return {
      tokens: ids.map((id) => ({ id, label: visible(tokenizer.token(id)) })),
      value,
      next: (temperature: number) => nextToken(softmax(logits.map((logit) => logit / temperature)), tokenizer, 6),
    };
  };

  const split = await run(SPLIT);
  draw("token", tokenPicture(split.tokens, rowsOf(split.value("embed"), split.tokens.length)[PICKED] ?? []));

  const { next } = await run(PROMPT);
  draw("temperature", temperaturePicture([0.5, 1, 2].map((temperature) => ({ temperature, ...next(temperature) }))));

  const { text: completion, steps } = await loaded.generationTrace(PROMPT, {
    temperature: 0,
    topK: 0,
    topP: 1,
    seed: 0,
    maxNewTokens: COMPLETION,
    count: 5,
  });
  draw("complete", completePicture(completion));
  draw("why", whyPicture(completion, steps));

  const surprisal = await loaded.surprisal(SURPRISING.join(""), {
    alternatives: 3,
    signal: new AbortController().signal,
    report: () => {},
  });
  draw("surprisal", surprisalPicture(surprisal, loaded.vocabulary));

  const named = await run(TWO_NAMES.text);
  const target = named.tokens.findIndex(({ label }) => label === visible(TWO_NAMES.name));
  const heads = Array.from({ length: cfg.nLayers }, (_, layer) =>
    rowsOf(named.value(`blocks.${layer}.attn.pattern`), cfg.nHeads).map((pattern, head) => {
      const rows = rowsOf(pattern, named.tokens.length);
      return { layer, head, rows, weight: rows.at(-1)?.[target] ?? 0 };
    }),
  ).flat();
  const most = heads.reduce((a, b) => (b.weight > a.weight ? b : a));
  draw("attention", attentionPicture(named.tokens, most));

  const explored = await run(EXPLORED);
  const norms = ["blocks.0.residPre", ...Array.from({ length: cfg.nLayers }, (_, l) => `blocks.${l}.residPost`)].map(
    (name) => rowsOf(explored.value(name), explored.tokens.length).map((row) => Math.hypot(...row)),
  );
  draw("explore", explorePicture(explored.tokens, norms, explored.next(1).top.slice(0, 5)));
  await loaded.release();
});

/** Bundles the engine into one module, because Node.js cannot resolve its imports without file extensions. */
async function bundledEngine(): Promise<typeof Engine> {
  const outfile = inRoot("node_modules/.cache/decoder-lab/walkthroughPictures.mjs");
  await bundleProgram(inRoot("src/engine/index.ts"), outfile);
  return import(pathToFileURL(outfile).href) as Promise<typeof Engine>;
}

interface Token {
  readonly id: number;
  readonly label: string;
}
type Ranked = Pick<Engine.RankedToken, "token" | "probability">;
type Numbers = Float32Array | readonly number[];

/** A row of tokens with their ids; one is selected, and its vector is a strip of colors. */
function tokenPicture(tokens: readonly Token[], vector: Numbers): string[] {
  const largest = Math.max(...vector.map(Math.abs));
  const boxes = boxesOf(tokens, { size: 17, padding: 18 });
  const picked = boxes[PICKED] as Box;
  return [
    ...boxes.flatMap(({ id, label, left, width }, i) => {
      const [middle, isPicked] = [left + width / 2, i === PICKED];
      const fill = isPicked ? FOREGROUND : DESCRIPTION;
      return [
        isPicked
          ? rect(left, 80, width, 44, `${shade(BLUE, 0.45)} stroke="${BLUE}" stroke-width="2"`)
          : rect(left, 80, width, 44, shade(BLUE, 0.12)),
        text(middle, 108, label, { anchor: "middle", size: 17, isCode: true }),
        text(middle, 144, `${id}`, { fill, anchor: "middle" }),
        text(middle, 66, `${i}`, { fill, anchor: "middle", size: 12 }),
      ];
    }),
    `<path d="M${picked.left + picked.width / 2} 154 v22" stroke="${BLUE}" stroke-width="2" />`,
    ...Array.from(vector.slice(0, STRIP), (number, i) =>
      rect(40 + 9 * i, 184, 8, 34, shade(number < 0 ? ORANGE : BLUE, Math.max(0.05, Math.abs(number) / largest)), 1),
    ),
    text(40, 242, `“${picked.label}” is token ${picked.id}, its vector: ${STRIP} of ${vector.length} numbers`, {
      fill: DESCRIPTION,
    }),
    text(40, 272, "A rare word has several tokens. Select one here:"),
    text(40, 294, "every view and the editor show it too."),
  ];
}

/** The most likely next tokens at several temperatures. */
function temperaturePicture(columns: readonly (Engine.NextToken & { readonly temperature: number })[]): string[] {
  return [
    ...columns.flatMap(({ temperature, top, entropyBits }, column) => {
      const x = 36 + 158 * column;
      return [
        text(x, 52, `temperature ${temperature}`),
        ...top.flatMap(({ token, probability }, i) =>
          bar(x, 90 + 30 * i, visible(token), 40 * probability, { value: percent(probability), indent: WORD }),
        ),
        text(x, 276, `${entropyBits.toFixed(2)} bits`, { fill: DESCRIPTION }),
      ];
    }),
    text(36, 304, `After “${PROMPT}”: 0 always picks the first.`),
  ];
}

/** A text in an editor with its completion, and the keys that accept and dismiss it. */
function completePicture(completion: string): string[] {
  const end = 66 + 17 * CHARACTER * PROMPT.length;
  return [
    ...[1, 2, 3].map((line) => text(36, 36 + 34 * line, `${line}`, { fill: DESCRIPTION, size: 17, isCode: true })),
    completedText(66, 70, completion),
    `<path d="M${end} 54 v22" stroke="var(--vscode-editorCursor-foreground, ${FOREGROUND})" stroke-width="2" />`,
    ...["Tab", "Esc"].flatMap((key, i) => [
      rect(66, 180 + 56 * i, 64, 34, `fill="none" stroke="${FOREGROUND}"`, 5),
      text(98, 202 + 56 * i, key, { anchor: "middle" }),
    ]),
    text(146, 202, "accepts it", { fill: DESCRIPTION }),
    text(146, 258, "dismisses it", { fill: DESCRIPTION }),
  ];
}

const completedText = (x: number, y: number, completion: string): string =>
  `<text x="${x}" y="${y}" font-size="17" ${CODE} fill="${FOREGROUND}" xml:space="preserve">${PROMPT}<tspan fill="var(--vscode-editorGhostText-foreground, #8889)" font-style="italic">${escaped(completion)}</tspan></text>`;

/** A completion, and the probabilities at its first three steps. */
function whyPicture(
  completion: string,
  steps: readonly { readonly id: number; readonly top: readonly Engine.RankedToken[] }[],
): string[] {
  return [
    completedText(36, 56, completion),
    ...steps.slice(0, 3).flatMap((step, column) => {
      const x = 36 + 158 * column;
      return [
        text(x, 104, `step ${column + 1}`, { fill: DESCRIPTION }),
        ...step.top.flatMap(({ id, token, probability }, i) => {
          const colors = id === step.id ? {} : { fill: BLUE, labelFill: DESCRIPTION };
          const value = percent(probability);
          return bar(x, 134 + 30 * i, visible(token), 40 * probability, { ...colors, value, indent: WORD });
        }),
      ];
    }),
    text(36, 304, "The candidates for each token. Choose another to branch."),
  ];
}

/** Two sentences with the unexpected tokens highlighted, and what the model expected instead of one of them. */
function surprisalPicture(scored: Engine.ScoredTokens, vocabulary: readonly string[]): string[] {
  const width = 16 * CHARACTER;
  const end = SURPRISING[0].length;
  const whole = SURPRISING.join("");
  const tokens = scored.tokens.map(({ start, end: stop }, i) => {
    const isSecond = start >= end;
    // The space before a sentence is not drawn at the start of its line.
    const [from, line] = isSecond ? [Math.max(start, end + 1), end + 1] : [start, 0];
    const shown = whole.slice(from, stop);
    return { shown, x: 40 + width * (from - line), y: isSecond ? 116 : 70, bits: scored.surprisal[i] ?? 0 };
  });
  const at = scored.tokens.findIndex(({ start, end: stop }) => whole.slice(start, stop) === EXPLAINED);
  const explained = tokens[at];
  if (!explained) throw new Error(`“${EXPLAINED}” is not one token`);
  return [
    ...tokens.flatMap(({ shown, x, y, bits }) => {
      const mark = MARKS[stepOf(bits)];
      const line = `M${x} ${y + 8} h${width * shown.length}`;
      return [
        ...(mark
          ? [
              rect(x, y - 18, width * shown.length, 26, shade(ORANGE, mark.opacity), 0),
              `<path d="${line}" stroke="${ORANGE}" ${mark.line} />`,
            ]
          : []),
        ...Array.from(shown, (letter, i) => text(x + width * i, y, letter, { size: 16, isCode: true })),
      ];
    }),
    `<path d="M${explained.x + (width * EXPLAINED.length) / 2} 128 v22" stroke="${FOREGROUND}" />`,
    rect(130, 150, 350, 116, `fill="none" stroke="${BORDER}"`, 5),
    text(146, 176, `${visible(EXPLAINED)}: ${explained.bits.toFixed(2)} bits, rank ${scored.rank[at]}`),
    ...[0, 1, 2].flatMap((i) => {
      const probability = scored.probabilities[3 * at + i] ?? 0;
      const value = `${Number((100 * probability).toPrecision(2))} %`;
      const label = visible(vocabulary[scored.ids[3 * at + i] ?? 0] ?? "");
      return bar(146, 204 + 24 * i, label, 180 * probability, { fill: BLUE, value, gap: 6, indent: WORD });
    }),
  ];
}

/** The four steps of the surprisal lens. */
const MARKS = [
  { opacity: 0.2, line: 'stroke-width="1.5" stroke-dasharray="2 2"' },
  { opacity: 0.35, line: 'stroke-width="1.5" stroke-dasharray="5 3"' },
  { opacity: 0.5, line: 'stroke-width="1.5"' },
  { opacity: 0.7, line: 'stroke-width="2.5"' },
] as const;

/** The triangular attention pattern of a head over the tokens of a text. */
function attentionPicture(
  tokens: readonly Token[],
  { layer, head, rows }: { readonly layer: number; readonly head: number; readonly rows: readonly Numbers[] },
): string[] {
  const last = tokens.length - 1;
  const [cell, top] = [Math.floor(250 / tokens.length), 58];
  const tokenAt = (key: number) => `${tokens[key]?.label} (${key})`;
  const weights = Array.from(rows[last] ?? [], (weight, key) => ({ weight, key })).sort((a, b) => b.weight - a.weight);
  return [
    text(36, 44, `Layer ${layer}, head ${head}: each row is a query`, { fill: DESCRIPTION }),
    ...rows.flatMap((row, query) => [
      text(78, top + cell * (query + 0.5) + 4, tokens[query]?.label ?? "", { anchor: "end", size: 12, isCode: true }),
      ...Array.from(row, (weight, key) => {
        const paint =
          key > query ? `fill="none" stroke="${BORDER}" stroke-dasharray="3 3"` : shade(BLUE, Math.max(0.04, weight));
        return rect(86 + cell * key, top + cell * query, cell - 2, cell - 2, paint);
      }),
    ]),
    text(356, 78, `from “${tokens[last]?.label}” (${last})`),
    ...weights
      .slice(0, 6)
      .flatMap(({ weight, key }, i) =>
        bar(356, 110 + 30 * i, tokenAt(key), (40 * weight) / (weights[0]?.weight ?? 1), { indent: 96 }),
      ),
  ];
}

/** Tokens of a text above the norms of the residual stream, layer by layer, and the most likely next tokens. */
function explorePicture(tokens: readonly Token[], norms: readonly Numbers[], top: readonly Ranked[]): string[] {
  const all = norms.flatMap((row) => [...row]);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const last = tokens.length - 1;
  return [
    text(36, 44, `Model Explorer: ${EXPLORED}…`, { fill: DESCRIPTION }),
    ...tokens.flatMap(({ label }, i) => [
      rect(36 + 46 * i, 58, 42, 26, i === last ? `${shade(BLUE, 0.35)} stroke="${BLUE}"` : shade(BLUE, 0.12)),
      text(57 + 46 * i, 75, label, { anchor: "middle", size: 12, isCode: true }),
    ]),
    ...norms.flatMap((row, layer) => [
      text(316, 128 + 32 * layer, layer === 0 ? "embeddings" : `layer ${layer - 1}`, { fill: DESCRIPTION, size: 12 }),
      ...Array.from(row, (norm, i) =>
        rect(36 + 46 * i, 108 + 32 * layer, 42, 28, shade(BLUE, Math.max(0.06, (norm - least) / (most - least)))),
      ),
    ]),
    text(36, 292, "residual stream, norm", { fill: DESCRIPTION }),
    text(392, 76, "next", { fill: DESCRIPTION }),
    ...top.flatMap(({ token, probability }, i) =>
      bar(392, 128 + 32 * i, visible(token), (32 * probability) / (top[0]?.probability ?? 1), { indent: WORD }),
    ),
  ];
}

type Box = Token & { readonly left: number; readonly width: number };

/** Boxes next to each other, each as wide as its label. */
function boxesOf(tokens: readonly Token[], { size, padding }: { size: number; padding: number }): Box[] {
  let left = 40;
  return tokens.map((token) => {
    const width = Math.round(size * CHARACTER * token.label.length) + padding;
    const box = { ...token, left, width };
    left += width + 6;
    return box;
  });
}

const percent = (probability: number): string => `${(100 * probability).toFixed(1)} %`;

/** Width of a character of a monospaced font, relative to its size. */
const CHARACTER = 0.6;
/** Room for the label of a token, in pixels. */
const WORD = 70;

/** A label, a bar next to it, and optionally a value after the bar. */
function bar(
  x: number,
  y: number,
  label: string,
  length: number,
  { fill = ORANGE, labelFill = FOREGROUND, value = "", indent = 20, gap = 4 } = {},
): string[] {
  const end = Number((x + indent + length + gap).toPrecision(6));
  return [
    text(x, y, label, { fill: labelFill, isCode: true }),
    rect(x + indent, y - 9, Number(length.toFixed(1)), 8, `fill="${fill}"`),
    ...(value ? [text(end, y, value, { fill: DESCRIPTION, size: 11 })] : []),
  ];
}

const rect = (x: number, y: number, width: number, height: number, paint: string, radius = 3): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}" ${paint} />`;

function shade(fill: string, opacity: number): string {
  const rounded = opacity.toFixed(2);
  return rounded === "1.00" ? `fill="${fill}"` : `fill="${fill}" fill-opacity="${rounded}"`;
}

interface TextStyle {
  readonly fill?: string;
  readonly anchor?: "middle" | "end";
  readonly size?: number;
  readonly isCode?: boolean;
}

function text(
  x: number,
  y: number,
  content: string,
  { fill = FOREGROUND, anchor, size, isCode }: TextStyle = {},
): string {
  const style = [
    `fill="${fill}"`,
    ...(anchor ? [`text-anchor="${anchor}"`] : []),
    ...(size ? [`font-size="${size}"`] : []),
    ...(isCode ? [CODE] : []),
  ];
  return `<text x="${x}" y="${y}" ${style.join(" ")}>${escaped(content)}</text>`;
}

// Theme colors, with a gray that is readable on light and dark for pages without a theme.
const FOREGROUND = "var(--vscode-foreground, #888)";
const DESCRIPTION = "var(--vscode-descriptionForeground, #888)";
const BLUE = "var(--vscode-charts-blue, #3794ff)";
const ORANGE = "var(--vscode-charts-orange, #d18616)";
const BORDER = "var(--vscode-widget-border, var(--vscode-editorWidget-border, #8888))";
const CODE = 'font-family="var(--vscode-editor-font-family, monospace)"';

/** Makes white space visible, also as byte pairs spell it. */
const visible = (token: string): string => token.replaceAll(/[ Ġ]/g, "·").replaceAll(/[\nĊ]/g, "↵");

const escaped = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** The rows of a value whose first dimension is `count`. */
function rowsOf(values: Numbers, count: number): Numbers[] {
  const length = values.length / count;
  return Array.from({ length: count }, (_, i) => values.slice(i * length, (i + 1) * length));
}

function draw(name: string, lines: readonly string[]): void {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 340" font-family="var(--vscode-font-family, sans-serif)" font-size="14">`;
  const background = `fill="var(--vscode-editorWidget-background, transparent)" stroke="${BORDER}"`;
  const inside = [rect(10, 10, 500, 320, background, 8), ...lines].map((line) => `  ${line}`);
  writeFileSync(inRoot(`media/walkthrough/${name}.svg`), `${[svg, ...inside, "</svg>"].join("\n")}\n`);
}
