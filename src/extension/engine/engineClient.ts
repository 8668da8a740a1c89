/**
 * Owns the engine process: starts it at first need, restarts it after a crash, ends it with the window.
 *
 * Knows nothing of VS Code, so that it is tested with real processes that are killed.
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
  /** Not needed yet. */
  | { readonly kind: "idle" }
  | { readonly kind: "running" }
  | {
      readonly kind: "restarting";
      readonly message: string /** From the GPU to the CPU. */;
      readonly fallsBack: boolean;
    }
  /** Crashed too often, or could not be started; only `restart` brings it back. */
  | { readonly kind: "stopped"; readonly message: string };

export interface EngineOptions {
  /** The bundled worker. */
  readonly script: string;
  /** A Node binary to use instead of this process's own. */
  readonly runtime: () => string | undefined;
  readonly device: () => DeviceChoice;
  readonly log: { info(message: string): void; warn(message: string): void; error(message: string): void };
  /** Called on every change. */
  readonly onState?: (state: EngineState) => void;
}

/** How long a process may take to end when it is asked to. */
const END_WITHIN = 1500;
const KEEP_STDERR = 64 * 1024;

export class EngineClient {
  readonly #options: EngineOptions;
  #state: EngineState = { kind: "idle" };
  #engine: Running | undefined;
  #crashes: Crash[] = [];
  #restart: NodeJS.Timeout | undefined;
  /** Set after a crash on the GPU; holds until the user restarts the engine. */
  #fallback: DeviceChoice | undefined;
  #disposed = false;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  get state(): EngineState {
    return this.#state;
  }

  /** The process, for tests and for the log. */
  get pid(): number | undefined {
    return this.#engine?.child.pid;
  }

  /** The device the engine is told to use. */
  get deviceChoice(): DeviceChoice {
    return this.#fallback ?? this.#options.device();
  }

  /** Asks the engine, starting it if it is not running. Rejects with one sentence when it ends meanwhile. */
  call<M extends keyof EngineApi & string>(
    method: M,
    params: Params<EngineApi, M>,
    options?: CallOptions<Progress<EngineApi, M>>,
  ): Promise<Result<EngineApi, M>> {
    if (this.#disposed) return Promise.reject(new RemoteError("gone", l10n.t("The window is closing.")));
    if (this.#state.kind === "stopped") return Promise.reject(new RemoteError("gone", this.#state.message));
    return (this.#engine ?? this.#start()).client.call(method, params, options);
  }

  /** The device that the running engine was seen using last. */
  get device(): Device | null {
    return this.#engine?.device ?? null;
  }

  /** The engine was seen using this device: remembered in case it crashes. */
  noteDevice(device: Device): void {
    if (this.#engine) this.#engine.device = device;
  }

  /** Ends the process if there is one and starts another, forgetting earlier crashes. */
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
      execArgv: [],
      serialization: "advanced",
      env: engineEnvironment(choice),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const client = connect<EngineApi>({
      post: (message: Message) => {
        // A failed send is followed by "exit", which rejects what is pending.
        if (child.connected) child.send(message, () => {});
      },
      onMessage: (listener) => {
        child.on("message", (message: unknown) => {
          if (isMessage(message)) listener(message);
        });
      },
    });
    const engine: Running = { child, client, choice, device: null, stderr: "", execPath, ending: false };
    this.#engine = engine;

    const keep = (chunk: string) => {
      engine.stderr = (engine.stderr + chunk).slice(-KEEP_STDERR);
    };
    child.stderr?.setEncoding("utf8").on("data", keep);
    child.stdout?.setEncoding("utf8").on("data", keep);
    child.once("error", (error) => this.#failedToStart(engine, error));
    child.once("exit", (code, signal) => this.#exited(engine, code, signal));

    log.info(`engine ${child.pid ?? "?"} started: ${execPath}, device ${choice}`);
    this.#setState({ kind: "running" });
    return engine;
  }

  #failedToStart(engine: Running, error: Error): void {
    // "error" also follows a failed kill or send; only a process that never was is a failed start.
    if (engine.child.pid !== undefined) return;
    const message = l10n.t("The engine could not be started with {0}: {1}", engine.execPath, error.message);
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
    };
    this.#crashes.push(crash);
    const how = explainExit(crash);
    this.#options.log.error(`engine ${engine.child.pid} exited: code ${code}, signal ${signal}. ${how}`);
    if (engine.stderr) this.#options.log.error(`the engine's last output:\n${engine.stderr}`);
    engine.client.close(how);

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
      const kill = setTimeout(() => child.kill("SIGKILL"), END_WITHIN);
      child.once("exit", () => {
        clearTimeout(kill);
        resolve();
      });
      // The worker ends when its channel closes, after it has let go of what it was writing.
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
  stderr: string;
  /** It was asked to end, so that its end is not a crash. */
  ending: boolean;
}

/** The engine's environment, in one place. */
function engineEnvironment(device: DeviceChoice): NodeJS.ProcessEnv {
  return {
    ...process.env,
    // The editor's own binary is Electron, which behaves as Node with this; a real Node ignores it.
    ELECTRON_RUN_AS_NODE: "1",
    DECODER_LAB_DEVICE: device,
    DECODER_LAB_PARENT: String(process.pid),
  };
}
