/** What the status bar item says: pure. */

import type { DeviceChoice } from "../../protocol/engineApi";
import type { RunState } from "../../protocol/webviewApi";
import { deviceName, duration, grouped } from "../format";
import { l10n } from "../l10n";
import type { EngineState } from "./engineClient";

export interface Status {
  readonly model: string | null;
  /** Seen in use, or as it is set. */
  readonly device: DeviceChoice;
  readonly engine: EngineState;
  readonly run: {
    readonly name: string;
    readonly state: RunState;
    readonly step: number;
    readonly steps: number | null;
    readonly loss: number | null;
  } | null;
  readonly generating: boolean;
  readonly problem: string | null;
}

export interface StatusText {
  readonly text: string;
  /** Lines of plain text. */
  readonly tooltip: readonly string[];
  readonly failed: boolean;
}

export function statusText(status: Status): StatusText {
  const { model, engine, run, generating, problem } = status;
  const device = status.device === "auto" ? l10n.t("device chosen at first use") : deviceName(status.device);
  const about = [model ? l10n.t("Model: {0}", model) : l10n.t("No model yet"), l10n.t("Device: {0}", device)];
  const trouble = problem ? [problem] : [];
  const name = model ?? "Decoder Lab";

  if (engine.kind === "stopped") {
    return { text: `$(error) ${l10n.t("Engine stopped")}`, tooltip: [engine.message, ...about], failed: true };
  }
  if (engine.kind === "restarting") {
    return { text: `$(sync~spin) ${l10n.t("Restarting")}`, tooltip: [engine.message, ...about], failed: false };
  }
  if (run && (run.state.phase === "running" || run.state.phase === "paused")) {
    const share = run.steps ? ` ${Math.floor((100 * run.step) / run.steps)} %` : "";
    const paused = run.state.phase === "paused";
    const label = paused ? l10n.t("Paused") : l10n.t("Training");
    return {
      text: `${paused ? "$(debug-pause)" : "$(loading~spin)"} ${label}${share}`,
      tooltip: [`${run.name}: ${progressLine(run.step, run.steps, run.loss, run.state.secondsLeft)}`, ...about],
      failed: false,
    };
  }
  if (run && (run.state.phase === "preparing" || run.state.phase === "stopping")) {
    const label = run.state.phase === "preparing" ? l10n.t("Preparing") : l10n.t("Stopping");
    return { text: `$(loading~spin) ${label}`, tooltip: [run.state.message ?? run.name, ...about], failed: false };
  }
  if (generating) return { text: `$(loading~spin) ${name}`, tooltip: [l10n.t("Working"), ...about], failed: false };
  const icon = problem ? "$(warning)" : "$(circuit-board)";
  const doing = engine.kind === "idle" ? l10n.t("The engine starts when it is needed.") : l10n.t("Idle");
  return { text: `${icon} ${name}`, tooltip: [...trouble, doing, ...about], failed: false };
}

/** `step 120 of 2,000, loss 2.310, 1 min left` */
export function progressLine(
  step: number,
  steps: number | null,
  loss: number | null,
  secondsLeft: number | null,
): string {
  const at = grouped(step);
  const parts = [steps === null ? l10n.t("step {0}", at) : l10n.t("step {0} of {1}", at, grouped(steps))];
  if (loss !== null) parts.push(l10n.t("loss {0}", loss.toFixed(3)));
  if (secondsLeft !== null && Number.isFinite(secondsLeft)) parts.push(l10n.t("{0} left", duration(secondsLeft)));
  return parts.join(", ");
}
