/**
 * How parameters are packed for training.
 *
 * An optimizer works element by element, and a graph operator costs microseconds whatever its size, so small
 * parameters share one flat vector, their segment. Large ones have their own, which keeps a segment inside the
 * processor's cache while the dozen passes of Adam go over it. Parameters that decay never share with those that do not.
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

/** The parameters as nodes cut out of their segments' flat vectors. */
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

/** Values of a segment's parameters as one flat vector. */
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

/** The parameters as views into their segments; nothing is copied. */
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
