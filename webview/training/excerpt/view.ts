/** A page of the training text, each token colored by its surprisal under a checkpoint. */

import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import type { PaintedText, RunSnapshot } from "../../../src/protocol/webviewApi";
import { el, fill } from "../../base/dom";
import { formatCount, formatPercent } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { button, dropdown, progressRing } from "../../base/toolkit";
import { contrast, sequentialScale, toCss } from "../../charts/colorScale";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createSection } from "../../parts/section";
import { tokenLabel, visibleText } from "../../trace/tokens/layout";
import { meanBits, type Piece, paintedPieces } from "./layout";

export interface ExcerptView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot, checkpoints: readonly CheckpointInfo[]) => void;
}

/** Surprisal of the strongest color, in bits: probability 1/256. */
const MOST_BITS = 8;
const NEWEST = "newest";

export function createExcerptView(
  save: Save,
  open: boolean,
  toggled: (open: boolean) => void,
  paint: (step: number | null, page: number) => Promise<PaintedText>,
): ExcerptView {
  let painted: PaintedText | null = null;
  let pieces: readonly Piece[] = [];
  let [dir, newest, step, page] = ["", -1, null as number | null, 0];
  /** The number of the last request: answers to older ones are dropped. */
  let lastRequest = 0;
  let cursor = 0;

  const section = createSection(t("Loss on the training text"), open, (now) => {
    toggled(now);
    if (now) void load();
  });
  const steps = dropdown(t("Checkpoint"), (value) => {
    step = value === NEWEST ? null : Number(value);
    void load();
  });
  const turn = (by: number) => {
    page = Math.max(0, page + by);
    void load();
  };
  const back = button(t("Previous page"), () => turn(-1));
  const next = button(t("Next page"), () => turn(1));
  const location = el("span", { class: "muted", attrs: { role: "status" } });
  const text = el("p", {
    class: "painted",
    attrs: {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "colored text",
      "aria-label": t("Loss of each token"),
    },
  });
  const readout = el("p", { class: "readout small", attrs: { role: "status" } });
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const busy = el("span", {}, progressRing(t("Reading")));
  const data = createDataBar(
    {
      fileName: () => `loss-by-token-step${painted?.step ?? 0}-page${1 + (painted?.page ?? 0)}`,
      table: () => painted && tokenTable(painted),
    },
    save,
  );
  section.body.append(
    el("div", { class: "panel-head" }, steps.node, back, next, location, busy),
    problem,
    text,
    readout,
    data.node,
  );
  busy.hidden = true;

  async function load(): Promise<void> {
    if (!section.isOpen() || dir === "") return;
    const request = ++lastRequest;
    busy.hidden = false;
    problem.textContent = "";
    try {
      const answer = await paint(step, page);
      if (request !== lastRequest) return;
      painted = answer;
      page = answer.page;
    } catch (error) {
      if (request !== lastRequest) return;
      painted = null;
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
    busy.hidden = true;
    cursor = 0;
    draw();
  }

  const draw = () => {
    for (const part of [text, readout, data.node, back, next, location]) part.hidden = painted === null;
    if (!painted) return;
    pieces = paintedPieces(painted.text, painted.surprisal);
    back.disabled = painted.page === 0;
    next.disabled = painted.page >= painted.pages - 1;
    const mean = meanBits(painted.surprisal);
    location.textContent = [
      t("{0}, page {1} of {2}", painted.source, formatCount(painted.page + 1), formatCount(painted.pages)),
      t("step {0}", formatCount(painted.step)),
      mean === null ? "" : t("{0} bits per token (loss {1})", mean.toFixed(3), (mean * Math.LN2).toFixed(3)),
    ]
      .filter(Boolean)
      .join(" · ");
    const theme = readTheme();
    const scale = sequentialScale(MOST_BITS, theme);
    fill(
      text,
      ...pieces.map((piece, i) => {
        const span = el("span", { class: "piece", attrs: { "data-piece": i } }, piece.text);
        if (piece.bits === null) return span;
        const color = scale.colorAt(piece.bits);
        span.style.backgroundColor = toCss(color);
        const ink =
          contrast(theme.foreground, color) >= contrast(theme.background, color) ? theme.foreground : theme.background;
        span.style.color = toCss(ink);
        return span;
      }),
    );
    point(null);
    data.update();
  };

  const point = (at: number | null) => {
    text.querySelector(".pointed")?.classList.remove("pointed");
    const piece = at === null ? undefined : pieces[at];
    if (at !== null && piece) {
      cursor = at;
      text.children[at]?.classList.add("pointed");
    }
    readout.textContent =
      painted && piece
        ? describe(painted, piece)
        : t(
            "Stronger colors mean higher surprisal, up to {0} bits. Point at a token, or use the arrow keys.",
            MOST_BITS,
          );
  };
  text.addEventListener("pointermove", ({ target }) => {
    const index = target instanceof HTMLElement ? target.dataset.piece : undefined;
    if (index !== undefined) point(Number(index));
  });
  text.addEventListener("pointerleave", () => point(null));
  text.addEventListener("keydown", (event) => {
    const moves: Record<string, number> = {
      ArrowLeft: cursor - 1,
      ArrowRight: cursor + 1,
      Home: 0,
      End: pieces.length - 1,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(Math.max(0, Math.min(pieces.length - 1, to)));
  });
  onThemeChange(draw);
  draw();

  return {
    node: section.node,
    show(run, checkpoints) {
      const last = checkpoints.at(-1)?.step ?? -1;
      const isOther = run.dir !== dir;
      if (isOther) [dir, step, page, painted] = [run.dir, null, 0, null];
      if (isOther || last !== newest) {
        newest = last;
        steps.update(
          [
            { value: NEWEST, label: t("newest checkpoint") },
            ...[...checkpoints]
              .reverse()
              .map((each) => ({ value: String(each.step), label: t("step {0}", formatCount(each.step)) })),
          ],
          step === null ? NEWEST : String(step),
        );
        // A chosen checkpoint does not change.
        if (step === null) void load();
      }
    },
  };
}

/** Surprisal, probability and rank of a piece's tokens, and the most likely alternatives. */
function describe({ surprisal }: PaintedText, { tokens, bits }: Piece): string {
  const [index] = tokens;
  if (index === undefined) return t("not part of a token");
  const names = tokens
    .flatMap((i) => surprisal.tokens[i] ?? [])
    .map((token) => `“${tokenLabel(token)}”`)
    .join(" ");
  if (bits === null) return t("{0}: the first token has no surprisal", names);
  const { count, ids, probabilities } = surprisal.alternatives;
  const expected = Array.from({ length: count }, (_, i) => {
    const id = ids[index * count + i] as number;
    return `“${visibleText(surprisal.texts[id] ?? "")}” ${formatPercent(probabilities[index * count + i] as number)}`;
  });
  return t(
    "{0}: {1} bits, probability {2}, rank {3}. Expected: {4}",
    names,
    bits.toFixed(3),
    formatPercent(2 ** -bits),
    formatCount(surprisal.rank[index] as number),
    expected.join(", "),
  );
}

function tokenTable({ surprisal }: PaintedText) {
  const { tokens, entropy, rank } = surprisal;
  return {
    title: t("Loss of each token"),
    columns: ["token", "id", "start", "bits", "nats", "rank", "entropy (bits)"],
    rows: tokens.length,
    row: (i: number) => {
      const bits = surprisal.surprisal[i] as number;
      const losses = Number.isNaN(bits) ? ["", ""] : [bits, bits * Math.LN2];
      const { token, id, start } = tokens[i] as (typeof tokens)[number];
      return [token, id, start, ...losses, rank[i] as number, entropy[i] as number];
    },
  };
}
