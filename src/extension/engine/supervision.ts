/**
 * What to do when the engine process ends by itself: pure, so that every case is a test.
 *
 * As language clients do it: up to 4 restarts, and the 5th crash within 3 minutes stops. Older crashes are forgotten.
 */

import type { Device, DeviceChoice } from "../../protocol/engineApi";
import { l10n } from "../l10n";

export interface Crash {
  /** Milliseconds on any clock that only goes forward. */
  readonly at: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the engine was told to use. */
  readonly choice: DeviceChoice;
  /** What it was seen using, if it had come that far. */
  readonly device: Device | null;
  /** The setting `decoderLab.engine.runtime` was in use. */
  readonly ownRuntime: boolean;
}

export type Verdict =
  | { readonly kind: "restart"; readonly delay: number; readonly choice: DeviceChoice; readonly message: string }
  | { readonly kind: "giveUp"; readonly message: string };

const WINDOW = 3 * 60_000;
const MAX_CRASHES = 5;
const DELAYS = [50, 150, 400, 1000];

/** Decides after the last of `crashes`, which are in order. */
export function afterCrash(crashes: readonly Crash[]): Verdict {
  const last = crashes.at(-1);
  if (!last) throw new Error("afterCrash: there must be a crash");
  const recent = crashes.filter((crash) => last.at - crash.at < WINDOW);
  const why = explainExit(last);

  if (recent.length >= MAX_CRASHES) {
    return {
      kind: "giveUp",
      message: l10n.t(
        "The engine crashed {0} times in the last 3 minutes and was not started again. {1}",
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
    message: fallBack ? `${why} ${l10n.t("It was using the GPU, so it starts again on the CPU.")}` : why,
  };
}

/** A driver's fault ends a process by a signal of its own or by an exit code; SIGKILL and SIGTERM come from outside. */
function mayBeTheGpu({ choice, device, signal }: Crash): boolean {
  if (signal === "SIGKILL" || signal === "SIGTERM") return false;
  return device === "webgpu" || (device === null && choice === "webgpu");
}

const NATIVE_FAULTS: readonly (NodeJS.Signals | null)[] = ["SIGTRAP", "SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL"];
/** Windows has no signals: access violation, stack overflow, heap corruption, abort. */
const WINDOWS_FAULTS = [0xc0000005, 0xc00000fd, 0xc0000374, 0xc0000409];

/** One sentence or two: how the process ended and what may help. */
export function explainExit({ code, signal, ownRuntime }: Pick<Crash, "code" | "signal" | "ownRuntime">): string {
  if (signal === "SIGKILL") {
    return l10n.t("The engine was killed from outside, perhaps because the machine is out of memory.");
  }
  const native = NATIVE_FAULTS.includes(signal) || (code !== null && WINDOWS_FAULTS.includes(code >>> 0));
  if (native) {
    const how = l10n.t("The engine crashed in native code ({0}).", signal ?? `0x${((code ?? 0) >>> 0).toString(16)}`);
    const remedy = ownRuntime
      ? l10n.t("If it happens again, set the device to CPU in the setting decoderLab.engine.device.")
      : l10n.t("If it happens again, set a Node.js binary in the setting decoderLab.engine.runtime.");
    return `${how} ${remedy}`;
  }
  if (signal) return l10n.t("The engine was ended by {0}.", signal);
  return l10n.t("The engine ended by itself with exit code {0}.", code ?? "?");
}
