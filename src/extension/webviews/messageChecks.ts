import * as v from "valibot";
import type { Checks } from "../../protocol/rpc";
import { MAX_COMPARED } from "../../protocol/runState";
import type { ExplorerHost, HostAction, InspectorHost, ScrubberHost, TrainingHost } from "../../protocol/webviewApi";
import { traceChecks } from "../explore/traceChecks";
import { fields, folder, index, list, noParams, text } from "./schemas";

const ACTIONS: { readonly [A in HostAction]: true } = {
  chooseModel: true,
  trainModel: true,
  importModel: true,
  restartEngine: true,
  showLog: true,
  openRun: true,
};

const act = fields({ action: v.picklist(Object.keys(ACTIONS) as HostAction[]) });

/** A file name without folders, which does not start with a dot. */
const fileName = v.pipe(text(200), v.regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u));

const save = fields({ name: fileName, data: v.instance(Uint8Array) });

const setName = v.pipe(text(100), v.nonEmpty());

/** Maximum length of an inspected text, in characters. Only the end of a longer text is inspected. */
export const MAX_INSPECTED = 20_000;

export const inspectorChecks: Checks<InspectorHost> = {
  ready: noParams,
  inspectText: fields({ text: text(10 * MAX_INSPECTED) }),
  follow: fields({ follow: v.boolean() }),
  ...traceChecks,
  select: fields({ trace: index, token: index, layer: index, head: index }),
  retry: noParams,
  act,
  save,
};

export const scrubberChecks: Checks<ScrubberHost> = {
  scrub: fields({ step: index }),
};

export const explorerChecks: Checks<ExplorerHost> = {
  ...inspectorChecks,
  ...scrubberChecks,
  models: noParams,
  inspectAlso: fields({ dir: folder, text: text(MAX_INSPECTED) }),
  promptSets: noParams,
  savePromptSet: fields({ name: setName, prompts: list(text(MAX_INSPECTED), 1000) }),
  deletePromptSet: fields({ name: setName }),
  importPrompts: noParams,
  shade: fields({ trace: index, weights: v.nullable(v.instance(Float32Array)) }),
  saveTrace: fields({ trace: index }),
};

export const trainingChecks: Checks<TrainingHost> = {
  ready: noParams,
  pause: fields({ paused: v.boolean() }),
  stop: noParams,
  resume: noParams,
  activate: fields({ inspect: v.boolean() }),
  compare: fields({ dirs: list(folder, MAX_COMPARED) }),
  openRun: fields({ dir: folder }),
  branch: fields({ step: index }),
  paint: fields({ step: v.nullable(index), page: index }),
  changeQueue: fields({ id: index, change: v.picklist(["remove", "up", "down", "now"]) }),
  resumeQueue: noParams,
  exportProject: noParams,
  stopFinding: noParams,
  act,
  save,
};
