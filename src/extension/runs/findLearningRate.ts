import * as vscode from "vscode";
import type { TrainParams } from "../../protocol/engineApi";
import { isCanceled } from "../../protocol/rpc";
import type { FinderState } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { SettingValue } from "./trainingChoices";
import type { TrainingPanel } from "./trainingPanel";

/** Tries learning rates while the training view draws their losses; answers the settings of the one that the user takes, if any. */
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
    return (await isTaken(suggestion)) ? set : undefined;
  } catch (error) {
    if (isCanceled(error)) return undefined;
    throw error;
  } finally {
    panel.showFinder(null);
  }
}

async function isTaken(suggestion: number): Promise<boolean> {
  const take = { label: l10n.t("Take {0}", suggestion), description: l10n.t("where the loss falls fastest") };
  const keep = { label: l10n.t("Keep the preset's") };
  const title = l10n.t("The loss over the learning rate is in the training view");
  return (await vscode.window.showQuickPick([take, keep], { title, ignoreFocusOut: true })) === take;
}

type Settings = Readonly<Record<string, SettingValue>>;
