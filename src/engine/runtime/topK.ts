/** Top-k inside the graph, so that logits over the whole vocabulary are not copied to JavaScript. */

import { UNKNOWN } from "../graph/shape";
import type { OnnxGraph, OnnxNode } from "./onnx";

/**
 * Adds the largest elements of each row of the output `of` [N, V] to a graph, as the outputs `{of}.top` and `{of}.ids`
 * [N, count], largest first and equal ones by index; `{of}.count` [1] is a new input.
 */
export function withTopK(graph: OnnxGraph, of: string): OnnxGraph {
  const node: OnnxNode = {
    op: "TopK",
    domain: "",
    inputs: [of, `${of}.count`],
    outputs: [`${of}.top`, `${of}.ids`],
    attributes: { axis: -1, largest: 1, sorted: 1 },
  };
  const rows = [UNKNOWN, UNKNOWN];
  return {
    ...graph,
    inputs: [...graph.inputs, { name: `${of}.count`, type: "int64", shape: [1] }],
    outputs: [
      ...graph.outputs,
      { name: `${of}.top`, type: "float32", shape: rows },
      { name: `${of}.ids`, type: "int64", shape: rows },
    ],
    nodes: [...graph.nodes, node],
  };
}
