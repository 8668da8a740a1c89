/**
 * The host's side of a webview, for a page in a browser: serves the protocol over window messages as the extension does.
 * It is bundled and runs before the page's own script; tests control it through `window.lab`.
 */

import { type Message, type Params, type Port, serve } from "../../src/protocol/rpc";
import type {
  ExplorerEvents,
  ExplorerHost,
  FileToSave,
  InspectedSource,
  InspectorHost,
  RunSnapshot,
  RunState,
  ScrubberHost,
  TrainingEvents,
  TrainingHost,
} from "../../src/protocol/webviewApi";
import { tinyAnswers } from "./tinyAnswers";
import { carrylessTask, tinyPaint, tinyRun } from "./tinyRun";
import { type TinyTrace, type TinyVariant, tinyTrace } from "./tinyTrace";
import { tinyTranslation } from "./tinyTranslation";

export interface TestHost {
  /** The page's requests in order, each as `method params`. */
  readonly requests: string[];
  /** Names of the tensors that it requested. */
  readonly tensors: string[];
  readonly saved: FileToSave[];
  inspect(text: string, kind: InspectedSource["kind"], label: string, variant?: TinyVariant): void;
  /** Shows the trace of a translator with a source text and its translation. */
  translate(text: string, translation: string): void;
  /** Sends an event to the page. */
  send(name: string, value: unknown): void;
  /** The evaluation of an adder that never carries. */
  carrylessTask: typeof carrylessTask;
  /** Shows a run that has finished `done` of its `steps`. */
  train(text: string, done: number, steps: number, phase: RunState["phase"], message?: string): void;
  run: RunSnapshot | null;
  follow: boolean;
  /** The page's saved state. */
  state: unknown;
}

declare global {
  interface Window {
    lab: TestHost;
  }
}

let trace: TinyTrace | null = null;
let source: InspectedSource | null = null;
let answers: (message: Message) => void = () => undefined;

const port: Port = {
  // Messages are cloned, as they are between processes.
  post: (message) =>
    void setTimeout(() => window.dispatchEvent(new MessageEvent("message", { data: structuredClone(message) }))),
  onMessage: (listener) => {
    answers = listener;
  },
};

const lab: TestHost = {
  requests: [],
  tensors: [],
  saved: [],
  run: null,
  follow: true,
  state: JSON.parse(sessionStorage.getItem("state") ?? "null"),
  inspect(text, kind, label, variant) {
    trace = tinyTrace(text, (trace?.info.trace ?? 0) + 1, variant);
    source = { kind, label, text, truncated: false };
    server.send("trace", { trace: trace.info, source });
  },
  translate(text, translation) {
    trace = tinyTranslation(text, translation, (trace?.info.trace ?? 0) + 1);
    server.send("trace", {
      trace: trace.info,
      source: { kind: "line", label: "pairs.tsv, line 1", text, truncated: false },
    });
  },
  train(text, done, steps, phase, message) {
    const state = { phase, message: message ?? null, secondsLeft: phase === "running" ? (steps - done) * 0.05 : null };
    lab.run = tinyRun(text, done, steps, state);
    server.send("run", lab.run);
  },
  carrylessTask,
  send: (name, value) => (server.send as (name: string, value: unknown) => void)(name, value),
};
window.lab = lab;

const noted =
  <P, R>(name: string, answer: (params: P) => R) =>
  (params: P): R => {
    lab.requests.push(`${name} ${JSON.stringify(params)}`);
    return answer(params);
  };

const shown = (): TinyTrace => {
  if (!trace) throw new Error("Nothing was inspected.");
  return trace;
};

const shared = {
  ...tinyAnswers(shown),
  traceTensor: (params: Params<InspectorHost, "traceTensor">) => {
    lab.tensors.push(params.name);
    return shown().tensor(params.name, params.head);
  },
  act: noted("act", () => null),
  save: (file: FileToSave) => {
    lab.saved.push(file);
    return null;
  },
};

const server = serve<ExplorerHost & ScrubberHost & Omit<TrainingHost, "ready">, ExplorerEvents & TrainingEvents>(port, {
  ...shared,
  ready: noted("ready", () => ({ strings: {}, follow: lab.follow, run: lab.run, hasRuns: true })),
  inspectText: noted("inspectText", ({ text }) => {
    lab.inspect(text, "typed", "typed text");
    return null;
  }),
  follow: noted("follow", () => null),
  select: noted("select", () => null),
  models: () => [{ dir: shown().info.model.dir, name: shown().info.model.name }],
  inspectAlso: ({ text }) => tinyTrace(text, 1000).info,
  shade: noted("shade", () => null),
  saveTrace: noted("saveTrace", () => null),
  promptSets: () => [],
  savePromptSet: noted("savePromptSet", () => null),
  deletePromptSet: noted("deletePromptSet", () => true),
  importPrompts: noted("importPrompts", () => null),
  scrub: noted("scrub", () => {
    if (source) lab.inspect(source.text, source.kind, source.label);
    return null;
  }),
  retry: noted("retry", () => null),
  pause: noted("pause", () => null),
  stop: noted("stop", () => null),
  resume: noted("resume", () => null),
  activate: noted("activate", () => null),
  compare: noted("compare", () => null),
  openRun: noted("openRun", () => null),
  branch: noted("branch", () => null),
  paint: noted("paint", () => tinyPaint("It was the best of times, it was the worst of times.")),
  changeQueue: noted("changeQueue", () => null),
  resumeQueue: noted("resumeQueue", () => null),
  exportProject: noted("exportProject", () => null),
  stopFinding: noted("stopFinding", () => null),
});

Object.assign(window, {
  acquireVsCodeApi: () => ({
    postMessage: (message: Message) => answers(structuredClone(message)),
    getState: () => lab.state,
    setState: (state: unknown) => {
      lab.state = state;
      sessionStorage.setItem("state", JSON.stringify(state));
    },
  }),
});
