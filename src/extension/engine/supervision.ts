/**
 * Decides what to do after the engine process has crashed.
 *
 * The rule of VS Code's language clients: up to 4 restarts, but none after the 5th crash within 3 minutes.
 */

import type { Device, DeviceChoice } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export interface Crash {
  /** Time in milliseconds on a monotonic clock. */
  readonly at: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The requested device. */
  readonly choice: DeviceChoice;
  /** The device that the engine reported, if it got that far. */
  readonly device: Device | null;
  /** True if the setting `decoderLab.engine.runtime` was used. */
  readonly ownRuntime: boolean;
  /** The last output of the process. */
  readonly output?: string;
}

export type Verdict =
  | { readonly kind: "restart"; readonly delay: number; readonly choice: DeviceChoice; readonly message: string }
  | { readonly kind: "giveUp"; readonly message: string };

const WINDOW = 3 * 60_000;
const MAX_CRASHES = 5;
const DELAYS = [50, 150, 400, 1000];

/** The verdict after the last of `crashes`, which are in the order of time. */
export function afterCrash(crashes: readonly Crash[]): Verdict {
  const last = crashes.at(-1);
  if (!last) throw new Error("afterCrash: there must be a crash");
  const recent = crashes.filter((crash) => last.at - crash.at < WINDOW);
  const why = explainExit(last);

  if (recent.length >= MAX_CRASHES) {
    return {
      kind: "giveUp",
      message: l10n.t(
        "The engine crashed {0} times in the last 3 minutes and was not restarted. {1}",
        recent.length,
        why,
      ),
    };
  }
  const fallBack = mayBeTheGpu(last);
  return {
    kind: "restart",
    delay: DELAYS[recent.length - 1] ?? 1000,
    choice: fallBack ? "cpu" : last.choice,
    message: fallBack ? `${why} ${l10n.t("It was using the GPU and has been restarted on the CPU.")}` : why,
  };
}

/** A faulty driver ends a process with another signal or an exit code; SIGKILL and SIGTERM come from outside. */
function mayBeTheGpu(crash: Crash): boolean {
  const { choice, device } = crash;
  const signal = signalOf(crash);
  if (signal === "SIGKILL" || signal === "SIGTERM" || shortageOf(crash) !== null) return false;
  return device === "webgpu" || (device === null && choice === "webgpu");
}

const NATIVE_FAULTS: readonly (NodeJS.Signals | null)[] = [
  "SIGTRAP",
  "SIGABRT",
  "SIGSEGV",
  "SIGBUS",
  "SIGILL",
  "SIGFPE",
];
/** Exit codes on Windows, which has no signals: access violation, stack overflow, heap corruption, abort. */
const WINDOWS_FAULTS = [0xc0000005, 0xc00000fd, 0xc0000374, 0xc0000409];
/** Windows: no memory, the limit of committed memory, and V8's own code. */
const WINDOWS_MEMORY = [0xc0000017, 0xc000012d, 0xe0000008];
/** A shell or a wrapper script reports a signal as an exit code: 128 and its number. */
const SHELL_SIGNALS: Readonly<Record<number, NodeJS.Signals>> = {
  132: "SIGILL",
  133: "SIGTRAP",
  134: "SIGABRT",
  135: "SIGBUS",
  136: "SIGFPE",
  137: "SIGKILL",
  139: "SIGSEGV",
  143: "SIGTERM",
};

type Exit = Pick<Crash, "code" | "signal" | "output">;

const signalOf = ({ code, signal }: Exit): NodeJS.Signals | null => signal ?? SHELL_SIGNALS[code ?? 0] ?? null;

/** Characters; earlier output has other causes. V8 prints a page of addresses after its message. */
const LAST_OUTPUT = 8000;

/** Returns the resource that the process ran out of, if its last output or its exit code says so. */
function shortageOf(exit: Exit): "heap" | "memory" | "files" | null {
  const { code } = exit;
  // A process that was killed from outside had no time to say why.
  if (["SIGKILL", "SIGTERM"].includes(signalOf(exit) ?? "")) return null;
  const output = (exit.output ?? "").slice(-LAST_OUTPUT);
  if (/JavaScript heap out of memory|invalid (?:array|table|size) .*Allocation failed/i.test(output)) return "heap";
  const isMemory = /bad_alloc|Fatal process out of memory|cannot allocate memory|\bENOMEM\b/i.test(output);
  if (isMemory || (code !== null && WINDOWS_MEMORY.includes(code >>> 0))) return "memory";
  return /\b(?:EMFILE|ENFILE)\b|too many open files/i.test(output) ? "files" : null;
}

/** Says in one or two sentences how the process ended and what may help. */
export function explainExit(exit: Pick<Crash, "code" | "signal" | "ownRuntime" | "output">): string {
  const { code, ownRuntime } = exit;
  const signal = signalOf(exit);
  switch (shortageOf(exit)) {
    case "heap":
      return l10n.t("The engine ran out of JavaScript memory. Use a smaller text or a smaller model.");
    case "memory":
      return l10n.t("The engine ran out of memory. Close other programs, or use a smaller model or smaller batches.");
    case "files":
      return l10n.t("The engine had too many open files. Close other programs or raise the limit of open files.");
    case null:
  }
  if (signal === "SIGKILL") {
    return l10n.t("The engine was killed, perhaps because the machine ran out of memory.");
  }
  const native = NATIVE_FAULTS.includes(signal) || (code !== null && WINDOWS_FAULTS.includes(code >>> 0));
  if (native) {
    const how = l10n.t("The engine crashed in native code ({0}).", signal ?? `0x${((code ?? 0) >>> 0).toString(16)}`);
    const remedy = ownRuntime
      ? l10n.t("If it happens again, set the device to CPU in the setting decoderLab.engine.device.")
      : l10n.t("If it happens again, set a Node.js binary in the setting decoderLab.engine.runtime.");
    return `${how} ${remedy}`;
  }
  if (signal) return l10n.t("The engine was terminated by {0}.", signal);
  return l10n.t("The engine exited unexpectedly (code {0}).", code ?? "?");
}
