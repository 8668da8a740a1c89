import * as vscode from "vscode";
import type { TrainResult } from "../../protocol/engineApi";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { readReports } from "../runReports";
import type { RunRequest, TrainingRun } from "../trainingRun";
import { progressLine } from "../views/statusText";
import type { TrainingPanel } from "../views/trainingPanel";

/**
 * Runs a training with its progress in a notification, whose Cancel stops it and keeps what was learned. A model of
 * text becomes the active one, so that it can be tried at once.
 */
export async function showRun(lab: Lab, panel: TrainingPanel, request: RunRequest, activate: boolean): Promise<void> {
  const name = request.kind === "train" ? request.params.name : request.name;
  const location = vscode.ProgressLocation.Notification;
  const options = { location, title: l10n.t("Training {0}", name), cancellable: true };
  const saved = request.kind === "resume" ? await readReports(request.params.dir) : undefined;
  const result = await vscode.window.withProgress(options, async (progress, token) => {
    const ended = lab.trainings.run(request, saved);
    const run = lab.trainings.current;
    const subscription = run && follow(lab, run, progress, token);
    try {
      return await ended;
    } finally {
      subscription?.dispose();
    }
  });
  if (activate && result.step > 0) await lab.models.activate(result.dir);
  void offerNext(lab, panel, name, result, activate);
}

/** Shows the run's reports in the progress, and stops the run when that is cancelled. */
function follow(
  lab: Lab,
  run: TrainingRun,
  progress: vscode.Progress<{ message?: string; increment?: number }>,
  token: vscode.CancellationToken,
): vscode.Disposable {
  let shown = 0;
  return vscode.Disposable.from(
    token.onCancellationRequested(() => run.stop()),
    lab.trainings.onDidReport((event) => {
      if (event.kind === "prepare") progress.report({ message: event.message });
      if (event.kind !== "steps") return;
      const share = run.steps ? (100 * run.step) / run.steps : 0;
      const message = progressLine(run.step, run.steps, run.loss, event.secondsLeft);
      progress.report({ message, increment: Math.max(0, share - shown) });
      shown = Math.max(shown, share);
    }),
    lab.trainings.onDidChangeState(({ phase }) => {
      if (phase === "stopping") progress.report({ message: l10n.t("stopping, and saving what was learned") });
      if (phase === "paused") progress.report({ message: l10n.t("paused at step {0}", run.step) });
    }),
  );
}

async function offerNext(
  lab: Lab,
  panel: TrainingPanel,
  name: string,
  result: TrainResult,
  active: boolean,
): Promise<void> {
  const how =
    result.reason === "done"
      ? l10n.t("“{0}” is trained: {1} steps.", name, result.step)
      : l10n.t("“{0}” was stopped at step {1}; what it learned is saved.", name, result.step);
  const now = active && result.step > 0 ? ` ${l10n.t("It is the active model now.")}` : "";
  const [inspect, training] = [l10n.t("Inspect"), l10n.t("Show Training")];
  const chosen = await vscode.window.showInformationMessage(how + now, inspect, training);
  if (chosen === training) panel.show();
  if (chosen !== inspect) return;
  await lab.models.activate(result.dir);
  await vscode.commands.executeCommand("decoderLab.inspectSelection");
}
