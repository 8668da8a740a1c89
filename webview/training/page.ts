/** The training view: one run, live, with its curves and samples, other runs to compare with, and the queue. */

import "../base/theme.css";
import "./training.css";
import { liveRun } from "../../src/protocol/runState";
import type { Action, RunPhase, RunSnapshot, TrainingEvents, TrainingHost } from "../../src/protocol/webviewApi";
import { el, fill } from "../base/dom";
import { formatPercent } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { t, useStrings } from "../base/strings";
import { progressRing, registerControls } from "../base/toolkit";
import { emptyNotice } from "../parts/notices";
import { createCheckpointsView } from "./checkpoints/view";
import { createCompareView } from "./compareRuns/view";
import { createCurvesView } from "./curves/view";
import { createExcerptView } from "./excerpt/view";
import { createFinderView } from "./finder/view";
import { createHeaderView } from "./header/view";
import { createQueueView } from "./queue/view";
import { createRecordView } from "./record/view";
import { type Figure, figuresOf, phaseAnnouncement } from "./run";
import { createRunsView } from "./runs/view";
import { createSamplesView } from "./samples/view";
import { followHost, type TrainingState } from "./state";
import { createTaskView } from "./task/view";

/** Milliseconds between two drawings at least; reports come many times a second. */
const DRAW_INTERVAL = 200;
/** Drawing takes at most a fifth of the time, to leave the editor's window responsive on a busy machine. */
const REST_PER_DRAW = 4;

registerControls();
const host = connectHost<TrainingHost, TrainingEvents>();
document.body.classList.add("page-editor");
const main = el("main", { class: "training", attrs: { "aria-label": "Training" } });
document.body.append(main);

async function start(): Promise<void> {
  let draw: (() => void) | null = null;
  const schedule = throttled(() => draw?.());
  const state = followHost(host, () => {
    if (draw) schedule();
  });
  const { strings, run, hasRuns } = await host.call("ready", {});
  useStrings(strings);
  const show = mount(hasRuns);
  draw = () => show(state);
  if (run) state.run ??= liveRun(run);
  schedule();
}

/** Returns a function that requests a drawing; requests are merged so that drawing stays rare. */
function throttled(draw: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastDrawn = 0;
  let interval = DRAW_INTERVAL;
  return () => {
    if (timer !== undefined) return;
    const wait = Math.max(0, interval - (performance.now() - lastDrawn));
    timer = setTimeout(() => {
      timer = undefined;
      const started = performance.now();
      draw();
      lastDrawn = performance.now();
      interval = Math.max(DRAW_INTERVAL, REST_PER_DRAW * (lastDrawn - started));
    }, wait);
  };
}

/** The page's state that survives hiding and a window reload: the run, and the choices of its views. */
const REMEMBERED = {
  dir: "",
  xAxis: "step",
  logarithmic: false,
  smoothing: 0.9 as number,
  checkpoints: false,
  painted: false,
  record: false,
  runs: true as boolean,
};

/** Builds the page and returns the function that shows a state in it. */
function mount(hasRuns: boolean): (state: TrainingState) => void {
  let memory = remembered(REMEMBERED);
  const note = (change: Partial<typeof REMEMBERED>) => {
    memory = { ...memory, ...change };
    remember(memory);
  };
  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const request = (answer: Promise<null>) => {
    problem.textContent = "";
    answer.catch((error: Error) => {
      problem.textContent = error.message;
    });
  };

  const header = createHeaderView(host, request);
  const notice = el("div", { class: "notice" });
  const announcement = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  const figures = el("dl", { class: "figures" });
  const compare = (dirs: readonly string[]) => request(host.call("compare", { dirs }));
  let compared: readonly string[] = [];
  const comparison = createCompareView(save, (dir) => compare(compared.filter((each) => each !== dir)));
  const runs = createRunsView(save, memory.runs, (open) => note({ runs: open }), {
    open: (dir) => request(host.call("openRun", { dir })),
    compare,
  });
  const curves = createCurvesView(save, memory, note);
  const samples = createSamplesView();
  const task = createTaskView(save);
  const queue = createQueueView(
    (id, change) => request(host.call("changeQueue", { id, change })),
    () => request(host.call("resumeQueue", {})),
  );
  const finder = createFinderView(save, () => request(host.call("stopFinding", {})));
  const checkpoints = createCheckpointsView(
    memory.checkpoints,
    (open) => note({ checkpoints: open }),
    (step) => request(host.call("branch", { step })),
  );
  const excerpt = createExcerptView(
    save,
    memory.painted,
    (open) => note({ painted: open }),
    (step, page) => host.call("paint", { step, page }),
  );
  const record = createRecordView(save, memory.record, (open) => note({ record: open }));
  const first = el("div", { class: "loss-row" }, curves.loss, samples.node);
  const ofSteps = [figures, curves.choices, curves.loss, curves.others];
  const below = [task, checkpoints, excerpt, record].map(({ node }) => node);
  const ofRun = [header.node, first, comparison.node, ...ofSteps, ...below];
  main.append(header.node, problem, notice, announcement, queue.node, finder.node, figures);
  main.append(curves.choices, first, comparison.node, runs.node, curves.others, ...below);

  let announced: RunPhase | null = null;
  return (state) => {
    const { run } = state;
    queue.show(state.queue);
    finder.show(state.finder);
    for (const part of ofRun) part.hidden = run === null;
    runs.show(
      state.runs,
      run?.dir ?? "",
      state.compared.map(({ dir }) => dir),
    );
    if (!run) {
      const actions: readonly Action[] = [
        { id: "trainModel", label: t("Train Tiny GPT") },
        ...(hasRuns ? [{ id: "openRun", label: t("Open a run…") } as const] : []),
      ];
      const act = (action: Action["id"]) => request(host.call("act", { action }));
      fill(notice, el("h1", {}, t("Training")), emptyNotice({ reason: t("No training run is open."), actions }, act));
      return;
    }
    if (run.dir !== memory.dir) note({ dir: run.dir });
    header.show(run, state.checkpoints);
    fill(notice, ...noticesOf(run));
    const hasSteps = run.reports.length > 0;
    for (const part of ofSteps) part.hidden = !hasSteps;
    samples.node.hidden = run.samples.length === 0 && !run.started;
    fill(figures, ...(hasSteps ? figuresOf(run).map(drawFigure) : []));
    if (hasSteps) {
      curves.show(run, state.compared);
    }
    compared = state.compared.map(({ dir }) => dir);
    comparison.show(run, state.compared);
    task.show(run);
    samples.show(run);
    checkpoints.show(state.checkpoints);
    excerpt.show(run, state.checkpoints);
    // A task generates its own examples.
    excerpt.node.hidden = run.record?.facts["data.kind"] === "task" || run.checkpointStep === null;
    record.show(run);
    const { phase } = run.state;
    if (phase !== announced) announcement.textContent = phaseAnnouncement(phase);
    announced = phase;
  };
}

/** The error, warning or preparation of a run. */
function noticesOf({ state: { phase, message }, prepared, warnings }: RunSnapshot): HTMLElement[] {
  if (phase === "failed")
    return [el("div", { class: "problem", attrs: { role: "alert" } }, message ?? t("Training failed."))];
  if (phase !== "preparing") {
    const warning = warnings.at(-1);
    return [
      ...(message ? [el("p", { class: "muted" }, message)] : []),
      ...(warning ? [el("div", { class: "problem warning" }, warning.message)] : []),
    ];
  }
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

const drawFigure = ({ name, value, note }: Figure): HTMLElement =>
  el(
    "div",
    { class: "figure" },
    el("dt", {}, name),
    el("dd", {}, el("span", { class: "figure-value" }, value), note && el("span", { class: "figure-note" }, note)),
  );

void start();
