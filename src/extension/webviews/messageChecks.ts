/** What the webviews may ask, checked by hand: a page shows text from anywhere, so its messages are not trusted. */

import type { Checks } from "../../protocol/rpc";
import type {
  ExplorerHost,
  FileToSave,
  HostAction,
  InspectorHost,
  QueueChange,
  ScrubberHost,
  Selected,
  TrainingHost,
} from "../../protocol/webviewApi";
import { traceChecks } from "../explore/traceChecks";
import { choice, fields, flag, index, LONGEST_PATH, text } from "./messageFields";

const ACTIONS: { readonly [A in HostAction]: true } = {
  chooseModel: true,
  trainModel: true,
  importModel: true,
  restartEngine: true,
  showLog: true,
  openRun: true,
};

function act(params: unknown): { action: HostAction } {
  const action = fields(params).action;
  if (typeof action !== "string" || !Object.hasOwn(ACTIONS, action))
    throw new Error("The view asked for an action that does not exist.");
  // One of the keys of ACTIONS, which are the actions.
  return { action: action as HostAction };
}

function save(params: unknown): FileToSave {
  const name = text(params, "name", 200);
  const { data } = fields(params);
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u.test(name)) throw new Error("The view sent a file name that cannot be used.");
  if (!(data instanceof Uint8Array)) throw new Error("The view sent a file without its data.");
  return { name, data };
}

const nothing = () => ({});

/** The longest text that is inspected, in characters; of a longer one, the end. */
export const MAX_INSPECTED = 20_000;

const selected = (params: unknown): Selected => ({
  trace: index(params, "trace"),
  token: index(params, "token"),
  layer: index(params, "layer"),
  head: index(params, "head"),
});

export const inspectorChecks: Checks<InspectorHost> = {
  ready: nothing,
  inspectText: (params) => ({ text: text(params, "text", 10 * MAX_INSPECTED) }),
  follow: (params) => ({ follow: flag(params, "follow") }),
  ...traceChecks,
  select: selected,
  retry: nothing,
  act,
  save,
};

export const scrubberChecks: Checks<ScrubberHost> = {
  scrub: (params) => ({ step: index(params, "step") }),
};

export const explorerChecks: Checks<ExplorerHost> = {
  ...inspectorChecks,
  ...scrubberChecks,
  models: nothing,
  inspectAlso: (params) => ({ dir: text(params, "dir", LONGEST_PATH), text: text(params, "text", MAX_INSPECTED) }),
  shade: (params) => {
    const { weights } = fields(params);
    if (weights !== null && !(weights instanceof Float32Array))
      throw new Error("The view sent no weights to shade by.");
    return { trace: index(params, "trace"), weights };
  },
  saveTrace: (params) => ({ trace: index(params, "trace") }),
};

const QUEUE_CHANGES: readonly QueueChange[] = ["remove", "up", "down", "now"];

export const trainingChecks: Checks<TrainingHost> = {
  ready: nothing,
  pause: (params) => ({ paused: flag(params, "paused") }),
  stop: nothing,
  resume: nothing,
  activate: (params) => ({ inspect: flag(params, "inspect") }),
  compare: nothing,
  uncompare: (params) => ({ dir: text(params, "dir", LONGEST_PATH) }),
  branch: (params) => ({ step: index(params, "step") }),
  paint: (params) => ({
    step: fields(params).step === null ? null : index(params, "step"),
    page: index(params, "page"),
  }),
  queued: (params) => ({ id: index(params, "id"), change: choice(params, "change", QUEUE_CHANGES) }),
  goOn: nothing,
  exportProject: nothing,
  stopFinding: nothing,
  act,
  save,
};
