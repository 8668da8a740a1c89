/** The machine's limits, which figures are compared with. */

import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { input } from "../../engine/graph/node";
import { lower } from "../../engine/runtime/lower";
import type { OnnxGraph } from "../../engine/runtime/onnx";
import { Session } from "../../engine/runtime/session";

/** The best speeds measured so far. They are measured repeatedly, because shared machines have slow phases. */
export class Machine {
  /** Operations per second of matrix products in float32 and in 8 bits. */
  flops = 0;
  int8 = 0;
  /** Bytes per second of each pass over memory. */
  readonly reads: number[] = [];

  async measureProducts(): Promise<void> {
    this.flops = Math.max(this.flops, await matmulFlops());
    this.int8 = Math.max(this.int8, await int8Ops());
  }

  async measureReads(): Promise<void> {
    this.reads.push(...(await memoryReads()));
  }

  get bytesPerSecond(): number {
    return Math.max(...this.reads);
  }
}

/** Rows and columns of the timed products. */
const N = 1024;

/** Operations per second of a large product, the best of several: the CPU's limit with onnxruntime. */
export const matmulFlops = (): Promise<number> => {
  const matrix = (name: string) => input(name, [N, N]);
  return productSpeed(lower({ y: matrix("a").matmul(matrix("b")).sum() }, "cpu"));
};

/** The same in 8 bits, with one matrix quantized on the fly, as in a model. */
const int8Ops = (): Promise<number> =>
  productSpeed({
    name: "product",
    inputs: [{ name: "a", type: "float32", shape: [N, N] }],
    outputs: [{ name: "y", type: "float32", shape: [N, N] }],
    initializers: [
      { name: "codes", type: "uint8", shape: [N, N], data: new Uint8Array(N * N).fill(100) },
      { name: "scale", type: "float32", shape: [1], data: Float32Array.of(0.01) },
    ],
    nodes: [
      {
        op: "DynamicQuantizeMatMul",
        domain: "com.microsoft",
        inputs: ["a", "codes", "scale"],
        outputs: ["y"],
        attributes: {},
      },
    ],
  });

async function productSpeed(graph: OnnxGraph): Promise<number> {
  const session = await Session.create(graph, "cpu");
  const data = new Float32Array(N * N).fill(1);
  let best = Infinity;
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    await session.run({ a: data, b: data });
    best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return (2 * N ** 3) / (best / 1000);
}

/** Larger than any CPU cache. */
const BYTES_PER_READER = 2 ** 28;
const PASSES = 12;

/** Searches for a missing byte with the C library's memchr, which only reads. */
const READER = `
  const { parentPort, workerData } = require("node:worker_threads");
  const bytes = Buffer.alloc(workerData, 1);
  parentPort.on("message", () => parentPort.postMessage(bytes.indexOf(2)));
  parentPort.postMessage(-1);
`;

/** Bytes per second that all cores together read from memory, for each pass. */
async function memoryReads(bytes = BYTES_PER_READER): Promise<number[]> {
  const readers = Array.from(
    { length: availableParallelism() },
    () => new Worker(READER, { eval: true, workerData: bytes }),
  );
  const all = () => Promise.all(readers.map((reader) => once(reader, "message")));
  const speeds: number[] = [];
  try {
    await all();
    for (let pass = 0; pass < PASSES; pass++) {
      const done = all();
      const start = performance.now();
      for (const reader of readers) reader.postMessage(null);
      await done;
      speeds.push((readers.length * bytes) / ((performance.now() - start) / 1000));
    }
  } finally {
    await Promise.all(readers.map((reader) => reader.terminate()));
  }
  return speeds;
}
