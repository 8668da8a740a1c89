import * as vscode from "vscode";
import type { TrainParams } from "../../protocol/engineApi";
import { isCancelled } from "../../protocol/rpc";
import type { FinderState } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import type { TrainingPanel } from "../views/trainingPanel";

/** Tries learning rates while the training view draws their losses; answers the one that the user takes, if any. */
export async function findLearningRate(
  lab: Lab,
  panel: TrainingPanel,
  params: TrainParams,
): Promise<number | undefined> {
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
    const { points, suggestion } = await vscode.window.withProgress(options, (progress, token) => {
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
    return await offer(suggestion);
  } catch (error) {
    if (isCancelled(error)) return undefined;
    throw error;
  } finally {
    panel.showFinder(null);
  }
}

async function offer(suggestion: number): Promise<number | undefined> {
  const value = Number(suggestion.toPrecision(2));
  const take = { label: l10n.t("Take {0}", value), description: l10n.t("where the loss falls fastest"), value };
  const keep = { label: l10n.t("Keep the preset's"), description: "", value: undefined };
  const title = l10n.t("The loss over the learning rate is in the training view");
  return (await vscode.window.showQuickPick([take, keep], { title, ignoreFocusOut: true }))?.value;
}
