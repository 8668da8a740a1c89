/** The training view: one run, live; its curves, what the model writes as it learns, and the buttons that steer it. */

import "./theme.css";
import "./training.css";
import type { RunPhase, TrainingEvents, TrainingHost } from "../src/protocol/webviewApi";
import { el, fill, setAttr } from "./dom";
import { formatCount, formatDuration, formatParameters, formatPercent } from "./format";
import { connectHost } from "./host";
import { t, useStrings } from "./strings";
import { badge, button, progressRing, registerControls } from "./toolkit";
import { actionsOf, afterEvent, afterState, fromSnapshot, type Run, stepOf } from "./views/curves/layout";
import { createCurvesView } from "./views/curves/view";
import { createSamplesView } from "./views/samples/view";

/** Reports come many times a second; the page is drawn at most this often. */
const DRAW_INTERVAL = 200;

registerControls();
const host = connectHost<TrainingHost, TrainingEvents>();
document.body.classList.add("page-editor");
const main = el("main", { class: "training", attrs: { "aria-label": "Training" } });
document.body.append(main);
void start();

async function start(): Promise<void> {
  let run: Run | null = null;
  let draw: (() => void) | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastDrawn = 0;
  const changed = (next: Run | null) => {
    run = next;
    if (!draw || timer !== undefined) return;
    const wait = Math.max(0, DRAW_INTERVAL - (performance.now() - lastDrawn));
    timer = setTimeout(() => {
      timer = undefined;
      lastDrawn = performance.now();
      draw?.();
    }, wait);
  };
  host.on("run", (snapshot) => changed(fromSnapshot(snapshot)));
  host.on("train", (event) => run && changed(afterEvent(run, event)));
  host.on("state", (state) => run && changed(afterState(run, state)));

  const { strings, run: first } = await host.call("ready", {});
  useStrings(strings);
  const show = mount();
  draw = () => show(run);
  changed(run ?? (first && fromSnapshot(first)));
}

/** Builds the page and answers the function that shows a run in it. */
function mount(): (run: Run | null) => void {
  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const failed = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const ask = (answer: Promise<null>) => {
    failed.textContent = "";
    answer.catch((error: Error) => {
      failed.textContent = error.message;
    });
  };

  const title = el("h1", {}, t("Training"));
  const phase = badge("");
  const facts = el("p", { class: "muted facts" });
  const pause = button(t("Pause"), () => ask(host.call("pause", { paused: true })), "primary");
  const unpause = button(t("Go on"), () => ask(host.call("pause", { paused: false })), "primary");
  const stop = button(t("Stop"), () => ask(host.call("stop", {})));
  const resume = button(t("Resume"), () => ask(host.call("resume", {})), "primary");
  const inspect = button(t("Look inside"), () => ask(host.call("activate", { inspect: true })));
  const use = button(t("Use this model"), () => ask(host.call("activate", { inspect: false })));
  const progress = el("div", {
    class: "run-progress",
    attrs: { role: "progressbar", "aria-label": t("Progress of the run"), "aria-valuemin": 0, "aria-valuemax": 100 },
  });
  const progressFill = el("div", { class: "run-progress-fill" });
  progress.append(progressFill);
  const notice = el("div", { class: "notice" });
  const figures = el("dl", { class: "figures" });
  const spoken = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  const curves = createCurvesView(save);
  const samples = createSamplesView();
  const header = el(
    "header",
    { class: "run-header" },
    el("div", { class: "run-title" }, title, phase),
    facts,
    el("div", { class: "buttons" }, pause, unpause, resume, stop, inspect, use),
    failed,
    progress,
  );
  main.append(header, notice, spoken, figures, curves.node, samples.node);

  let saidPhase: RunPhase | null = null;
  return (run) => {
    for (const part of [header, figures, curves.node, samples.node]) part.hidden = run === null;
    if (!run) {
      fill(
        notice,
        el("h1", {}, t("Training")),
        el("p", { class: "muted" }, t("No run is shown. Start one with “Decoder Lab: Train Tiny GPT”.")),
      );
      return;
    }
    const { state, started } = run;
    title.textContent = run.name;
    phase.textContent = phaseName(state.phase);
    fill(facts, ...factsOf(run));

    const actions = actionsOf(run);
    pause.hidden = !actions.pause;
    unpause.hidden = !actions.unpause;
    stop.hidden = !actions.stop;
    resume.hidden = !actions.resume;
    inspect.hidden = use.hidden = !actions.use;
    if (actions.resume) resume.textContent = t("Resume from step {0}", formatCount(run.checkpointStep ?? 0));

    const done = started ? stepOf(run) / started.train.steps : (run.prepared ?? 0);
    progressFill.style.width = `${100 * Math.min(1, done)}%`;
    setAttr(progress, "aria-valuenow", Math.round(100 * Math.min(1, done)));
    progress.classList.toggle("paused", state.phase === "paused" || state.phase === "stopped");

    fill(notice, ...noticeOf(run));
    const hasSteps = run.reports.length > 0;
    figures.hidden = !hasSteps;
    curves.node.hidden = !hasSteps;
    samples.node.hidden = !started;
    if (hasSteps) {
      fill(figures, ...figuresOf(run));
      curves.show(run);
    }
    samples.show(run);
    if (state.phase !== saidPhase) spoken.textContent = t("The run is {0}.", phaseName(state.phase));
    saidPhase = state.phase;
  };
}

function phaseName(phase: RunPhase): string {
  const names: { readonly [P in RunPhase]: string } = {
    preparing: t("preparing"),
    running: t("running"),
    paused: t("paused"),
    stopping: t("stopping"),
    stopped: t("stopped"),
    done: t("done"),
    failed: t("failed"),
  };
  return names[phase];
}

function factsOf({ preset, started }: Run): (string | HTMLElement)[] {
  if (!started) return [t("preset {0}", preset)];
  const { model, device, deviceReason } = started;
  const { nLayers, nHeads, dModel } = model.config;
  return [
    [
      t("preset {0}", preset),
      t("{0} parameters", formatParameters(model.parameters)),
      t("{0} layers, {1} heads, width {2}", nLayers, nHeads, dModel),
      `${device}: ${deviceReason}`,
    ].join(" · "),
  ];
}

function noticeOf({ state: { phase, message }, prepared }: Run): HTMLElement[] {
  if (phase === "failed")
    return [el("div", { class: "problem", attrs: { role: "alert" } }, message ?? t("The run failed."))];
  if (phase !== "preparing") return message ? [el("p", { class: "muted" }, message)] : [];
  const share = prepared === null ? "" : ` ${formatPercent(prepared)}`;
  return [
    el(
      "div",
      { class: "preparing" },
      progressRing(t("Preparing")),
      el("p", {}, `${message ?? t("Preparing…")}${share}`),
    ),
  ];
}

function figuresOf(run: Run): HTMLElement[] {
  const last = run.reports.at(-1);
  const best = run.evals.reduce<number | null>((low, { loss }) => (low === null || loss < low ? loss : low), null);
  const eval_ = run.evals.at(-1);
  const figure = (name: string, value: string, note = "") =>
    el(
      "div",
      { class: "figure" },
      el("dt", {}, name),
      el("dd", {}, el("span", { class: "figure-value" }, value), note && el("span", { class: "figure-note" }, note)),
    );
  const { secondsLeft, phase } = run.state;
  return [
    figure(t("Step"), formatCount(stepOf(run)), run.started ? t("of {0}", formatCount(run.started.train.steps)) : ""),
    figure(t("Training loss"), last ? last.loss.toFixed(3) : "–"),
    figure(
      t("Validation loss"),
      eval_ ? eval_.loss.toFixed(3) : "–",
      best === null ? "" : t("best {0}", best.toFixed(3)),
    ),
    figure(t("Perplexity"), eval_ ? eval_.perplexity.toPrecision(4) : "–"),
    ...(eval_?.accuracy === undefined ? [] : [figure(t("Accuracy"), `${(100 * eval_.accuracy).toFixed(1)} %`)]),
    figure(t("Speed"), last ? formatCount(Math.round(last.tokensPerSecond)) : "–", t("tokens/s")),
    ...(phase === "running" && secondsLeft !== null ? [figure(t("Time left"), formatDuration(secondsLeft))] : []),
    ...(run.checkpointStep === null ? [] : [figure(t("Checkpoint"), formatCount(run.checkpointStep))]),
  ];
}
