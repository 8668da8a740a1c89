import type { Node } from "../../src/engine/graph/node";
import { lower } from "../../src/engine/runtime/lower";
import type { OnnxGraph } from "../../src/engine/runtime/onnx";
import { type Device, type HostArray, Session } from "../../src/engine/runtime/session";

/** Values of a run's outputs, with ids as plain numbers. */
export type Results = Readonly<Record<string, Float64Array>>;

/** Compiles a graph for a device, on which every operator must run, and runs it once. */
export async function runGraph(
  outputs: Readonly<Record<string, Node>>,
  feeds: Readonly<Record<string, HostArray>>,
  device: Device,
): Promise<Results> {
  return runOnnx(lower(outputs, device), feeds, device);
}

export async function runOnnx(
  graph: OnnxGraph,
  feeds: Readonly<Record<string, HostArray>>,
  device: Device,
): Promise<Results> {
  const session = await Session.create(graph, device, { threads: 1, forbidFallback: device === "webgpu" });
  try {
    const tensors = Object.entries(await session.run(feeds));
    return Object.fromEntries(
      tensors.map(([name, { data }]) => [name, Float64Array.from(data as Float32Array, Number)]),
    );
  } finally {
    await session.release();
  }
}
