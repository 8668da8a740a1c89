/**
 * Packs parameters into flat vectors for training.
 *
 * An optimizer works element by element, and each graph operator costs microseconds regardless of its size, so small
 * parameters share one flat vector, their segment. Large parameters have their own, so that a segment fits into the CPU
 * cache during the dozen passes of Adam. Parameters with and without weight decay never share a segment.
 */

import { concat, type Node } from "../graph/node";
import { sizeOf } from "../graph/shape";
import { type ParamNodes, type ParamSpec, type Params, paramNodes } from "../nn/params";

export interface Segment {
  readonly name: string;
  readonly size: number;
  readonly decays: boolean;
  readonly params: readonly ParamSpec[];
}

const SEGMENT_SIZE = 1 << 18;

export function segmentsOf(specs: readonly ParamSpec[]): readonly Segment[] {
  const segments: Segment[] = [];
  for (const decays of [true, false]) {
    let params: ParamSpec[] = [];
    let size = 0;
    const close = () => {
      if (size > 0) segments.push({ name: `segment${segments.length}`, size, decays, params });
      params = [];
      size = 0;
    };
    for (const spec of specs.filter(({ role }) => (role === "matrix" || role === "residualMatrix") === decays)) {
      if (size + sizeOf(spec.shape) > SEGMENT_SIZE) close();
      params.push(spec);
      size += sizeOf(spec.shape);
    }
    close();
  }
  return segments;
}

/** The parameters as slices of their segments' vectors. */
export function unpackNodes(segments: readonly Segment[], flat: readonly Node[]): ParamNodes {
  const nodes = new Map<string, Node>();
  segments.forEach(({ params }, i) => {
    let start = 0;
    for (const { name, shape } of params) {
      const end = start + sizeOf(shape);
      nodes.set(name, (flat[i] as Node).slice(0, start, end).reshape(shape));
      start = end;
    }
  });
  return paramNodes(nodes);
}

/** The flat vector of a segment's parameters. */
export const packNodes = ({ params }: Segment, node: (name: string) => Node): Node =>
  concat(
    params.map(({ name, shape }) => node(name).reshape([sizeOf(shape)])),
    0,
  );

export function pack(segments: readonly Segment[], params: Params): Float32Array[] {
  return segments.map((segment) => {
    const flat = new Float32Array(segment.size);
    let start = 0;
    for (const { name, shape } of segment.params) {
      const values = params.get(name);
      if (values?.length !== sizeOf(shape))
        throw new Error(`pack: ${name} has ${values?.length} elements, not [${shape}]`);
      flat.set(values, start);
      start += values.length;
    }
    return flat;
  });
}

/** The parameters as views into their segments, without copies. */
export function unpack(segments: readonly Segment[], flat: readonly Float32Array[]): Map<string, Float32Array> {
  const params = new Map<string, Float32Array>();
  segments.forEach((segment, i) => {
    let start = 0;
    for (const { name, shape } of segment.params) {
      params.set(name, (flat[i] as Float32Array).subarray(start, start + sizeOf(shape)));
      start += sizeOf(shape);
    }
  });
  return params;
}
