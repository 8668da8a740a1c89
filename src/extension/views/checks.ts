/** What the webviews may ask, checked by hand: a page shows text from anywhere, so its messages are not trusted. */

import type { Checks } from "../../protocol/rpc";
import type {
  FileToSave,
  FindParams,
  HostAction,
  InspectorHost,
  TensorParams,
  TrainingHost,
} from "../../protocol/webviewApi";

type Fields = Readonly<Record<string, unknown>>;

const fields = (params: unknown): Fields => {
  if (typeof params !== "object" || params === null) throw new Error("The view sent no parameters.");
  // An object that is not null can be read by any key.
  return params as Fields;
};

function flag(params: unknown, name: string): boolean {
  const value = fields(params)[name];
  if (typeof value !== "boolean") throw new Error(`The view sent a ${name} that is not true or false.`);
  return value;
}

function text(params: unknown, name: string, longest: number): string {
  const value = fields(params)[name];
  if (typeof value !== "string" || value.length > longest) {
    throw new Error(`The view sent a ${name} that is not a text of at most ${longest} characters.`);
  }
  return value;
}

function index(params: unknown, name: string): number {
  const value = fields(params)[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`The view sent a ${name} that is not a whole number.`);
  }
  return value;
}

const ACTIONS: { readonly [A in HostAction]: true } = {
  chooseModel: true,
  trainModel: true,
  importModel: true,
  restartEngine: true,
  showLog: true,
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

function tensor(params: unknown): TensorParams {
  const { head } = fields(params);
  const asked = { trace: index(params, "trace"), name: text(params, "name", 200) };
  return head === undefined ? asked : { ...asked, head: index(params, "head") };
}

/** Of the tokens that a search finds. */
const MOST_FOUND = 100;

function findTokens(params: unknown): FindParams {
  const count = Math.min(index(params, "count"), MOST_FOUND);
  return { trace: index(params, "trace"), query: text(params, "query", 200), count };
}

/** The longest text that is inspected, in characters; of a longer one, the end. */
export const MAX_INSPECTED = 20_000;

export const inspectorChecks: Checks<InspectorHost> = {
  ready: nothing,
  inspectText: (params) => ({ text: text(params, "text", 10 * MAX_INSPECTED) }),
  follow: (params) => ({ follow: flag(params, "follow") }),
  tensor,
  findTokens,
  retry: nothing,
  act,
  save,
};

export const trainingChecks: Checks<TrainingHost> = {
  ready: nothing,
  pause: (params) => ({ paused: flag(params, "paused") }),
  stop: nothing,
  resume: nothing,
  activate: (params) => ({ inspect: flag(params, "inspect") }),
  act,
  save,
};
