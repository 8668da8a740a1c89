import type { DeviceChoice } from "../../protocol/engineApi";
import type { RunState } from "../../protocol/webviewApi";
import { deviceName, duration, grouped } from "../format";
import { l10n } from "../l10n";
import type { EngineState } from "./engineClient";

export interface Status {
  readonly model: string | null;
  /** The device in use or, before the first use, the setting. */
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
  /** Minutes until inline completions return; 0 if they are not snoozed. */
  readonly snoozedMinutes: number;
}

export interface StatusText {
  readonly text: string;
  /** Lines of plain text. */
  readonly tooltip: readonly string[];
  readonly failed: boolean;
}

/** The text and tooltip of the status bar item. */
export function statusText(status: Status): StatusText {
  const { model, engine, run, generating, problem, snoozedMinutes } = status;
  const device = status.device === "auto" ? l10n.t("chosen at first use") : deviceName(status.device);
  const details = [model ? l10n.t("Model: {0}", model) : l10n.t("No models yet"), l10n.t("Device: {0}", device)];
  if (snoozedMinutes > 0) details.unshift(l10n.t("Completions are snoozed for {0} min.", snoozedMinutes));
  const name = model ?? "Decoder Lab";

  if (engine.kind === "stopped") {
    return { text: `$(error) ${l10n.t("Engine stopped")}`, tooltip: [engine.message, ...details], failed: true };
  }
  if (engine.kind === "restarting") {
    return { text: `$(sync~spin) ${l10n.t("Restarting")}`, tooltip: [engine.message, ...details], failed: false };
  }
  if (run && (run.state.phase === "running" || run.state.phase === "paused")) {
    const share = run.steps ? ` ${Math.floor((100 * run.step) / run.steps)} %` : "";
    const paused = run.state.phase === "paused";
    const label = paused ? l10n.t("Paused") : l10n.t("Training");
    return {
      text: `${paused ? "$(debug-pause)" : "$(loading~spin)"} ${label}${share}`,
      tooltip: [`${run.name}: ${progressLine(run.step, run.steps, run.loss, run.state.secondsLeft)}`, ...details],
      failed: false,
    };
  }
  if (run && (run.state.phase === "preparing" || run.state.phase === "stopping")) {
    const label = run.state.phase === "preparing" ? l10n.t("Preparing") : l10n.t("Stopping");
    return { text: `$(loading~spin) ${label}`, tooltip: [run.state.message ?? run.name, ...details], failed: false };
  }
  if (generating) return { text: `$(loading~spin) ${name}`, tooltip: [l10n.t("Working"), ...details], failed: false };
  const icon = problem ? "$(warning)" : snoozedMinutes > 0 ? "$(bell-slash)" : "$(circuit-board)";
  const activity = engine.kind === "idle" ? l10n.t("The engine starts when needed.") : l10n.t("Idle");
  return { text: `${icon} ${name}`, tooltip: [...(problem ? [problem] : []), activity, ...details], failed: false };
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
