/** The ids and settings that package.json also contains. A test compares the two. */

import type { QueuedRun } from "../protocol/webviewApi";
import type { Model } from "./models/modelFolders";

/** The ids of all commands, grouped by what a menu or a link passes to them. */
export const commandIds = {
  nothing: [
    "decoderLab.getStarted",
    "decoderLab.trainTinyGpt",
    "decoderLab.importModel",
    "decoderLab.setHubToken",
    "decoderLab.showTraining",
    "decoderLab.pauseTraining",
    "decoderLab.stopTraining",
    "decoderLab.goOnWithQueue",
    "decoderLab.chooseModel",
    "decoderLab.refreshModels",
    "decoderLab.inspectSelection",
    "decoderLab.exploreInspected",
    "decoderLab.exploreCheckpoints",
    "decoderLab.newExplorer",
    "decoderLab.exploreTokens",
    "decoderLab.exploreNextToken",
    "decoderLab.exploreAttention",
    "decoderLab.toggleAttentionShading",
    "decoderLab.toggleSurprisal",
    "decoderLab.whyThisCompletion",
    "decoderLab.toggleCompletions",
    "decoderLab.toggleLanguage",
    "decoderLab.snoozeCompletions",
    "decoderLab.endSnooze",
    "decoderLab.chooseDevice",
    "decoderLab.restartEngine",
    "decoderLab.showLog",
    "decoderLab.showMenu",
  ],
  model: [
    "decoderLab.resumeTraining",
    "decoderLab.openRunRecord",
    "decoderLab.fineTuneModel",
    "decoderLab.branchTraining",
    "decoderLab.exportProject",
    "decoderLab.activateModel",
    "decoderLab.inspectModel",
    "decoderLab.renameModel",
    "decoderLab.deleteModel",
    "decoderLab.revealModel",
    "decoderLab.copyModuleTree",
    "decoderLab.openExplorer",
  ],
  queuedRun: [
    "decoderLab.runQueuedNow",
    "decoderLab.moveQueuedUp",
    "decoderLab.moveQueuedDown",
    "decoderLab.removeQueued",
  ],
  token: ["decoderLab.exploreToken"],
} as const;

interface CommandArguments {
  readonly nothing: [];
  readonly model: [model?: Model];
  readonly queuedRun: [run?: QueuedRun];
  readonly token: [token?: TokenLocation];
}

/** A token of an open document, as the link in a surprisal hover passes it. */
export interface TokenLocation {
  readonly uri: string;
  /** UTF-16 offset of the token. */
  readonly offset: number;
  /** The readable text around the token, in UTF-16 offsets. */
  readonly from: number;
  readonly to: number;
}

/** Every command by its id. */
export type Commands = {
  [Group in keyof CommandArguments as (typeof commandIds)[Group][number]]: (
    ...args: CommandArguments[Group]
  ) => Promise<void>;
};

/** The defaults of all settings, by their names without "decoderLab.". */
export const settingDefaults = {
  "engine.device": "auto" as "auto" | "cpu" | "webgpu",
  "engine.runtime": "",
  "engine.unloadAfterMinutes": 10,
  "hub.endpoint": "",
  "hub.offline": false,
  "hover.enabled": true,
  "hover.languages": {} as Readonly<Record<string, boolean>>,
  "inspector.maxTokens": 128,
  "explorer.maxTokens": 1024,
  "completion.enabled": true,
  "completion.languages": {} as Readonly<Record<string, boolean>>,
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

/** Minimum and maximum of each numeric setting. */
export const settingLimits: {
  readonly [Name in keyof Settings as Settings[Name] extends number ? Name : never]: readonly [number, number];
} = {
  "engine.unloadAfterMinutes": [0, 1440],
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

/** The values of each setting with a fixed set of them. */
export const settingChoices: Partial<Record<keyof Settings, readonly string[]>> = {
  "engine.device": ["auto", "cpu", "webgpu"],
};

export const viewIds = {
  models: "decoderLab.models",
  inspector: "decoderLab.inspector",
} as const;

/** View types of the panels that VS Code restores after a reload. */
export const trainingPanelType = "decoderLab.training";
export const explorerPanelType = "decoderLab.explorer";
/** View type of the custom editor for trace files. */
export const traceEditorType = "decoderLab.trace";

export const contextKeys = {
  /** A run of this window is preparing, running, or paused. */
  training: "decoderLab.training",
  /** The queue waits until the user resumes it. */
  queueHeld: "decoderLab.queueHeld",
  /** The user selected a checkpoint in the Model Explorer. */
  scrubbed: "decoderLab.scrubbed",
} as const;
