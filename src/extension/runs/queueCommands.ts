/** Commands for a queued run in the Models view. */

import type { QueueChange, QueuedRun } from "../../protocol/webviewApi";
import type { LabServices } from "../labServices";
import { mayStop } from "./trainingPanel";

export function changeQueue(lab: LabServices, change: QueueChange) {
  return async (run?: QueuedRun): Promise<void> => {
    if (!run) return;
    if (change !== "now" || (await mayStop(lab))) lab.trainings.changeQueue(run.id, change);
  };
}
