/** The name, phase and progress of a run, and the buttons that steer it. */

import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import type { Client } from "../../../src/protocol/rpc";
import type { RunSnapshot, TrainingHost } from "../../../src/protocol/webviewApi";
import { el, setAttr } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { badge, button } from "../../base/toolkit";
import { actionsOf, phaseName, runSummary, stepOf, stepsOf } from "../run";

export interface HeaderView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot, checkpoints: readonly CheckpointInfo[]) => void;
}

/** `request` shows the error of a request that fails. */
export function createHeaderView(
  host: Pick<Client<TrainingHost>, "call">,
  request: (answer: Promise<null>) => void,
): HeaderView {
  const title = el("h1", {}, t("Training"));
  const phase = badge("");
  const summary = el("p", { class: "muted facts" });
  const pause = button(t("Pause"), () => request(host.call("pause", { paused: true })), "primary");
  const unpause = button(t("Resume"), () => request(host.call("pause", { paused: false })), "primary");
  const stop = button(t("Stop"), () => request(host.call("stop", {})));
  const resume = button(t("Resume"), () => request(host.call("resume", {})), "primary");
  let branchStep: number | null = null;
  const branchOrTrain = () =>
    branchStep === null ? host.call("act", { action: "trainModel" }) : host.call("branch", { step: branchStep });
  const branch = button("", () => request(branchOrTrain()), "primary");
  const inspect = button(t("Inspect"), () => request(host.call("activate", { inspect: true })));
  const use = button(t("Use this model"), () => request(host.call("activate", { inspect: false })));
  const exportProject = button(t("Export to PyTorch"), () => request(host.call("exportProject", {})));
  const progress = el("div", {
    class: "run-progress",
    attrs: { role: "progressbar", "aria-label": t("Training progress"), "aria-valuemin": 0, "aria-valuemax": 100 },
  });
  const progressFill = el("div", { class: "run-progress-fill" });
  progress.append(progressFill);
  const node = el(
    "header",
    { class: "run-header" },
    el("div", { class: "run-title" }, title, phase),
    summary,
    el("div", { class: "buttons" }, pause, unpause, resume, branch, stop, inspect, use, exportProject),
    progress,
  );

  return {
    node,
    show(run, checkpoints) {
      title.textContent = run.name;
      phase.textContent = phaseName(run.state.phase);
      summary.textContent = runSummary(run);
      // A low page has no room for the summary.
      title.title = runSummary(run);

      const actions = actionsOf(run);
      pause.hidden = !actions.pause;
      unpause.hidden = !actions.unpause;
      stop.hidden = !actions.stop;
      resume.hidden = !actions.resume;
      branch.hidden = !actions.branch;
      inspect.hidden = use.hidden = exportProject.hidden = !actions.use;
      if (actions.resume) resume.textContent = t("Resume from step {0}", formatCount(run.checkpointStep ?? 0));
      // The checkpoint before the first step has learned nothing, so a new run is as good as a branch.
      branchStep = checkpoints.findLast(({ step }) => step > 0)?.step ?? null;
      if (actions.branch) {
        branch.textContent =
          branchStep === null ? t("Train again…") : t("Branch from step {0}…", formatCount(branchStep));
      }

      const steps = stepsOf(run);
      const percent = 100 * Math.min(1, steps ? stepOf(run) / steps : (run.prepared ?? 0));
      progressFill.style.width = `${percent}%`;
      setAttr(progress, "aria-valuenow", Math.round(percent));
      progress.classList.toggle("paused", run.state.phase === "paused" || run.state.phase === "stopped");
    },
  };
}
