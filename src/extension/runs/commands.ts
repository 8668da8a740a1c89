/** The commands of training runs, and the training view whose buttons do the same. */

import { basename } from "node:path";
import type { Commands } from "../contributions";
import type { LabServices } from "../labServices";
import { reportErrors } from "../registerCommands";
import { fineTuneModel } from "./fineTune";
import { changeQueue } from "./queueCommands";
import { resumeRun, resumeTraining } from "./resumeTraining";
import { branchFrom, branchTraining, exportProject, openRunRecord } from "./runCommands";
import { TrainingPanel } from "./trainingPanel";
import { trainTinyGpt } from "./trainTinyGpt";

export const runCommands = (lab: LabServices, panel: TrainingPanel) =>
  ({
    "decoderLab.trainTinyGpt": trainTinyGpt(lab, panel),
    "decoderLab.showTraining": async () => panel.show(),
    "decoderLab.pauseTraining": async () => {
      const { current } = lab.trainings;
      await current?.pause(current.state.phase !== "paused");
    },
    "decoderLab.stopTraining": async () => lab.trainings.current?.stop(),
    "decoderLab.resumeTraining": resumeTraining(lab, panel),
    "decoderLab.openRunRecord": openRunRecord(lab, panel),
    "decoderLab.fineTuneModel": fineTuneModel(lab, panel),
    "decoderLab.branchTraining": branchTraining(lab, panel),
    "decoderLab.exportProject": exportProject(lab),
    "decoderLab.runQueuedNow": changeQueue(lab, "now"),
    "decoderLab.moveQueuedUp": changeQueue(lab, "up"),
    "decoderLab.moveQueuedDown": changeQueue(lab, "down"),
    "decoderLab.removeQueued": changeQueue(lab, "remove"),
    "decoderLab.goOnWithQueue": async () => lab.trainings.resumeQueue(),
  }) satisfies Partial<Commands>;

export function createTrainingPanel(lab: LabServices): TrainingPanel {
  const { log } = lab;
  const panel: TrainingPanel = new TrainingPanel(lab, {
    resume: (dir) => void reportErrors("resume", () => resumeRun(lab, panel, dir), log),
    branch: (run, checkpoint) => void reportErrors("branch", () => branchFrom(lab, panel, run, checkpoint), log),
    exportProject: (dir) => void reportErrors("export", () => exportProject(lab)({ dir, name: basename(dir) }), log),
  });
  return panel;
}
