/** A slider over the checkpoints of a run: what is shown beside it is the model as it was at that step. */

import "../parts/slider.css";
import "./scrubber.css";
import type { CheckpointsShown } from "../../src/protocol/webviewApi";
import { el, setAttr } from "../base/dom";
import { formatCount, formatPercent } from "../base/format";
import { t } from "../base/strings";

export interface Scrubber {
  readonly node: HTMLElement;
  /** Other checkpoints, or another step; a slider that is being moved stays where it is. */
  readonly show: (shown: CheckpointsShown) => void;
}

/** While it plays, a step is seen for at least this long. */
const PACE = 450;

/** `scrub` shows the model at a step, and answers when it has; meanwhile only the last move is remembered. */
export function createScrubber(scrub: (step: number) => Promise<unknown>): Scrubber {
  let checkpoints: CheckpointsShown["checkpoints"] = [];
  let wanted: number | null = null;
  let moving: Promise<void> | null = null;
  let playing = false;

  const slider = el("input", {
    class: "slider scrubber-slider",
    attrs: { type: "range", min: 0, step: 1, "aria-label": t("Checkpoint") },
    on: {
      input: () => {
        playing = false;
        move(Number(slider.value));
      },
    },
  });
  const play = el("button", {
    class: "scrubber-play",
    attrs: { type: "button" },
    on: { click: () => (playing ? stop() : void playOn()) },
  });
  const icon = el("span", { class: "scrubber-icon", attrs: { "aria-hidden": "true" } });
  play.append(icon);
  const said = el("p", { class: "scrubber-said small number", attrs: { "aria-hidden": "true" } });
  const node = el(
    "div",
    { class: "scrubber", attrs: { role: "group", "aria-label": t("Checkpoints") } },
    play,
    slider,
    said,
  );
  node.hidden = true;

  /** What the slider stands at. */
  const say = () => {
    const checkpoint = checkpoints[Number(slider.value)];
    if (!checkpoint) return;
    const text = describeCheckpoint(checkpoint);
    said.textContent = text;
    setAttr(slider, "aria-valuetext", text);
    setAttr(play, "aria-label", playing ? t("Stop") : t("Play the checkpoints"));
    play.title = playing ? t("Stop") : t("Play the checkpoints");
    icon.classList.toggle("playing", playing);
  };

  /** Moves to a checkpoint; answers when it or a later choice is shown. */
  const move = (index: number): Promise<void> => {
    slider.value = String(index);
    wanted = checkpoints[index]?.step ?? null;
    say();
    moving ??= follow().finally(() => {
      moving = null;
    });
    return moving;
  };

  const follow = async () => {
    while (wanted !== null) {
      const step = wanted;
      wanted = null;
      // What is wrong with a checkpoint, the page says in place of its pictures.
      await scrub(step).catch(() => undefined);
    }
  };

  const playOn = async () => {
    playing = true;
    const last = () => checkpoints.length - 1;
    if (Number(slider.value) >= last()) void move(0);
    say();
    await moving;
    while (playing) {
      await new Promise((resolve) => setTimeout(resolve, PACE));
      if (!playing || !node.isConnected) break;
      await move(Number(slider.value) + 1);
      if (Number(slider.value) >= last()) break;
    }
    stop();
  };

  const stop = () => {
    playing = false;
    say();
  };

  return {
    node,
    show(shown) {
      checkpoints = shown.checkpoints;
      node.hidden = checkpoints.length < 2;
      if (node.hidden) return stop();
      // Who asked for less motion moves by hand.
      play.hidden = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      setAttr(slider, "max", checkpoints.length - 1);
      slider.value = String(indexOf(shown, wanted));
      say();
    },
  };
}

/** The checkpoint that is asked for, or that is shown; of a step between two, the earlier. */
function indexOf({ checkpoints, at }: CheckpointsShown, wanted: number | null): number {
  const step = wanted ?? at;
  return Math.max(
    0,
    checkpoints.findLastIndex((checkpoint) => checkpoint.step <= step),
  );
}

/** Reads as `step 1,500 · loss 1.832 · validation 1.910`. */
export function describeCheckpoint({ step, loss, valLoss, accuracy }: CheckpointsShown["checkpoints"][number]): string {
  const parts = [
    t("step {0}", formatCount(step)),
    loss !== null && t("loss {0}", loss.toFixed(3)),
    valLoss !== null && t("validation {0}", valLoss.toFixed(3)),
    accuracy !== null && t("accuracy {0}", formatPercent(accuracy)),
  ];
  return parts.filter((part) => part !== false).join(" · ");
}
