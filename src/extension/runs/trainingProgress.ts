import { dirname } from "node:path";
import * as vscode from "vscode";
import type { TrainResult } from "../../protocol/engineApi";
import type { RunReports } from "../../protocol/runState";
import { progressLine } from "../engine/statusText";
import { grouped } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { offerModel } from "../models/offerModel";
import { readReports } from "./runReports";
import type { TrainingPanel } from "./trainingPanel";
import { nameOf, type RunRequest, type TrainingRun } from "./trainingRun";

/**
 * Trains when the run's turn comes, with progress in a notification. Cancel stops the run, which saves its model. A
 * notification at the end offers to use the model; nothing changes without an answer.
 */
export async function showRun(lab: LabServices, panel: TrainingPanel, request: RunRequest): Promise<void> {
  const name = nameOf(request);
  const turn = lab.trainings.turn(request);
  if (lab.trainings.queue.waiting.length > 0) notifyQueued(name, lab.trainings.queue.waiting.length);
  const start = await turn;
  const location = vscode.ProgressLocation.Notification;
  const options = { location, title: l10n.t("Training {0}", name), cancellable: true };
  const saved = await savedOf(request);
  const result = await vscode.window.withProgress(options, async (progress, token) => {
    const ended = start(saved);
    const run = lab.trainings.current;
    const subscription = run && follow(lab, run, progress, token);
    try {
      return await ended;
    } finally {
      subscription?.dispose();
    }
  });
  void offerNext(lab, panel, name, result);
}

/** The reports of the run that is resumed or branched. */
async function savedOf(request: RunRequest): Promise<RunReports | undefined> {
  if (request.kind === "train") return undefined;
  if (request.kind === "resume") return readReports(request.params.dir);
  // MODEL/checkpoints/step-…
  return readReports(dirname(dirname(request.params.dir)), request.step);
}

const notifyQueued = (name: string, position: number) =>
  void vscode.window.showInformationMessage(l10n.t("“{0}” is number {1} in the queue.", name, position));

/** Shows the run's progress, and stops the run when the notification is canceled. */
function follow(
  lab: LabServices,
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
      if (phase === "stopping") progress.report({ message: l10n.t("stopping and saving the model") });
      if (phase === "paused") progress.report({ message: l10n.t("paused at step {0}", grouped(run.step)) });
    }),
  );
}

async function offerNext(lab: LabServices, panel: TrainingPanel, name: string, result: TrainResult): Promise<void> {
  const outcome =
    result.reason === "done"
      ? l10n.t("“{0}” finished training after {1} steps.", name, grouped(result.step))
      : l10n.t("“{0}” stopped at step {1}. Its model is saved.", name, grouped(result.step));
  const training = l10n.t("Show Training");
  if ((await offerModel(lab, outcome, result.dir, training)) === training) panel.show();
}
