/** The ids that `package.json` and the code must agree on. A test compares them. */

import type { QueuedRun } from "../protocol/webviewApi";
import type { Model } from "./models/modelFolders";
import type { TokenPlace } from "./surprisal/surprisalLens";

/** Every command, with what it may be given when another place calls it. */
export interface Commands {
  "decoderLab.trainTinyGpt": () => Promise<void>;
  "decoderLab.importModel": () => Promise<void>;
  "decoderLab.setHubToken": () => Promise<void>;
  "decoderLab.showTraining": () => Promise<void>;
  "decoderLab.pauseTraining": () => Promise<void>;
  "decoderLab.stopTraining": () => Promise<void>;
  "decoderLab.resumeTraining": (model?: Model) => Promise<void>;
  "decoderLab.openRunRecord": (model?: Model) => Promise<void>;
  "decoderLab.branchTraining": (model?: Model) => Promise<void>;
  "decoderLab.exportProject": (model?: Model) => Promise<void>;
  "decoderLab.runQueuedNow": (run?: QueuedRun) => Promise<void>;
  "decoderLab.moveQueuedUp": (run?: QueuedRun) => Promise<void>;
  "decoderLab.moveQueuedDown": (run?: QueuedRun) => Promise<void>;
  "decoderLab.removeQueued": (run?: QueuedRun) => Promise<void>;
  "decoderLab.goOnWithQueue": () => Promise<void>;
  "decoderLab.chooseModel": () => Promise<void>;
  "decoderLab.activateModel": (model?: Model) => Promise<void>;
  "decoderLab.inspectModel": (model?: Model) => Promise<void>;
  "decoderLab.renameModel": (model?: Model) => Promise<void>;
  "decoderLab.deleteModel": (model?: Model) => Promise<void>;
  "decoderLab.revealModel": (model?: Model) => Promise<void>;
  "decoderLab.copyModuleTree": (model?: Model) => Promise<void>;
  "decoderLab.refreshModels": () => Promise<void>;
  "decoderLab.inspectSelection": () => Promise<void>;
  "decoderLab.openExplorer": (model?: Model) => Promise<void>;
  "decoderLab.exploreInspected": () => Promise<void>;
  "decoderLab.exploreTokens": () => Promise<void>;
  "decoderLab.exploreNextToken": () => Promise<void>;
  "decoderLab.exploreAttention": () => Promise<void>;
  "decoderLab.exploreToken": (place?: TokenPlace) => Promise<void>;
  "decoderLab.toggleAttentionShading": () => Promise<void>;
  "decoderLab.toggleSurprisal": () => Promise<void>;
  "decoderLab.whyThisCompletion": () => Promise<void>;
  "decoderLab.toggleCompletions": () => Promise<void>;
  "decoderLab.chooseDevice": () => Promise<void>;
  "decoderLab.restartEngine": () => Promise<void>;
  "decoderLab.showLog": () => Promise<void>;
  "decoderLab.showMenu": () => Promise<void>;
}

/** The same ids at run time; one that is missing does not compile. */
export const commandIds: { readonly [Id in keyof Commands]: true } = {
  "decoderLab.trainTinyGpt": true,
  "decoderLab.importModel": true,
  "decoderLab.setHubToken": true,
  "decoderLab.showTraining": true,
  "decoderLab.pauseTraining": true,
  "decoderLab.stopTraining": true,
  "decoderLab.resumeTraining": true,
  "decoderLab.openRunRecord": true,
  "decoderLab.branchTraining": true,
  "decoderLab.exportProject": true,
  "decoderLab.runQueuedNow": true,
  "decoderLab.moveQueuedUp": true,
  "decoderLab.moveQueuedDown": true,
  "decoderLab.removeQueued": true,
  "decoderLab.goOnWithQueue": true,
  "decoderLab.chooseModel": true,
  "decoderLab.activateModel": true,
  "decoderLab.inspectModel": true,
  "decoderLab.renameModel": true,
  "decoderLab.deleteModel": true,
  "decoderLab.revealModel": true,
  "decoderLab.copyModuleTree": true,
  "decoderLab.refreshModels": true,
  "decoderLab.inspectSelection": true,
  "decoderLab.openExplorer": true,
  "decoderLab.exploreInspected": true,
  "decoderLab.exploreTokens": true,
  "decoderLab.exploreNextToken": true,
  "decoderLab.exploreAttention": true,
  "decoderLab.exploreToken": true,
  "decoderLab.toggleAttentionShading": true,
  "decoderLab.toggleSurprisal": true,
  "decoderLab.whyThisCompletion": true,
  "decoderLab.toggleCompletions": true,
  "decoderLab.chooseDevice": true,
  "decoderLab.restartEngine": true,
  "decoderLab.showLog": true,
  "decoderLab.showMenu": true,
};

/** Every setting by its name after "decoderLab.", with its default: the one in `package.json` must be the same. */
export const settingDefaults = {
  "engine.device": "auto" as "auto" | "cpu" | "webgpu",
  "engine.runtime": "",
  "hub.endpoint": "",
  "hub.offline": false,
  "hover.enabled": true,
  "hover.languages": { "*": true } as Readonly<Record<string, boolean>>,
  "inspector.maxTokens": 128,
  "explorer.maxTokens": 1024,
  "completion.enabled": true,
  "completion.languages": { "*": true } as Readonly<Record<string, boolean>>,
  "completion.exclude": [] as readonly string[],
  "completion.delay": 75,
  "completion.maxNewTokens": 48,
  "completion.contextTokens": 512,
  "completion.temperature": 0,
  "completion.topK": 0,
  "completion.topP": 1,
  "completion.seed": 0,
};

export type Settings = typeof settingDefaults;

/** The limits of the settings that are numbers, as in `package.json`. */
export const settingLimits: {
  readonly [Name in keyof Settings as Settings[Name] extends number ? Name : never]: readonly [number, number];
} = {
  "inspector.maxTokens": [2, 2048],
  "explorer.maxTokens": [2, 8192],
  "completion.delay": [0, 5000],
  "completion.maxNewTokens": [1, 512],
  "completion.contextTokens": [16, 8192],
  "completion.temperature": [0, 5],
  "completion.topK": [0, 1000],
  "completion.topP": [0.01, 1],
  "completion.seed": [0, 4294967295],
};

/** The values of the settings that have a few, as in `package.json`. */
export const settingChoices: Partial<Record<keyof Settings, readonly string[]>> = {
  "engine.device": ["auto", "cpu", "webgpu"],
};

export const viewIds = {
  models: "decoderLab.models",
  inspector: "decoderLab.inspector",
} as const;

/** The type of the training panel, by which VS Code brings it back after a reload. */
export const trainingPanelType = "decoderLab.training";
/** Of the Explorer's. */
export const explorerPanelType = "decoderLab.explorer";
/** The editor of trace files. */
export const traceEditorType = "decoderLab.trace";

export const contextKeys = {
  /** A run is preparing, running or paused in this window. */
  training: "decoderLab.training",
  /** Runs wait until the user lets them go on. */
  queueHeld: "decoderLab.queueHeld",
  /** The user went to a checkpoint in the Explorer. */
  scrubbed: "decoderLab.scrubbed",
} as const;
