/** The training view: one run, live; its curves, what the model writes as it learns, and the buttons that steer it. */

import "../base/theme.css";
import "./training.css";
import type { CheckpointInfo } from "../../src/protocol/engineApi";
import { applyEvent, type LiveRun, liveRun } from "../../src/protocol/runState";
import type {
  Action,
  FinderState,
  RunPhase,
  RunQueueState,
  RunSnapshot,
  TrainingEvents,
  TrainingHost,
} from "../../src/protocol/webviewApi";
import { el, fill, setAttr } from "../base/dom";
import { formatCount, formatDuration, formatParameters, formatPercent } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { t, useStrings } from "../base/strings";
import { badge, button, progressRing, registerControls } from "../base/toolkit";
import { emptyNotice } from "../parts/notices";
import { createCheckpointsView } from "./checkpoints/view";
import { createCompareView } from "./compareRuns/view";
import { actionsOf, stepOf, stepsOf } from "./curves/layout";
import { createCurvesView } from "./curves/view";
import { createPaintedView } from "./excerpt/view";
import { createFinderView } from "./finder/view";
import { createQueueView } from "./queue/view";
import { createRecordView } from "./record/view";
import { createSamplesView } from "./samples/view";
import { createTaskView } from "./task/view";

/** Reports come many times a second; the page is drawn at most this often, in milliseconds … */
const DRAW_INTERVAL = 200;
/** … and on a busy machine in at most a fifth of the time: the editor's window has its own work to do. */
const REST_PER_DRAW = 4;

registerControls();
const host = connectHost<TrainingHost, TrainingEvents>();
document.body.classList.add("page-editor");
const main = el("main", { class: "training", attrs: { "aria-label": "Training" } });
document.body.append(main);

/** What the page shows: a run, and what it is shown with. */
interface Shown {
  readonly run: LiveRun | null;
  /** Runs that are drawn beside it. */
  readonly others: readonly RunSnapshot[];
  readonly checkpoints: readonly CheckpointInfo[];
  readonly queue: RunQueueState;
  /** A search for a learning rate that goes on, or whose answer is waited for. */
  readonly finder: FinderState | null;
}

const NOTHING: Shown = { run: null, others: [], checkpoints: [], queue: { waiting: [], held: null }, finder: null };

async function start(): Promise<void> {
  let shown = NOTHING;
  let draw: (() => void) | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastDrawn = 0;
  let interval = DRAW_INTERVAL;
  const changed = (change: Partial<Shown>) => {
    shown = { ...shown, ...change };
    if (!draw || timer !== undefined) return;
    const wait = Math.max(0, interval - (performance.now() - lastDrawn));
    timer = setTimeout(() => {
      timer = undefined;
      const began = performance.now();
      draw?.();
      lastDrawn = performance.now();
      interval = Math.max(DRAW_INTERVAL, REST_PER_DRAW * (lastDrawn - began));
    }, wait);
  };
  const changedRun = (change: (run: LiveRun) => void) => {
    if (shown.run) change(shown.run);
    changed({});
  };
  host.on("run", (snapshot) =>
    changed({
      run: snapshot && liveRun(snapshot),
      // Those of another run are told next.
      ...(snapshot?.dir === shown.run?.dir ? {} : { checkpoints: [] }),
    }),
  );
  host.on("train", (event) => changedRun((run) => applyEvent(run, event)));
  host.on("state", (state) => changedRun((run) => Object.assign(run, { state })));
  host.on("record", (record) => changedRun((run) => Object.assign(run, { record })));
  host.on("compared", (runs) => changed({ others: runs }));
  host.on("checkpoints", (checkpoints) => changed({ checkpoints }));
  host.on("queue", (queue) => changed({ queue }));
  host.on("finder", (finder) => changed({ finder }));

  const { strings, run: first, hasRuns } = await host.call("ready", {});
  useStrings(strings);
  const show = mount(hasRuns);
  draw = () => show(shown);
  changed(shown.run ? {} : { run: first && liveRun(first) });
}

/** What the page remembers while it is hidden, and after the window is made again: which run, and how it is drawn. */
const REMEMBERED = {
  dir: "",
  xAxis: "step",
  logarithmic: false,
  smoothing: "usual",
  checkpoints: false,
  painted: false,
  record: false,
};

/** Builds the page and answers the function that shows a run in it. */
function mount(hasRuns: boolean): (shown: Shown) => void {
  let memory = remembered(REMEMBERED);
  const note = (change: Partial<typeof REMEMBERED>) => {
    memory = { ...memory, ...change };
    remember(memory);
  };
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
  let branchStep: number | null = null;
  const branch = button(
    "",
    () =>
      ask(branchStep === null ? host.call("act", { action: "trainModel" }) : host.call("branch", { step: branchStep })),
    "primary",
  );
  const inspect = button(t("Look inside"), () => ask(host.call("activate", { inspect: true })));
  const use = button(t("Use this model"), () => ask(host.call("activate", { inspect: false })));
  const exportProject = button(t("Export to PyTorch"), () => ask(host.call("exportProject", {})));
  const progress = el("div", {
    class: "run-progress",
    attrs: { role: "progressbar", "aria-label": t("Progress of the run"), "aria-valuemin": 0, "aria-valuemax": 100 },
  });
  const progressFill = el("div", { class: "run-progress-fill" });
  progress.append(progressFill);
  const notice = el("div", { class: "notice" });
  const figures = el("dl", { class: "figures" });
  const spoken = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  const comparison = createCompareView(
    save,
    () => ask(host.call("compare", {})),
    (dir) => ask(host.call("uncompare", { dir })),
  );
  const curves = createCurvesView(save, memory, note);
  const samples = createSamplesView();
  const task = createTaskView(save);
  const queue = createQueueView(
    (id, change) => ask(host.call("queued", { id, change })),
    () => ask(host.call("goOn", {})),
  );
  const finder = createFinderView(save, () => ask(host.call("stopFinding", {})));
  const checkpoints = createCheckpointsView(
    memory.checkpoints,
    (open) => note({ checkpoints: open }),
    (step) => ask(host.call("branch", { step })),
  );
  const painted = createPaintedView(
    save,
    memory.painted,
    (open) => note({ painted: open }),
    (step, page) => host.call("paint", { step, page }),
  );
  const record = createRecordView(save, memory.record, (open) => note({ record: open }));
  const header = el(
    "header",
    { class: "run-header" },
    el("div", { class: "run-title" }, title, phase),
    facts,
    el("div", { class: "buttons" }, pause, unpause, resume, branch, stop, inspect, use, exportProject),
    failed,
    progress,
  );
  const views = [comparison, curves, task, samples, checkpoints, painted, record];
  main.append(header, notice, spoken, queue.node, finder.node, figures, ...views.map(({ node }) => node));

  const beginnings: readonly Action[] = [
    { id: "trainModel", label: t("Train Tiny GPT") },
    ...(hasRuns ? [{ id: "openRun", label: t("Open a run…") } as const] : []),
  ];
  let saidPhase: RunPhase | null = null;
  return ({ run, others, ...more }) => {
    queue.show(more.queue);
    finder.show(more.finder);
    for (const part of [header, figures, ...views.map(({ node }) => node)]) part.hidden = run === null;
    if (!run) {
      fill(
        notice,
        el("h1", {}, t("Training")),
        emptyNotice({ reason: t("No run is shown."), actions: beginnings }, (action) =>
          ask(host.call("act", { action })),
        ),
      );
      return;
    }
    if (run.dir !== memory.dir) note({ dir: run.dir });
    const { state } = run;
    title.textContent = run.name;
    phase.textContent = phaseName(state.phase);
    facts.textContent = factsOf(run);

    const actions = actionsOf(run);
    pause.hidden = !actions.pause;
    unpause.hidden = !actions.unpause;
    stop.hidden = !actions.stop;
    resume.hidden = !actions.resume;
    inspect.hidden = use.hidden = exportProject.hidden = !actions.use;
    if (actions.resume) resume.textContent = t("Resume from step {0}", formatCount(run.checkpointStep ?? 0));

    branch.hidden = !actions.branch;
    // What was saved before the first step is nothing to go on from.
    branchStep = more.checkpoints.findLast(({ step }) => step > 0)?.step ?? null;
    if (actions.branch) {
      branch.textContent =
        branchStep === null ? t("Train again…") : t("Branch from step {0}…", formatCount(branchStep));
    }

    const steps = stepsOf(run);
    const done = steps ? stepOf(run) / steps : (run.prepared ?? 0);
    progressFill.style.width = `${100 * Math.min(1, done)}%`;
    setAttr(progress, "aria-valuenow", Math.round(100 * Math.min(1, done)));
    progress.classList.toggle("paused", state.phase === "paused" || state.phase === "stopped");

    fill(notice, ...noticeOf(run));
    const hasSteps = run.reports.length > 0;
    for (const part of [figures, curves.node, comparison.node]) part.hidden = !hasSteps;
    samples.node.hidden = run.samples.length === 0 && !run.started;
    if (hasSteps) {
      fill(figures, ...figuresOf(run));
      curves.show(run, others);
      comparison.show(run, others);
    }
    task.show(run);
    samples.show(run);
    checkpoints.show(more.checkpoints);
    painted.show(run, more.checkpoints);
    // A task makes its own examples.
    painted.node.hidden = run.record?.facts["data.kind"] === "task" || run.checkpointStep === null;
    record.show(run);
    if (state.phase !== saidPhase) spoken.textContent = saidOf(state.phase);
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

/** What a screen reader says of a phase. */
function saidOf(phase: RunPhase): string {
  const sentences: { readonly [P in RunPhase]: string } = {
    preparing: t("The run is being prepared."),
    running: t("The run goes on."),
    paused: t("The run is paused."),
    stopping: t("The run is being stopped."),
    stopped: t("The run was stopped."),
    done: t("The run is done."),
    failed: t("The run failed."),
  };
  return sentences[phase];
}

function factsOf({ preset, started, record }: RunSnapshot): string {
  const { settings, facts } = record ?? { settings: {}, facts: {} };
  const parameters = started?.model.parameters ?? facts.parameters;
  const [layers, heads, width] = started
    ? [started.model.config.nLayers, started.model.config.nHeads, started.model.config.dModel]
    : [settings["model.nLayers"], settings["model.nHeads"], settings["model.dModel"]];
  const { device, deviceReason } = started ?? facts;
  return [
    preset && t("preset {0}", preset),
    typeof parameters === "number" && t("{0} parameters", formatParameters(parameters)),
    layers && heads && width && t("{0} layers, {1} heads, width {2}", String(layers), String(heads), String(width)),
    device && [device, deviceReason].filter(Boolean).join(": "),
  ]
    .filter(Boolean)
    .join(" · ");
}

function noticeOf({ state: { phase, message }, prepared, warnings }: RunSnapshot): HTMLElement[] {
  if (phase === "failed")
    return [el("div", { class: "problem", attrs: { role: "alert" } }, message ?? t("The run failed."))];
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

function figuresOf(run: RunSnapshot): HTMLElement[] {
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
  const steps = stepsOf(run);
  return [
    figure(t("Step"), formatCount(stepOf(run)), steps ? t("of {0}", formatCount(steps)) : ""),
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

void start();
