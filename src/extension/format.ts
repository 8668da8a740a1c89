/** Numbers and times as the views show them. */

import { l10n } from "./l10n";

/** 270226 -> "270 k", 10788864 -> "10.8 M". */
export function count(n: number): string {
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (n >= size) return `${(n / size).toFixed(n >= 100 * size ? 0 : n >= 10 * size ? 1 : 2)} ${unit}`;
  }
  return String(n);
}

/** 3725 -> "1 h 2 min", 75 -> "1 min", 12 -> "12 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return l10n.t("{0} s", s);
  const minutes = Math.round(s / 60);
  if (minutes < 60) return l10n.t("{0} min", minutes);
  return l10n.t("{0} h {1} min", Math.floor(minutes / 60), minutes % 60);
}

export const deviceName = (device: string): string => ({ cpu: "CPU", webgpu: "GPU" })[device] ?? device;
