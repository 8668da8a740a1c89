import { describe, expect, test } from "vitest";
import { EngineError, ShapeError } from "../../../src/engine/errors";
import {
  concat,
  constant,
  input,
  layerNorm,
  linear,
  type Node,
  rows,
  scatterRows,
  topoSort,
} from "../../../src/engine/graph/node";
import type { Shape } from "../../../src/engine/graph/shape";
import { evaluate } from "../../helpers/evaluate";

const x = (...shape: number[]) => input("x", shape);

describe("creating a node with incompatible shapes throws an error that names them", () => {
  const cases: Readonly<Record<string, () => Node>> = {
    "matmul: inner dimensions differ, got a [2, 3] and b [4, 5]": () => x(2, 3).matmul(x(4, 5)),
    "matmul: inner dimensions differ, got a [2, 3] and b [3, 5]": () => x(2, 3).matmul(x(3, 5), { transB: true }),
    "matmul: leading dimensions differ, got a [2, 3, 4] and b [4, 5]": () => x(2, 3, 4).matmul(x(4, 5)),
    "matmul: leading dimensions differ, got a [3] and b [3, 5]": () => x(3).matmul(x(3, 5)),
    "add: shapes do not broadcast, got a [2, 3] and b [2]": () => x(2, 3).add(x(2)),
    "sub: shapes do not broadcast, got a [2, 3] and b [3, 2]": () => x(2, 3).sub(x(3, 2)),
    "reshape: sizes differ, got from [2, 3] and to [4]": () => x(2, 3).reshape([4]),
    "broadcast: the shape cannot stretch, got from [2, 3] and to [2, 4]": () => x(2, 3).broadcast([2, 4]),
    "broadcast: the shape cannot stretch, got from [2, 3] and to [3]": () => x(2, 3).broadcast([3]),
    "linear: inner dimensions differ, got x [2, 3] and w [4, 5]": () => linear(x(2, 3), x(4, 5), x(5)),
    "linear: the bias must fit the output, got w [3, 5] and b [4]": () => linear(x(2, 3), x(3, 5), x(4)),
    "layerNorm: widths differ, got x [2, 3] and scale [4]": () => layerNorm(x(2, 3), x(4), x(4), 1e-5),
  };
  test.each(Object.entries(cases))("%s", (message, make) => {
    expect(make).toThrow(ShapeError);
    expect(make).toThrow(message);
    expect(make).toThrow(EngineError);
  });
});

describe("a node has the shape of its result", () => {
  const cases: Readonly<Record<string, readonly [Node, Shape]>> = {
    "broadcast sum": [x(2, 1, 3).add(x(4, 1)), [2, 4, 3]],
    "product of transposed matrices": [x(3, 2).matmul(x(5, 3), { transA: true, transB: true }), [2, 5]],
    "product in batches": [x(7, 2, 3).matmul(x(7, 3, 5)), [7, 2, 5]],
    "sum of all": [x(2, 3).sum(), []],
    "sum over the last axis, kept": [x(2, 3).sum([-1], true), [2, 1]],
    "sum over two axes": [x(2, 3, 4).sum([0, -1]), [3]],
    "log-sum-exp": [x(2, 3, 4).logSumExp(), [2, 3]],
    transpose: [x(2, 3, 4).transpose(1, 2, 0), [3, 4, 2]],
    slice: [x(2, 5).slice(1, 1, 3), [2, 2]],
    concat: [concat([x(2, 1), x(2, 4)], 1), [2, 5]],
    rows: [rows(x(10, 4), input("ids", [2, 3], "i32")), [2, 3, 4]],
    scatterRows: [scatterRows(x(2, 3, 4), input("ids", [2, 3], "i32"), 10), [10, 4]],
  };
  test.each(Object.entries(cases))("%s", (_name, [node, shape]) => {
    expect(node.shape).toEqual(shape);
  });
});

describe("an operation that changes nothing creates no node", () => {
  const same: Readonly<Record<string, (x: Node) => Node>> = {
    "reshape to the same shape": (x) => x.reshape([2, 3]),
    "transpose that keeps the order": (x) => x.transpose(0, 1),
    "broadcast to the same shape": (x) => x.broadcast([2, 3]),
    "slice of everything": (x) => x.slice(1, 0, 3),
    "sum over no axes": (x) => x.sum([]),
    "concat of one": (x) => concat([x], 0),
  };
  test.each(Object.entries(same))("%s", (_name, f) => {
    const node = x(2, 3);
    expect(f(node)).toBe(node);
  });
  test("consecutive reshapes become one", () => {
    const node = x(2, 6);
    expect(node.reshape([3, 4]).reshape([12]).inputs).toEqual([node]);
  });
});

describe("topoSort", () => {
  test("returns inputs before users, each node once, and nothing else", () => {
    const [a, b] = [x(2), x(2)];
    const shared = a.mul(b);
    const unused = shared.exp();
    const y = shared.add(shared.tanh().mul(a));
    const order = topoSort([y, shared]);
    expect(new Set(order).size).toBe(order.length);
    expect(order).toHaveLength(6);
    expect(order).not.toContain(unused);
    for (const node of order) {
      for (const input of node.inputs as Node[]) expect(order.indexOf(input)).toBeLessThan(order.indexOf(node));
    }
  });

  test("does not overflow the stack on a chain of 100,000 nodes", () => {
    let y: Node = x();
    for (let i = 0; i < 100_000; i++) y = y.tanh();
    expect(topoSort([y])).toHaveLength(100_001);
  });

  test("is fast for a chain of values that are each used twice", () => {
    let y: Node = x();
    for (let i = 0; i < 1000; i++) y = y.add(y);
    expect(topoSort([y])).toHaveLength(1001);
  });
});

test("a number is a constant that broadcasts", () => {
  expect(evaluate([x(2, 2).mul(3).add(constant(1))], { x: [1, 2, 3, 4] })).toEqual([Float64Array.of(4, 7, 10, 13)]);
});
