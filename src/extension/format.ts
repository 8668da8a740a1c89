/** Formats numbers and durations for display. */

import { l10n } from "./l10n";

/** 100000 -> "100,000", as in the pages. */
export const grouped = (n: number): string => n.toLocaleString("en-US");

/** 270226 -> "270 k", 10788864 -> "10.8 M". */
export const count = (n: number): string => inThousands(n, ["k", "M", "G"]) ?? String(n);

/** 548105171 -> "548 MB", 1.3e9 -> "1.30 GB". */
export const bytes = (n: number): string => inThousands(n, ["kB", "MB", "GB"]) ?? `${Math.round(n)} B`;

function inThousands(n: number, units: readonly [string, string, string]): string | undefined {
  for (const [i, size] of [1e9, 1e6, 1e3].entries()) {
    if (n >= size) return `${(n / size).toFixed(n >= 100 * size ? 0 : n >= 10 * size ? 1 : 2)} ${units[2 - i]}`;
  }
  return undefined;
}

/** 3725 -> "1 h 2 min", 75 -> "1 min", 12 -> "12 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return unbroken(l10n.t("{0} s", s));
  const minutes = Math.round(s / 60);
  if (minutes < 60) return unbroken(l10n.t("{0} min", minutes));
  return unbroken(l10n.t("{0} h {1} min", Math.floor(minutes / 60), minutes % 60));
}

/** With spaces at which lines do not break. */
const unbroken = (text: string): string => text.replaceAll(" ", "\u00a0");

export const deviceName = (device: string): string => ({ cpu: "CPU", webgpu: "GPU" })[device] ?? device;
