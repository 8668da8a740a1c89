/**
 * Owns the engine process: starts it with the first call, restarts it after a crash, and ends it with the window.
 *
 * Does not import `vscode`, so that tests can run and kill real processes.
 */

import { type ChildProcess, fork } from "node:child_process";
import type { Device, DeviceChoice, EngineApi } from "../../protocol/engineApi";
import {
  type CallOptions,
  type Client,
  connect,
  isMessage,
  type Message,
  type Params,
  type Progress,
  RemoteError,
  type Result,
} from "../../protocol/rpc";
import { l10n } from "../l10n";
import { afterCrash, type Crash, explainExit } from "./supervision";

export type EngineState =
  /** No call yet. */
  | { readonly kind: "idle" }
  | { readonly kind: "running" }
  | {
      readonly kind: "restarting";
      readonly message: string;
      /** True when the next engine uses the CPU instead of the GPU. */
      readonly fallsBack: boolean;
    }
  /** Crashed too often or failed to start. Only `restart` starts it again. */
  | { readonly kind: "stopped"; readonly message: string };

export interface EngineOptions {
  /** The bundled worker. */
  readonly script: string;
  /** A Node.js binary to use instead of the binary of this process. */
  readonly runtime: () => string | undefined;
  readonly device: () => DeviceChoice;
  /** Minutes without use after which the engine unloads a model; 0 keeps models. */
  readonly unloadAfter?: () => number;
  /** The folder of model folders, where the engine deletes what killed processes have left. */
  readonly modelsDir?: () => string;
  readonly log: { info(message: string): void; warn(message: string): void; error(message: string): void };
  /** Called on every change. */
  readonly onState?: (state: EngineState) => void;
}

/** Time for the process to exit before it is killed, in milliseconds. */
const EXIT_TIMEOUT = 1500;
/** Characters of output to keep for the log. */
const MAX_OUTPUT = 64 * 1024;

export class EngineClient {
  readonly #options: EngineOptions;
  #state: EngineState = { kind: "idle" };
  #engine: Running | undefined;
  #crashes: Crash[] = [];
  #restart: NodeJS.Timeout | undefined;
  /** Set by a crash on the GPU until the user restarts the engine. */
  #fallback: DeviceChoice | undefined;
  #disposed = false;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  get state(): EngineState {
    return this.#state;
  }

  /** The process id, for tests. */
  get pid(): number | undefined {
    return this.#engine?.child.pid;
  }

  /** The device setting that applies, after any fallback. */
  get deviceChoice(): DeviceChoice {
    return this.#fallback ?? this.#options.device();
  }

  /** Calls the engine and starts it if needed. Rejects with one sentence if it exits meanwhile. */
  call<M extends keyof EngineApi & string>(
    method: M,
    params: Params<EngineApi, M>,
    options?: CallOptions<Progress<EngineApi, M>>,
  ): Promise<Result<EngineApi, M>> {
    if (this.#disposed) return Promise.reject(new RemoteError("gone", l10n.t("The window is closing.")));
    if (this.#state.kind === "stopped") return Promise.reject(new RemoteError("gone", this.#state.message));
    return (this.#engine ?? this.#start()).client.call(method, params, options);
  }

  /** The device that the running engine last reported. */
  get device(): Device | null {
    return this.#engine?.device ?? null;
  }

  /** Remembers the device that the engine reported, in case it crashes. */
  noteDevice(device: Device): void {
    if (this.#engine) this.#engine.device = device;
  }

  /** Starts a new process after ending the current one, if any. Earlier crashes no longer count. */
  async restart(): Promise<void> {
    clearTimeout(this.#restart);
    await this.#end(l10n.t("The engine is being restarted."));
    this.#crashes = [];
    this.#fallback = undefined;
    if (!this.#disposed) this.#start();
  }

  /** Ends the process within 2 seconds. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    clearTimeout(this.#restart);
    await this.#end(l10n.t("The window is closing."));
  }

  #start(): Running {
    clearTimeout(this.#restart);
    const { script, runtime, log } = this.#options;
    const execPath = runtime() || process.execPath;
    const choice = this.deviceChoice;
    const child = fork(script, [], {
      execPath,
      // For debugging: the port for `node --inspect`, as .vscode/launch.json sets it.
      execArgv: process.env.DECODER_LAB_INSPECT ? [`--inspect=${process.env.DECODER_LAB_INSPECT}`] : [],
      serialization: "advanced",
      env: engineEnvironment(choice, this.#options),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const client = connect<EngineApi>({
      post: (message: Message) => {
        // "exit" follows a failed send and rejects the pending calls.
        if (child.connected) child.send(message, () => {});
      },
      onMessage: (listener) => {
        child.on("message", (message: unknown) => {
          if (isMessage(message)) listener(message);
        });
      },
    });
    const engine: Running = { child, client, choice, device: null, output: "", execPath, ending: false };
    this.#engine = engine;

    const keepOutput = (chunk: string) => {
      engine.output = (engine.output + chunk).slice(-MAX_OUTPUT);
    };
    child.stderr?.setEncoding("utf8").on("data", keepOutput);
    child.stdout?.setEncoding("utf8").on("data", keepOutput);
    child.once("error", (error) => this.#failedToStart(engine, error));
    child.once("exit", (code, signal) => this.#exited(engine, code, signal));

    log.info(`engine ${child.pid ?? "?"} started: ${execPath}, device ${choice}`);
    this.#setState({ kind: "running" });
    return engine;
  }

  #failedToStart(engine: Running, error: Error): void {
    // "error" also follows a failed kill or send. Without a process id, the start failed.
    if (engine.child.pid !== undefined) return;
    const message = l10n.t("Could not start the engine with {0}: {1}", engine.execPath, error.message);
    this.#options.log.error(message);
    engine.client.close(message);
    if (this.#engine === engine) this.#engine = undefined;
    this.#setState({ kind: "stopped", message });
  }

  #exited(engine: Running, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#engine === engine) this.#engine = undefined;
    if (engine.ending) {
      this.#options.log.info(`engine ${engine.child.pid} ended`);
      return;
    }
    const crash: Crash = {
      at: performance.now(),
      code,
      signal,
      choice: engine.choice,
      device: engine.device,
      ownRuntime: engine.execPath !== process.execPath,
      output: engine.output,
    };
    this.#crashes.push(crash);
    const reason = explainExit(crash);
    this.#options.log.error(`engine ${engine.child.pid} exited: code ${code}, signal ${signal}. ${reason}`);
    if (engine.output) this.#options.log.error(`last output of the engine:\n${engine.output}`);
    engine.client.close(reason);

    const verdict = afterCrash(this.#crashes);
    if (verdict.kind === "giveUp") {
      this.#setState({ kind: "stopped", message: verdict.message });
      return;
    }
    const fallsBack = verdict.choice !== engine.choice;
    if (fallsBack) this.#fallback = verdict.choice;
    this.#setState({ kind: "restarting", message: verdict.message, fallsBack });
    this.#restart = setTimeout(() => {
      if (!this.#engine && !this.#disposed) this.#start();
    }, verdict.delay);
  }

  async #end(reason: string): Promise<void> {
    const engine = this.#engine;
    this.#engine = undefined;
    if (!engine) return;
    engine.ending = true;
    engine.client.close(reason);
    const { child } = engine;
    if (child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const kill = setTimeout(() => child.kill("SIGKILL"), EXIT_TIMEOUT);
      child.once("exit", () => {
        clearTimeout(kill);
        resolve();
      });
      // The worker exits when its channel closes, after it has closed the files that it was writing.
      if (child.connected) child.disconnect();
      else child.kill("SIGKILL");
    });
  }

  #setState(state: EngineState): void {
    this.#state = state;
    this.#options.onState?.(state);
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly client: Client<EngineApi>;
  readonly choice: DeviceChoice;
  readonly execPath: string;
  device: Device | null;
  output: string;
  /** True once the process was told to exit, which then is not a crash. */
  ending: boolean;
}

function engineEnvironment(device: DeviceChoice, { unloadAfter, modelsDir }: EngineOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // Makes the editor's Electron binary behave as Node.js. A real Node.js ignores it.
    ELECTRON_RUN_AS_NODE: "1",
    DECODER_LAB_DEVICE: device,
    DECODER_LAB_PARENT: String(process.pid),
    ...(unloadAfter && { DECODER_LAB_UNLOAD_AFTER: String(unloadAfter()) }),
    ...(modelsDir && { DECODER_LAB_MODELS: modelsDir() }),
  };
}
