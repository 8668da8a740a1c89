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

const PROMPT = "Tom was a ";
/** The second sentence is unlike the stories in the training data. */
const SURPRISING = ["Tom was a clever frog. ", "He sang in the zoo."] as const;
const EXPLAINED = SURPRISING.join("").indexOf("sang");
const HEAD = { layer: 3, head: 0 };
const PICKED = 2;
const STRIP = 48;
const COMPLETION = 14;

runAsScript(import.meta.url, async () => {
  const { LoadedModel, nextToken, softmax } = await bundledEngine();
  const loaded = await LoadedModel.open(inRoot("media/model"), "cpu");
  const { cfg, tokenizer } = loaded.model;
  const ids = tokenizer.encodePrompt(PROMPT);
  const trace = await loaded.trace([ids]);
  const value = (name: string) => {
    const found = trace.get(name);
    if (!found) throw new Error(`the trace has no ${name}`);
    return found.data;
  };
  const logits = value("logits").subarray(-cfg.vocabSize);
  const next = (temperature: number) => nextToken(softmax(logits.map((logit) => logit / temperature)), tokenizer, 6);
  const { text: completion, steps } = await loaded.generationTrace(PROMPT, {
    temperature: 0,
    topK: 0,
    topP: 1,
    seed: 0,
    maxNewTokens: COMPLETION,
    count: 5,
  });
  const surprisal = await loaded.surprisal(SURPRISING.join(""), {
    alternatives: 3,
    signal: new AbortController().signal,
    report: () => {},
  });
  const tokens = ids.map((id) => ({ id, label: visible(tokenizer.token(id)) }));
  const labels = tokens.map(({ label }) => label);
  const norms = ["blocks.0.residPre", ...Array.from({ length: cfg.nLayers }, (_, l) => `blocks.${l}.residPost`)].map(
    (name) => rowsOf(value(name), ids.length).map((row) => Math.hypot(...row)),
  );
  const heads = rowsOf(value(`blocks.${HEAD.layer}.attn.pattern`), cfg.nHeads);

  draw("token", tokenPicture(tokens, rowsOf(value("embed"), ids.length)[PICKED] ?? []));
  draw("temperature", temperaturePicture([0.5, 1, 2].map((temperature) => ({ temperature, ...next(temperature) }))));
  draw("why", whyPicture(completion, steps));
  draw("surprisal", surprisalPicture(surprisal, loaded.vocabulary));
  draw("attention", attentionPicture(labels, rowsOf(heads[HEAD.head] ?? [], ids.length)));
  draw("explore", explorePicture(labels, norms, next(1).top.slice(0, 5)));
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

/** A row of letters with their token ids; one is selected, and its vector is a strip of colors. */
function tokenPicture(tokens: readonly Token[], vector: Numbers): string[] {
  const largest = Math.max(...vector.map(Math.abs));
  const picked = tokens[PICKED];
  return [
    ...tokens.flatMap(({ id, label }, i) => {
      const [left, middle, isPicked] = [40 + 44 * i, 59 + 44 * i, i === PICKED];
      const fill = isPicked ? FOREGROUND : DESCRIPTION;
      return [
        isPicked
          ? rect(left, 80, 38, 44, `${shade(BLUE, 0.45)} stroke="${BLUE}" stroke-width="2"`)
          : rect(left, 80, 38, 44, shade(BLUE, 0.12)),
        text(middle, 108, label, { anchor: "middle", size: 18, isCode: true }),
        text(middle, 144, `${id}`, { fill, anchor: "middle" }),
        text(middle, 66, `${i}`, { fill, anchor: "middle", size: 12 }),
      ];
    }),
    `<path d="M${59 + 44 * PICKED} 154 v22" stroke="${BLUE}" stroke-width="2" />`,
    ...Array.from(vector.slice(0, STRIP), (number, i) =>
      rect(40 + 9 * i, 184, 8, 34, shade(number < 0 ? ORANGE : BLUE, Math.max(0.05, Math.abs(number) / largest)), 1),
    ),
    text(40, 242, `“${picked?.label}” is token ${picked?.id}, its vector: ${STRIP} of ${vector.length} numbers`, {
      fill: DESCRIPTION,
    }),
    text(40, 272, "Select it here: every view and the editor show this token."),
  ];
}

/** The most likely next letters at several temperatures. */
function temperaturePicture(columns: readonly (Engine.NextToken & { readonly temperature: number })[]): string[] {
  return [
    ...columns.flatMap(({ temperature, top, entropyBits }, column) => {
      const x = 40 + 155 * column;
      return [
        text(x, 52, `temperature ${temperature}`),
        ...top.flatMap(({ token, probability }, i) =>
          bar(x, 90 + 30 * i, visible(token), 90 * probability, { value: `${(100 * probability).toFixed(1)} %` }),
        ),
        text(x, 276, `${entropyBits.toFixed(2)} bits`, { fill: DESCRIPTION }),
      ];
    }),
    text(40, 304, `After “${PROMPT}”: 0 always picks the first.`),
  ];
}

/** A completion, and the probabilities at its first three steps. */
function whyPicture(
  completion: string,
  steps: readonly { readonly id: number; readonly top: readonly Engine.RankedToken[] }[],
): string[] {
  return [
    `<text x="36" y="56" font-size="17" ${CODE} fill="${FOREGROUND}" xml:space="preserve">${PROMPT}<tspan fill="var(--vscode-editorGhostText-foreground, #8889)" font-style="italic">${escaped(completion)}</tspan></text>`,
    ...steps.slice(0, 3).flatMap((step, column) => {
      const x = 36 + 158 * column;
      return [
        text(x, 104, `step ${column + 1}`, { fill: DESCRIPTION }),
        ...step.top.flatMap(({ id, token, probability }, i) => {
          const colors = id === step.id ? {} : { fill: BLUE, labelFill: DESCRIPTION };
          const value = `${(100 * probability).toFixed(1)} %`;
          return bar(x, 134 + 30 * i, visible(token), 80 * probability, { ...colors, value });
        }),
      ];
    }),
    text(36, 304, "The candidates for each token. Choose another to branch."),
  ];
}

/** Two sentences with the unexpected letters highlighted, and what the model expected instead of one of them. */
function surprisalPicture(scored: Engine.ScoredTokens, vocabulary: readonly string[]): string[] {
  const [first, second] = SURPRISING;
  const letters = [...first, ...second].map((letter, i) => {
    const isSecond = i >= first.length;
    return {
      letter,
      x: 40 + 19 * (isSecond ? i - first.length : i),
      y: isSecond ? 116 : 70,
      bits: scored.surprisal[i],
    };
  });
  const explained = letters[EXPLAINED] ?? { letter: "", x: 0, bits: 0 };
  return [
    ...letters.flatMap(({ letter, x, y, bits = 0 }) => {
      const mark = MARKS[stepOf(bits)];
      const line = `M${x} ${y + 8} h19`;
      return [
        ...(mark
          ? [
              rect(x, y - 18, 19, 26, shade(ORANGE, mark.opacity), 0),
              `<path d="${line}" stroke="${ORANGE}" ${mark.line} />`,
            ]
          : []),
        text(x + 9.5, y, letter, { anchor: "middle", size: 19, isCode: true }),
      ];
    }),
    `<path d="M${explained.x + 9.5} 128 v20" stroke="${FOREGROUND}" />`,
    rect(40, 150, 330, 116, `fill="none" stroke="${BORDER}"`, 5),
    text(56, 176, `${explained.letter}: ${explained.bits?.toFixed(2)} bits, rank ${scored.rank[EXPLAINED]}`),
    ...[0, 1, 2].flatMap((i) => {
      const at = 3 * EXPLAINED + i;
      const probability = scored.probabilities[at] ?? 0;
      const value = `${Number((100 * probability).toPrecision(2))} %`;
      const label = visible(vocabulary[scored.ids[at] ?? 0] ?? "");
      return bar(56, 204 + 24 * i, label, 180 * probability, { fill: BLUE, value, gap: 6 });
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

/** The triangular attention pattern of a head over the letters of a text. */
function attentionPicture(labels: readonly string[], pattern: readonly Numbers[]): string[] {
  const last = labels.length - 1;
  const tokenAt = (key: number) => `${labels[key]} (${key})`;
  const weights = Array.from(pattern[last] ?? [], (weight, key) => ({ weight, key })).sort(
    (a, b) => b.weight - a.weight,
  );
  return [
    text(36, 44, `Layer ${HEAD.layer}, head ${HEAD.head}: each row is a query`, { fill: DESCRIPTION }),
    ...pattern.flatMap((row, query) => [
      text(60, 78 + 25 * query, labels[query] ?? "", { anchor: "end", isCode: true }),
      ...Array.from(row, (weight, key) => {
        const paint =
          key > query ? `fill="none" stroke="${BORDER}" stroke-dasharray="3 3"` : shade(BLUE, Math.max(0.04, weight));
        return rect(70 + 25 * key, 61 + 25 * query, 23, 23, paint);
      }),
    ]),
    text(346, 78, `from “${labels[last]}” (${last})`),
    ...weights
      .slice(0, 6)
      .flatMap(({ weight, key }, i) =>
        bar(346, 110 + 30 * i, tokenAt(key), (90 * weight) / (weights[0]?.weight ?? 1), { indent: 54 }),
      ),
  ];
}

/** Tokens of a text above the norms of the residual stream, layer by layer, and the most likely next letters. */
function explorePicture(labels: readonly string[], norms: readonly Numbers[], top: readonly Ranked[]): string[] {
  const all = norms.flatMap((row) => [...row]);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return [
    text(36, 44, `Model Explorer: ${PROMPT}…`, { fill: DESCRIPTION }),
    ...labels.flatMap((label, i) => [
      i === labels.length - 1
        ? rect(36 + 30 * i, 58, 26, 26, `${shade(BLUE, 0.35)} stroke="${BLUE}"`)
        : rect(36 + 30 * i, 58, 26, 26, shade(BLUE, 0.12)),
      text(49 + 30 * i, 76, label, { anchor: "middle", isCode: true }),
    ]),
    ...norms.flatMap((row, layer) => [
      text(342, 128 + 32 * layer, layer === 0 ? "embeddings" : `layer ${layer - 1}`, { fill: DESCRIPTION }),
      ...Array.from(row, (norm, i) =>
        rect(36 + 30 * i, 108 + 32 * layer, 26, 28, shade(BLUE, Math.max(0.06, (norm - least) / (most - least)))),
      ),
    ]),
    text(36, 292, "residual stream, norm", { fill: DESCRIPTION }),
    text(446, 76, "next", { fill: DESCRIPTION }),
    ...top.flatMap(({ token, probability }, i) =>
      bar(446, 128 + 32 * i, visible(token), (36 * probability) / (top[0]?.probability ?? 1), { indent: 16 }),
    ),
  ];
}

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

/** Makes white space visible. */
const visible = (token: string): string => token.replaceAll(" ", "·").replaceAll("\n", "↵");

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
