import type { Device } from "../../src/engine/api/model";
import type { Node } from "../../src/engine/graph/node";
import { lower } from "../../src/engine/runtime/lower";
import type { OnnxGraph, OnnxValue } from "../../src/engine/runtime/onnx";
import { type HostArray, Session } from "../../src/engine/runtime/session";

export type Feeds = Readonly<Record<string, HostArray>>;
/** Output values, with ids as plain numbers. */
export type Results = Readonly<Record<string, Float64Array>>;

/** Runs a graph once. Every operator must run on the given device. */
export const runGraph = (outputs: Readonly<Record<string, Node>>, feeds: Feeds, device: Device): Promise<Results> =>
  runOnnx(lower(outputs, device), feeds, device);

export async function runOnnx(graph: OnnxGraph, feeds: Feeds, device: Device): Promise<Results> {
  const [results] = await runTurns(graph, [() => feeds], device);
  return results as Results;
}

/** Runs a graph several times. The inputs of a turn can depend on the results of the previous one. */
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
 * Combines graphs into one, with the name of its graph as a prefix of each value. A session compiles a shader only once, and
 * a software GPU needs 0.1 s for each.
 */
export function sideBySide(graphs: Readonly<Record<string, OnnxGraph>>): OnnxGraph {
  const entries = Object.entries(graphs);
  const prefixed = (prefix: string, name: string) => (name === "" ? "" : `${prefix}/${name}`);
  const all = <T extends OnnxValue>(pick: (graph: OnnxGraph) => readonly T[]): T[] =>
    entries.flatMap(([prefix, graph]) =>
      pick(graph).map((value) => ({ ...value, name: prefixed(prefix, value.name) })),
    );
  return {
    name: "side_by_side",
    inputs: all((graph) => graph.inputs),
    outputs: all((graph) => graph.outputs),
    initializers: all((graph) => graph.initializers),
    nodes: entries.flatMap(([prefix, graph]) =>
      graph.nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map((name) => prefixed(prefix, name)),
        outputs: node.outputs.map((name) => prefixed(prefix, name)),
      })),
    ),
  };
}
