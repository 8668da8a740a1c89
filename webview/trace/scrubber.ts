/** A slider over the checkpoints of a training run; the page shows the trace of the chosen one. */

import "../parts/slider.css";
import "./scrubber.css";
import type { CheckpointsShown } from "../../src/protocol/webviewApi";
import { el, setAttr } from "../base/dom";
import { formatCount, formatPercent } from "../base/format";
import { t } from "../base/strings";

export interface Scrubber {
  readonly node: HTMLElement;
  /** Shows other checkpoints or another step; a slider that is being moved keeps its position. */
  readonly show: (shown: CheckpointsShown) => void;
}

/** Least time that playback shows a checkpoint, in milliseconds. */
const PACE = 450;

/** `scrub` shows the checkpoint of a step. While it runs, only the last move is remembered. */
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
  const label = el("p", { class: "scrubber-said small number", attrs: { "aria-hidden": "true" } });
  const node = el(
    "div",
    { class: "scrubber", attrs: { role: "group", "aria-label": t("Checkpoints") } },
    play,
    slider,
    label,
  );
  node.hidden = true;

  /** Describes the checkpoint of the slider's position. */
  const describe = () => {
    const checkpoint = checkpoints[Number(slider.value)];
    if (!checkpoint) return;
    const text = describeCheckpoint(checkpoint);
    label.textContent = label.title = text;
    setAttr(slider, "aria-valuetext", text);
    setAttr(play, "aria-label", playing ? t("Stop") : t("Play checkpoints"));
    play.title = playing ? t("Stop") : t("Play checkpoints");
    icon.classList.toggle("playing", playing);
  };

  /** Moves to a checkpoint; resolves when it or a later choice is shown. */
  const move = (index: number): Promise<void> => {
    slider.value = String(index);
    wanted = checkpoints[index]?.step ?? null;
    describe();
    moving ??= follow().finally(() => {
      moving = null;
    });
    return moving;
  };

  const follow = async () => {
    while (wanted !== null) {
      const step = wanted;
      wanted = null;
      // The page shows the error of a checkpoint in place of its views.
      await scrub(step).catch(() => undefined);
    }
  };

  const playOn = async () => {
    playing = true;
    const last = () => checkpoints.length - 1;
    if (Number(slider.value) >= last()) void move(0);
    describe();
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
    describe();
  };

  return {
    node,
    show(shown) {
      checkpoints = shown.checkpoints;
      node.hidden = checkpoints.length < 2;
      if (node.hidden) return stop();
      // Playback moves, so it is hidden if the user prefers reduced motion.
      play.hidden = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      setAttr(slider, "max", checkpoints.length - 1);
      slider.value = String(indexOf(shown, wanted));
      describe();
    },
  };
}

/** Index of the requested checkpoint, or of the one that is shown; a step between two belongs to the earlier one. */
function indexOf({ checkpoints, at }: CheckpointsShown, wanted: number | null): number {
  const step = wanted ?? at;
  return Math.max(
    0,
    checkpoints.findLastIndex((checkpoint) => checkpoint.step <= step),
  );
}

/** Reads as `step 1,500 · loss 1.832 · validation 1.910`. */
function describeCheckpoint({ step, loss, valLoss, accuracy }: CheckpointsShown["checkpoints"][number]): string {
  const parts = [
    t("step {0}", formatCount(step)),
    loss !== null && t("loss {0}", loss.toFixed(3)),
    valLoss !== null && t("validation {0}", valLoss.toFixed(3)),
    accuracy !== null && t("accuracy {0}", formatPercent(accuracy)),
  ];
  return parts.filter((part) => part !== false).join(" · ");
}
