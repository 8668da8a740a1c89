/**
 * The process that owns a temporary file or a lock, and whether it still runs.
 *
 * A process id alone may have been given to another process since, so the start of the process is stored with it.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname, uptime } from "node:os";

export interface Owner {
  readonly pid: number;
  /** Identifies the start of the process; "0" where the system does not report it. */
  readonly start: string;
  /** Identifies the machine. */
  readonly host: string;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** A process as Linux reports it: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function linuxStat(pid: number): { readonly isDead: boolean; readonly start: string } | null {
  // The name in parentheses may contain spaces and parentheses.
  const fields = /\) (.*)/s.exec(read(`/proc/${pid}/stat`))?.[1]?.split(" ");
  const [state, ticks] = [fields?.[0], fields?.[19]];
  if (state === undefined || ticks === undefined) return null;
  return { isDead: /[ZXx]/.test(state), start: digest(`${read("/proc/sys/kernel/random/boot_id")} ${ticks}`) };
}

/** The start of a running process, or "0". Windows has no fast way to read it. */
function startOf(pid: number): string {
  if (process.platform === "linux") return linuxStat(pid)?.start ?? "0";
  if (process.platform === "win32") return "0";
  try {
    const options = { encoding: "utf8", stdio: "pipe", env: { LC_ALL: "C" } } as const;
    return digest(execFileSync("/bin/ps", ["-o", "lstart=", "-p", String(pid)], options).trim());
  } catch {
    return "0";
  }
}

let own: Owner | undefined;

/** This process. */
export const self = (): Owner =>
  (own ??= { pid: process.pid, start: startOf(process.pid), host: digest(`${hostname()} ${read("/etc/machine-id")}`) });

export const isLocal = ({ host }: Pick<Owner, "host">): boolean => host === self().host;

/** Returns true if a process of this machine no longer runs. `since` is a time at which it ran, in ms since 1970. */
export function isGone({ pid, start }: Owner, since: number): boolean {
  if (pid === process.pid && start === self().start) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process exists but belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return true;
  }
  if (process.platform === "linux" && linuxStat(pid)?.isDead) return true;
  const now = start === "0" ? "0" : startOf(pid);
  if (start !== "0" && now !== "0") return now !== start;
  // Without the start of the process, a restart of the machine still proves that it is another one.
  return since < Date.now() - uptime() * 1000 - CLOCK_TOLERANCE_MS;
}

const CLOCK_TOLERANCE_MS = 60_000;
