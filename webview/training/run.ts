/** Facts about a run, derived from its state for display. */

import type { Facts, RunPhase, RunSnapshot } from "../../src/protocol/webviewApi";
import { deviceName, formatCount, formatDuration, formatParameters } from "../base/format";
import { t } from "../base/strings";

/** The step that the run has reached. */
export const stepOf = (run: RunSnapshot): number => run.reports.at(-1)?.step ?? run.checkpointStep ?? 0;

/** The number of steps that the run was started with; null if unknown. */
export function stepsOf({ started, record }: RunSnapshot): number | null {
  const steps = started?.train.steps ?? record?.facts.steps;
  return typeof steps === "number" ? steps : null;
}

/** Settings by dotted name: from the run's record or, before that is written, from the start of the run. */
export function settingsOf({ record, started }: RunSnapshot): Facts {
  if (record) return record.settings;
  if (!started) return {};
  const { steps, batchSize, blockSize, seed } = started.train;
  return { "train.steps": steps, "train.batchSize": batchSize, "train.blockSize": blockSize, "train.seed": seed };
}

/** Tokens per optimizer step; null if the settings do not say. */
export function tokensPerStep(run: RunSnapshot): number | null {
  const settings = settingsOf(run);
  const [batch, block] = [settings["train.batchSize"], settings["train.blockSize"]];
  const batches = settings["train.gradientAccumulation"] ?? 1;
  if (typeof batch !== "number" || typeof block !== "number" || typeof batches !== "number") return null;
  return batch * block * batches;
}

/** The lowest validation loss; null before the first evaluation. A long run keeps only some of its evaluations. */
export function bestLossOf({ evals, record }: RunSnapshot): number | null {
  const recorded = record?.facts.bestLoss;
  const losses = [...evals.map(({ loss }) => loss), ...(typeof recorded === "number" ? [recorded] : [])];
  return losses.length > 0 ? losses.reduce((low, loss) => Math.min(low, loss)) : null;
}

export function parametersOf({ started, record }: RunSnapshot): number | null {
  const parameters = started?.model.parameters ?? record?.facts.parameters;
  return typeof parameters === "number" ? parameters : null;
}

/** The buttons that are available in a state. */
export interface RunActions {
  readonly pause: boolean;
  /** Continues a paused run. */
  readonly unpause: boolean;
  readonly stop: boolean;
  /** Continues an ended run from its last checkpoint. */
  readonly resume: boolean;
  /** Offered instead of `resume` after divergence: with the same settings, the run would diverge again. */
  readonly branch: boolean;
  /** Activates, inspects or exports the model. */
  readonly use: boolean;
}

export function actionsOf({ state: { phase, diverged = false }, checkpointStep }: RunSnapshot): RunActions {
  const ended = phase === "stopped" || phase === "done" || phase === "failed";
  return {
    pause: phase === "running",
    unpause: phase === "paused",
    stop: phase === "running" || phase === "paused" || phase === "preparing",
    resume: (phase === "stopped" || phase === "failed") && checkpointStep !== null && !diverged,
    branch: diverged,
    use: ended && checkpointStep !== null,
  };
}

export function phaseName(phase: RunPhase): string {
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

/** The announcement of a phase for screen readers. */
export function phaseAnnouncement(phase: RunPhase): string {
  const sentences: { readonly [P in RunPhase]: string } = {
    preparing: t("Training is being prepared."),
    running: t("Training is running."),
    paused: t("Training is paused."),
    stopping: t("Training is stopping."),
    stopped: t("Training was stopped."),
    done: t("Training is done."),
    failed: t("Training failed."),
  };
  return sentences[phase];
}

/** Preset, size, shape and device of a run in one line. */
export function runSummary(run: RunSnapshot): string {
  const { preset, started, record } = run;
  const { settings, facts } = record ?? { settings: {}, facts: {} };
  const parameters = parametersOf(run);
  const [layers, heads, width] = started
    ? [started.model.config.nLayers, started.model.config.nHeads, started.model.config.dModel]
    : [settings["model.nLayers"], settings["model.nHeads"], settings["model.dModel"]];
  const { device, deviceReason } = started ?? facts;
  return [
    preset && t("preset {0}", preset),
    parameters !== null && t("{0} parameters", formatParameters(parameters)),
    layers && heads && width && t("{0} layers, {1} heads, width {2}", String(layers), String(heads), String(width)),
    device && [deviceName(String(device)), deviceReason].filter(Boolean).join(": "),
  ]
    .filter(Boolean)
    .join(" · ");
}

export interface Figure {
  readonly name: string;
  readonly value: string;
  readonly note?: string;
}

/** The numbers above the curves. */
export function figuresOf(run: RunSnapshot): Figure[] {
  const last = run.reports.at(-1);
  const evaluation = run.evals.at(-1);
  const best = bestLossOf(run);
  const steps = stepsOf(run);
  const { secondsLeft, phase } = run.state;
  return [
    { name: t("Step"), value: formatCount(stepOf(run)), note: steps ? t("of {0}", formatCount(steps)) : "" },
    { name: t("Training loss"), value: last?.loss.toFixed(3) ?? NONE },
    {
      name: t("Validation loss"),
      value: evaluation?.loss.toFixed(3) ?? NONE,
      note: best === null ? "" : t("best {0}", best.toFixed(3)),
    },
    { name: t("Perplexity"), value: evaluation?.perplexity.toPrecision(4) ?? NONE },
    ...(evaluation?.accuracy === undefined
      ? []
      : [{ name: t("Accuracy"), value: `${(100 * evaluation.accuracy).toFixed(1)} %` }]),
    { name: t("Speed"), value: last ? formatCount(Math.round(last.tokensPerSecond)) : NONE, note: t("tokens/s") },
    ...(phase === "running" && secondsLeft !== null
      ? [{ name: t("Time left"), value: formatDuration(secondsLeft) }]
      : []),
    ...(run.checkpointStep === null ? [] : [{ name: t("Checkpoint"), value: formatCount(run.checkpointStep) }]),
  ];
}

/** Stands for an unknown value. */
export const NONE = "–";
