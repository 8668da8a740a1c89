/** The binaries of onnxruntime-node in the VSIX of each platform. The package has those of every platform (288 MB). */

import { Failure, inRoot } from "./paths.ts";

export interface Target {
  /** Folder in onnxruntime-node's `bin/`. */
  readonly folder: string;
  readonly ships: readonly string[];
  /** Files of that folder that do not ship; docs/decisions says why. */
  readonly leavesOut: readonly string[];
}

const windows = (arch: string): Target => ({
  folder: `napi-v6/win32/${arch}`,
  // dxcompiler and dxil compile WebGPU shaders for Direct3D 12.
  ships: ["onnxruntime_binding.node", "onnxruntime.dll", "dxcompiler.dll", "dxil.dll"],
  leavesOut: ["DirectML.dll"],
});

const linux = (arch: string): Target => ({
  folder: `napi-v6/linux/${arch}`,
  ships: ["onnxruntime_binding.node", "libonnxruntime.so.1"],
  leavesOut: [],
});

export const targets = {
  "linux-x64": linux("x64"),
  "linux-arm64": linux("arm64"),
  "win32-x64": windows("x64"),
  "win32-arm64": windows("arm64"),
  "darwin-arm64": {
    folder: "napi-v6/darwin/arm64",
    ships: ["onnxruntime_binding.node", "libonnxruntime.1.dylib"],
    leavesOut: ["libonnxruntime.1.30.0.dylib"],
  },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;

export const targetNames = Object.keys(targets) as TargetName[];

/** The target of this machine. */
export function requireHostTarget(): TargetName {
  const host = `${process.platform}-${process.arch}`;
  const target = targetNames.find((name) => name === host);
  if (!target) throw new Failure(`Decoder Lab does not support ${host}. Supported: ${targetNames.join(", ")}.`);
  return target;
}

export const vsixPath = (target: TargetName): string => inRoot("out", "vsix", `decoder-lab-${target}.vsix`);
