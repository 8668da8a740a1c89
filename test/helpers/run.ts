import type { Device } from "../../src/engine/api/model";
import type { Node } from "../../src/engine/graph/node";
import { lower } from "../../src/engine/runtime/lower";
import type { OnnxGraph, OnnxValue } from "../../src/engine/runtime/onnx";
import { type HostArray, Session } from "../../src/engine/runtime/session";

export type Feeds = Readonly<Record<string, HostArray>>;
/** Values of a run's outputs, with ids as plain numbers. */
export type Results = Readonly<Record<string, Float64Array>>;

/** Runs a graph once on a device, on which every operator must run. */
export const runGraph = (outputs: Readonly<Record<string, Node>>, feeds: Feeds, device: Device): Promise<Results> =>
  runOnnx(lower(outputs, device), feeds, device);

export async function runOnnx(graph: OnnxGraph, feeds: Feeds, device: Device): Promise<Results> {
  const [results] = await runTurns(graph, [() => feeds], device);
  return results as Results;
}

/** Runs a graph several times; the values of a turn can depend on what the turn before gave. */
export async function runTurns(
  graph: OnnxGraph,
  turns: readonly ((before: Results) => Feeds)[],
  device: Device,
): Promise<Results[]> {
  const session = await Session.create(graph, device, { threads: 1, forbidFallback: device === "webgpu" });
  try {
    const all: Results[] = [];
    for (const feeds of turns) {
      const tensors = Object.entries(await session.run(feeds(all.at(-1) ?? {})));
      all.push(
        Object.fromEntries(tensors.map(([name, { data }]) => [name, Float64Array.from(data as Float32Array, Number)])),
      );
    }
    return all;
  } finally {
    await session.release();
  }
}

/**
 * Several graphs as one, each value's name led by its graph's. A session compiles a shader once, and a software GPU
 * takes 0.1 s for each.
 */
export function sideBySide(graphs: Readonly<Record<string, OnnxGraph>>): OnnxGraph {
  const entries = Object.entries(graphs);
  const led = (prefix: string, name: string) => (name === "" ? "" : `${prefix}/${name}`);
  const all = <T extends OnnxValue>(pick: (graph: OnnxGraph) => readonly T[]): T[] =>
    entries.flatMap(([prefix, graph]) => pick(graph).map((value) => ({ ...value, name: led(prefix, value.name) })));
  return {
    name: "side_by_side",
    inputs: all((graph) => graph.inputs),
    outputs: all((graph) => graph.outputs),
    initializers: all((graph) => graph.initializers),
    nodes: entries.flatMap(([prefix, graph]) =>
      graph.nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map((name) => led(prefix, name)),
        outputs: node.outputs.map((name) => led(prefix, name)),
      })),
    ),
  };
}
