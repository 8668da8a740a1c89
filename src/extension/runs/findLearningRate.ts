import * as vscode from "vscode";
import type { TrainParams } from "../../protocol/engineApi";
import { isCanceled } from "../../protocol/rpc";
import type { FinderState } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { SettingValue } from "./trainingChoices";
import type { TrainingPanel } from "./trainingPanel";

/** Tests learning rates and draws their losses in the training view. Returns the settings of the rate that the user accepts, if any. */
export async function findLearningRate(
  lab: LabServices,
  panel: TrainingPanel,
  params: TrainParams,
): Promise<Settings | undefined> {
  const location = vscode.ProgressLocation.Notification;
  const options = { location, title: l10n.t("Finding a learning rate for {0}", params.name), cancellable: true };
  let state: FinderState = { name: params.name, points: [], suggestion: null };
  const stop = new AbortController();
  const show = (change: Partial<FinderState>) => {
    state = { ...state, ...change };
    panel.showFinder(state, () => stop.abort());
  };
  panel.show();
  show({});
  try {
    const { points, suggestion, set } = await vscode.window.withProgress(options, (progress, token) => {
      token.onCancellationRequested(() => stop.abort());
      return lab.engine.call("findLearningRate", params, {
        signal: stop.signal,
        onProgress: (point) => {
          show({ points: [...state.points, point] });
          progress.report({ message: l10n.t("{0}: loss {1}", point.lr.toPrecision(2), point.loss.toFixed(3)) });
        },
      });
    });
    show({ points, suggestion });
    return (await isAccepted(suggestion)) ? set : undefined;
  } catch (error) {
    if (isCanceled(error)) return undefined;
    throw error;
  } finally {
    panel.showFinder(null);
  }
}

async function isAccepted(suggestion: number): Promise<boolean> {
  const use = { label: l10n.t("Use {0}", suggestion), description: l10n.t("the loss falls fastest here") };
  const keep = { label: l10n.t("Keep the preset's learning rate") };
  const title = l10n.t("Which learning rate? The training view shows the loss of each.");
  return (await vscode.window.showQuickPick([use, keep], { title, ignoreFocusOut: true })) === use;
}

type Settings = Readonly<Record<string, SettingValue>>;
