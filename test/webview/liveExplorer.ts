/** The Model Explorer's page on the real engine, with a model's folder. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { forwardTo } from "../../src/extension/explore/traceChecks";
import type { EngineApi, TraceInfo } from "../../src/protocol/engineApi";
import { type Client, connect, type Message, type Port, serve } from "../../src/protocol/rpc";
import type {
  CheckpointsShown,
  Completion,
  ExplorerEvents,
  ExplorerHost,
  FileToSave,
  PromptSet,
  Selected,
} from "../../src/protocol/webviewApi";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";
import { ORIGIN, openPage, type PageFiles } from "./openPage";
import { packed } from "./parcels";
import type { ThemeKind } from "./themes";

export interface LiveExplorer {
  readonly page: Page;
  /** The engine of the page's host, which has the traces that the page shows. */
  readonly engine: Client<EngineApi>;
  /** Errors that the page logged. */
  readonly errors: string[];
  /** Selections that the page sent. */
  readonly selected: readonly Selected[];
  /** The weights that it sent to shade the editor with. */
  readonly shaded: readonly (Float32Array | null)[];
  /** Files that it saved. */
  readonly saved: readonly FileToSave[];
  /** Prompts that the page imports. */
  readonly imported: string[];
  /** Serves a large array once and returns its URL. */
  readonly parcel: (bytes: Uint8Array) => string;
  /** Traces a text with a model and shows the trace. */
  readonly show: (dir: string, text: string, completion?: Completion) => Promise<TraceInfo>;
  /** Sends the checkpoints of the model that is shown. */
  readonly sendCheckpoints: (shown: CheckpointsShown) => void;
}

/** Opens a page bundled by `bundlePage("explorer", "relayInPage")`. */
export async function openLiveExplorer(
  browser: Browser,
  files: PageFiles,
  theme: ThemeKind,
  size: { width: number; height: number },
): Promise<LiveExplorer> {
  const [here, there] = portPair();
  serve<EngineApi>(there, engineService("cpu"));
  const engine = connect<EngineApi>(here);

  let page: Page | undefined;
  const parcel = await serveParcels();
  let listener: (message: Message) => void = () => undefined;
  const port: Port = {
    post: (message) => {
      const sent = packed(message, parcel);
      void page?.evaluate((each) => window.fromHost(each), sent).catch(() => undefined);
    },
    onMessage: (listen) => {
      listener = listen;
    },
  };
  let shown: TraceInfo | null = null;
  /** Names of the models that were shown, by folder. */
  const models = new Map<string, string>();
  const done = () => null;
  const selected: Selected[] = [];
  const shaded: (Float32Array | null)[] = [];
  const saved: FileToSave[] = [];
  const promptSets = new Map<string, PromptSet>();
  const imported: string[] = [];
  const show: LiveExplorer["show"] = async (dir, text, completion) => {
    shown = await engine.call("inspect", { dir, text });
    models.set(shown.model.dir, shown.model.name);
    server.send("trace", {
      trace: shown,
      source: { kind: "selection", label: "story.txt, selection from line 1", text, truncated: false, completion },
    });
    return shown;
  };
  const server = serve<ExplorerHost, ExplorerEvents>(port, {
    ...forwardTo(engine),
    ready: () => ({ strings: {}, follow: false }),
    inspectText: async ({ text }) => {
      if (shown) await show(shown.model.dir, text);
      return null;
    },
    models: () => [...models].map(([dir, name]) => ({ dir, name })),
    inspectAlso: (params) => engine.call("inspect", params),
    follow: done,
    retry: done,
    act: done,
    save: (file) => {
      saved.push(file);
      return null;
    },
    scrub: done,
    select: (now) => {
      selected.push(now);
      return null;
    },
    shade: ({ weights }) => {
      shaded.push(weights);
      return null;
    },
    saveTrace: done,
    promptSets: () => [...promptSets.values()],
    savePromptSet: (set) => {
      promptSets.set(set.name, set);
      return null;
    },
    deletePromptSet: ({ name }) => promptSets.delete(name),
    importPrompts: () => imported,
  });

  const opened = await openPage(browser, files, theme, size, "", async (blank) => {
    page = blank;
    await blank.exposeFunction("toHost", (message: Message) => listener(message));
  });
  const sendCheckpoints = (now: CheckpointsShown) => server.send("checkpoints", now);
  return { ...opened, parcel, engine, selected, shaded, saved, imported, show, sendCheckpoints };
}

/** Serves large arrays on this machine, each once. The returned function adds one and returns its URL. */
async function serveParcels(): Promise<(bytes: Uint8Array) => string> {
  const parcels: (Uint8Array | null)[] = [];
  const server = createServer(({ url }, answer) => {
    const number = Number(url?.slice(1));
    answer.setHeader("Access-Control-Allow-Origin", ORIGIN).end(parcels[number]);
    parcels[number] = null;
  });
  // Does not keep the process alive after the tests.
  server.unref();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return (bytes) => `http://127.0.0.1:${port}/${parcels.push(bytes) - 1}`;
}
