/** Formats of numbers, so that a value reads the same in a chart, a table and a file. */

/** A tensor's value with six significant digits; only zero reads as "0". */
export function formatValue(x: number): string {
  if (!Number.isFinite(x)) return String(x);
  if (x === 0) return "0";
  const size = Math.abs(x);
  return size >= 1e6 || size < 1e-4 ? x.toExponential(5) : x.toPrecision(6);
}

/** A value for an axis or a legend, where space is limited. */
export function formatShort(x: number): string {
  if (!Number.isFinite(x)) return String(x);
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return x.toExponential(1).replace("e+", "e");
  return String(Number(x.toPrecision(3)));
}

/** A number with three digits, including trailing zeros, so that those of a column align. */
export const formatDigits = (x: number): string =>
  Math.abs(x) >= 1000 ? formatCount(Math.round(x)) : x.toPrecision(3);

/** A probability as a percentage with enough digits that a rare token does not read as 0 %. */
export function formatPercent(p: number): string {
  if (p === 0) return "0 %";
  const percent = p * 100;
  if (percent < 1e-4) return `${percent.toExponential(1)} %`;
  if (percent < 0.01) return `${Number(percent.toPrecision(2))} %`;
  return `${percent.toFixed(percent < 1 ? 3 : percent < 10 ? 2 : 1)} %`;
}

/** Reads as `[1, 12, 128]`. */
export const formatShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** 270226 reads as 270,226 in every locale, as other numbers have a decimal point in every locale. */
export const formatCount = (n: number): string => n.toLocaleString("en-US");

/** `cpu` and `webgpu` as people write them. */
export const deviceName = (device: string): string => ({ cpu: "CPU", webgpu: "GPU" })[device] ?? device;

/** Number of parameters: `270 k`, `10.8 M`. */
export function formatParameters(n: number): string {
  if (n < 1000) return String(n);
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e5 ? 1 : 0)} k`;
  return `${(n / 1e6).toFixed(n < 1e8 ? 1 : 0)} M`;
}

/** Size on disk in powers of ten: `1.8 MB`. */
export function formatBytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const [unit, name] = n < 1e6 ? [1e3, "kB"] : n < 1e9 ? [1e6, "MB"] : ([1e9, "GB"] as const);
  return `${(n / unit).toPrecision(3)} ${name}`;
}

export const formatMilliseconds = (ms: number): string =>
  ms < 10 ? `${ms.toFixed(1)} ms` : `${formatCount(Math.round(ms))} ms`;

/** A duration: `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  // Lines do not break inside a duration.
  if (s < 60) return `${s}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}\u00a0min\u00a0${s % 60}\u00a0s`;
  return `${Math.floor(s / 3600)}\u00a0h\u00a0${Math.floor((s % 3600) / 60)}\u00a0min`;
}
