/**
 * Lowers graphs to ONNX, for one device.
 *
 * The rules use only operators of onnxruntime's WebGPU provider (int32 for ids, no LogSoftmax, OneHot, Where on bool,
 * FusedMatMul …), so that nothing silently falls back to the CPU. On the CPU, a few fused operators avoid extra passes
 * over memory.
 */

import { blockOf, type DType, type Node, type Op, topoSort } from "../graph/node";
import { type Shape, sizeOf, UNKNOWN } from "../graph/shape";
import { type Bits, firstCode, middleCode } from "../weights/quantize";
import type { StoredTensor } from "../weights/stored";
import type { ElementType, ExternalData, OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor, OnnxValue } from "./onnx";

export type LoweringTarget = "cpu" | "webgpu";

interface LoweringOptions {
  /**
   * Multiplies quantized matrices by float32 values. Otherwise, these are rounded to 8 bits first, which is several times
   * as fast but changes results by about 1 %.
   */
  readonly exact?: boolean;
}

/** Returns the ONNX graph of named outputs. Its inputs are the graph's `input` nodes, by name. */
export function lower(
  outputs: Readonly<Record<string, Node>>,
  target: LoweringTarget,
  { exact = false }: LoweringOptions = {},
): OnnxGraph {
  const writer = new GraphWriter(target, outputs, exact);
  return {
    name: "decoder_lab",
    inputs: writer.inputs,
    outputs: Object.entries(outputs).map(([name, node]) => describe(name, node)),
    initializers: writer.initializers,
    nodes: writer.nodes,
  };
}

/**
 * Returns a graph that runs many times in one call, inside an ONNX Loop: copying the 10 MB that a run returns costs more
 * than a small model's whole step. `state` maps each input to the output that replaces it in the next iteration;
 * `perTurn` inputs are stacked along a new first axis as `name[]`, one slice per iteration; all other inputs are constant;
 * the input `turns` is the number of iterations. Outputs are the last state, named like its inputs with "'" added, and
 * all remaining outputs stacked by iteration. CPU only: the WebGPU provider has no Loop.
 */
export function lowerLoop(
  outputs: Readonly<Record<string, Node>>,
  { state, perTurn }: { state: Readonly<Record<string, string>>; perTurn: readonly string[] },
): OnnxGraph {
  const body = lower(outputs, "cpu");
  const stateNames = Object.keys(state);
  const reports = body.outputs.filter(({ name }) => !Object.values(state).includes(name));
  const bodyInput = (name: string) => body.inputs.find((x) => x.name === name) as OnnxValue;
  const stacked = perTurn.map(bodyInput);
  const scalar = (name: string, type: ElementType): OnnxValue => ({ name, type, shape: [] });

  const loopBody: OnnxGraph = {
    name: "turn",
    inputs: [scalar("turn", "int64"), scalar("continue", "bool"), ...stateNames.map(bodyInput)],
    outputs: [
      scalar("continueOut", "bool"),
      ...stateNames.map((name) => body.outputs.find((x) => x.name === state[name]) as OnnxValue),
      ...reports,
    ],
    // onnxruntime maps files only for the outer graph.
    initializers: body.initializers.filter((tensor) => !isExternal(tensor)),
    nodes: [
      makeNode("Identity", ["continue"], ["continueOut"]),
      ...stacked.map(({ name }) => makeNode("Gather", [`${name}[]`, "turn"], [name], { axis: 0 })),
      ...body.nodes,
    ],
  };
  const after = (x: OnnxValue): OnnxValue => ({ ...x, name: `${x.name}'` });
  const loop = makeNode(
    "Loop",
    ["turns", "", ...stateNames],
    [...stateNames.map((name) => `${name}'`), ...reports.map(({ name }) => name)],
    { body: { graph: loopBody } },
  );
  return {
    name: "decoder_lab_loop",
    inputs: [
      scalar("turns", "int64"),
      ...body.inputs.filter(({ name }) => !perTurn.includes(name)),
      ...stacked.map((x) => ({ ...x, name: `${x.name}[]`, shape: [UNKNOWN, ...x.shape] })),
    ],
    outputs: [
      ...stateNames.map((name) => after(bodyInput(name))),
      ...reports.map((x) => ({ ...x, shape: [UNKNOWN, ...x.shape] })),
    ],
    initializers: body.initializers.filter(isExternal),
    nodes: [loop],
  };
}

const isExternal = ({ data }: OnnxTensor) => !ArrayBuffer.isView(data);

type Attributes = Readonly<Record<string, OnnxAttribute>>;

/** Collects nodes and constants while rules are applied, inputs first. */
class GraphWriter {
  readonly nodes: OnnxNode[] = [];
  readonly inputs: OnnxValue[] = [];
  readonly initializers: OnnxTensor[] = [];
  readonly #names = new Map<Node, string>();
  readonly #outputNames = new Map<Node, string>();
  readonly #users = new Map<Node, number>();
  readonly #constants = new Map<string, string>();
  readonly #readers = new Map<Node, Set<Op>>();
  /** The names of the updated key and value caches of each cached attention. */
  readonly presents = new Map<Node, readonly [string, string]>();
  /** The values whose `inverseStd` is needed, with its name once it is written. */
  readonly inverseStds = new Map<Node, string | undefined>();
  /** The layer norm without scale and bias of each value that has one. */
  readonly normalized = new Map<Node, Node>();
  #count = 0;

  constructor(
    readonly target: LoweringTarget,
    outputs: Readonly<Record<string, Node>>,
    readonly exact: boolean,
  ) {
    const order = topoSort(Object.values(outputs));
    for (const node of order) {
      for (const x of node.inputs as Node[]) {
        this.#users.set(x, (this.#users.get(x) ?? 0) + 1);
        this.#readers.set(x, (this.#readers.get(x) ?? new Set()).add(node.op));
      }
      if (node.op === "inverseStd") this.inverseStds.set(node.inputs[0] as Node, undefined);
      if (is(node, "layerNorm") && isFilled(node.inputs[1], 1) && isFilled(node.inputs[2], 0))
        this.normalized.set(node.inputs[0], node as Node);
    }
    for (const [name, node] of Object.entries(outputs)) {
      this.#users.set(node, (this.#users.get(node) ?? 0) + 1);
      if (node.op !== "input" && node.op !== "constant" && !this.#outputNames.has(node))
        this.#outputNames.set(node, name);
    }
    // Inputs first. A node that its user may fuse is written only when its value is needed.
    for (const node of order) if (!this.#mayBeAbsorbed(node)) this.name(node);
    for (const [name, node] of Object.entries(outputs)) {
      const written = this.name(node);
      if (written !== name) this.nodes.push(makeNode("Identity", [written], [name]));
    }
  }

  /** Returns the name of the ONNX value that holds a node's result. */
  name(node: Node): string {
    const name = this.#names.get(node);
    if (name !== undefined) return name;
    const written = (rules[node.op] as Rule)(node, this);
    this.#names.set(node, written);
    return written;
  }

  hasOneUser(node: Node): boolean {
    return this.#users.get(node) === 1;
  }

  isReadByProductsOnly(node: Node): boolean {
    const readers = this.#readers.get(node);
    return readers?.size === 1 && readers.has("matmul") && !this.#outputNames.has(node);
  }

  /** Emits an operator whose result is the value of `as`, or an intermediate value. */
  emit(op: string, inputs: readonly string[], { attributes = {}, domain = "", as, outputs }: Emit = {}): string {
    const names = outputs ?? [(as && this.#outputNames.get(as)) ?? this.fresh()];
    this.nodes.push(makeNode(op, inputs, names, attributes, domain));
    return names[0] as string;
  }

  fresh(): string {
    return `v${this.#count++}`;
  }

  outputName(node: Node): string {
    return this.#outputNames.get(node) ?? this.fresh();
  }

  constant(data: Float32Array | Int32Array | BigInt64Array, shape: Shape): string {
    const type = data instanceof Float32Array ? "float32" : data instanceof Int32Array ? "int32" : "int64";
    const key = data.length <= 64 ? `${type}:${shape}:${data.join()}` : undefined;
    const known = key && this.#constants.get(key);
    if (known) return known;
    const name = `c${this.initializers.length}`;
    this.initializers.push({ name, type, shape, data });
    if (key) this.#constants.set(key, name);
    return name;
  }

  /** Returns the name of a file's tensor in its stored type, in a shape of the same size. */
  external({ name, dtype, file, offset, length, strides }: StoredTensor, shape: Shape): string {
    const type = STORED_TYPES[dtype as keyof typeof STORED_TYPES];
    if (type === undefined || strides) throw new Error(`${name}: ${dtype} cannot be mapped`);
    const key = `${file}:${offset}:${shape}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const data: ExternalData = { file, offset, length };
    this.initializers.push({ name: `${name}:${shape.join("x")}`, type, shape, data });
    const external = this.initializers.at(-1)?.name as string;
    this.#constants.set(key, external);
    return external;
  }

  float(value: number): string {
    return this.constant(Float32Array.of(value), []);
  }

  int64s(...values: number[]): string {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** Returns whether a node has an operator of its own. */
  isWritten(node: Node): boolean {
    return this.#names.has(node);
  }

  #mayBeAbsorbed(node: Node): boolean {
    // Weights are written by the nodes that read them, in the form that these need.
    if (is(node, "stored") || is(node, "quantized")) return true;
    return isHeadsFirst(node, this) || (is(node, "matmul") && node.shape.length === 2 && this.hasOneUser(node));
  }
}

interface Emit {
  readonly attributes?: Attributes;
  readonly domain?: "" | "com.microsoft";
  /** The node whose value this operator produces; the value then gets the output's name. */
  readonly as?: Node;
  readonly outputs?: readonly string[];
}

type Rule<K extends Op = Op> = (node: Node<K>, w: GraphWriter) => string;

/** The rule for each op. It returns the name of the value it wrote. */
const rules: { readonly [K in Op]: Rule<K> } = {
  input: ({ attrs: { name }, shape, dtype }, w) => {
    if (!w.inputs.some((known) => known.name === name)) w.inputs.push({ name, type: ELEMENT[dtype], shape });
    return name;
  },
  constant: ({ attrs: { data }, shape }, w) => w.constant(data, shape),
  // onnxruntime converts once, when the session is created.
  stored: ({ attrs: { tensor }, shape }, w) => toFloat(w.external(tensor, shape), tensor, w),
  quantized: () => {
    throw new Error("quantized: only products and lookups can read it");
  },

  add: (node, w) => {
    const fused = addedProduct(node as Node<"add">, w);
    if (fused) return gemm(fused.product, w.name(fused.other), w, node as Node);
    return simple("Add")(node, w);
  },
  sub: (node, w) => simple("Sub")(node, w),
  mul: (node, w) => simple("Mul")(node, w),
  div: (node, w) => simple("Div")(node, w),
  exp: (node, w) => simple("Exp")(node, w),
  log: (node, w) => simple("Log")(node, w),
  sqrt: (node, w) => simple("Sqrt")(node, w),
  tanh: (node, w) => simple("Tanh")(node, w),
  erf: (node, w) => simple("Erf")(node, w),
  relu: (node, w) => simple("Relu")(node, w),
  sigmoid: (node, w) => simple("Sigmoid")(node, w),
  positive: (node, w) => {
    // min(1, max(0, slope x)) is 1 for every normal float above 0, in one pass; a Cast runs on one thread.
    if (w.target === "cpu")
      return simple("HardSigmoid", { alpha: { float: 3e38 }, beta: { float: 0 } })(node as Node, w);
    const greater = w.emit("Greater", [w.name(node.inputs[0]), w.float(0)]);
    return w.emit("Cast", [greater], { attributes: { to: FLOAT }, as: node as Node });
  },
  geluTanh: (node, w) => simple("Gelu", { approximate: "tanh" })(node, w),
  geluGate: (node, w) => simple("Mul")(node, w),

  sum: (node, w) => reduction("ReduceSum", node, w),
  mean: (node, w) => reduction("ReduceMean", node, w),
  sumSquares: (node, w) => simple("ReduceSumSquare", { keepdims: 0 })(node, w),
  // The WebGPU provider's ReduceLogSumExp overflows because it does not subtract the maximum first.
  logSumExp: (node, w) => {
    const x = w.name(node.inputs[0]);
    const axes = w.int64s(node.inputs[0].shape.length - 1);
    const max = w.emit("ReduceMax", [x, axes], { attributes: { keepdims: 1 } });
    const exp = w.emit("Exp", [w.emit("Sub", [x, max])]);
    const log = w.emit("Log", [w.emit("ReduceSum", [exp, axes], { attributes: { keepdims: 1 } })]);
    return w.emit("Reshape", [w.emit("Add", [log, max]), w.int64s(...node.shape)], { as: node as Node });
  },
  softmax: (node, w) => simple("Softmax", { axis: -1 })(node, w),
  max: (node, w) => {
    const inputs = [w.name(node.inputs[0]), w.int64s(node.inputs[0].shape.length - 1)];
    return w.emit("ReduceMax", inputs, { attributes: { keepdims: 0 }, as: node as Node });
  },
  argMax: (node, w) => simple("ArgMax", { axis: -1, keepdims: 0 })(node, w),

  matmul: (node, w) => {
    if (node.shape.length === 2) return gemm(node as Node<"matmul">, undefined, w, node as Node);
    return w.target === "cpu" ? fusedMatMul(node, w) : plainMatMul(node, w);
  },
  linear: (node, w) => {
    const { alpha, beta, transW } = node.attrs;
    const attributes = { alpha: { float: alpha }, beta: { float: beta }, transB: +transW };
    const [x, matrix, bias] = node.inputs.map((i) => w.name(i)) as [string, string, string];
    if (!addsSeparately(node as Node, w)) return w.emit("Gemm", [x, matrix, bias], { attributes, as: node as Node });
    const scaled = beta === 1 ? bias : w.emit("Mul", [bias, w.float(beta)]);
    return w.emit("Add", [w.emit("Gemm", [x, matrix], { attributes }), scaled], { as: node as Node });
  },
  quantizedLinear: (node, w) => {
    const [x, matrix, bias] = node.inputs;
    if (matrix.op !== "quantized") throw new Error("quantizedLinear: the matrix must be quantized");
    const { weight, scales, mins, bits } = (matrix as Node<"quantized">).attrs;
    const block = blockOf((matrix as Node<"quantized">).attrs);
    const [N, K] = matrix.shape as [number, number];
    const { alpha, beta } = node.attrs;
    const plain = alpha === 1 && beta === 1;
    const inputs = [w.name(x), w.external(weight, weight.shape), w.external(scales, [N * (K / block)])];
    if (plain && bias) inputs.push("", "", w.name(bias));
    // Level 4 rounds `x` to 8 bits. The default unpacks 8-bit matrices first, so a single row takes 20 times as long.
    const attributes = { K, N, bits, block_size: block, ...(!w.exact && { accuracy_level: 4 }) };
    const last = plain && { as: node as Node };
    const inBlocks = w.emit("MatMulNBits", inputs, { attributes, domain: "com.microsoft", ...(!mins && last) });
    const product = mins ? addMins(w, w.name(x), inBlocks, { scales, mins, bits, block }, last) : inBlocks;
    if (plain) return product;
    const scaled = w.emit("Mul", [product, w.float(alpha)], { ...(!bias && { as: node as Node }) });
    if (!bias) return scaled;
    return w.emit("Add", [scaled, w.emit("Mul", [w.name(bias), w.float(beta)])], { as: node as Node });
  },
  rmsNorm: (node, w) =>
    simple("SimplifiedLayerNormalization", { axis: -1, epsilon: { float: node.attrs.eps } })(node, w),
  rotary: (node, w) => {
    const [x, cos, sin] = node.inputs.map((i) => w.name(i)) as [string, string, string];
    const { nHeads } = node.attrs;
    const [, width] = node.shape as [number, number];
    const dims = 2 * (node.inputs[1].shape[1] as number);
    // 0 rotates the whole head.
    const attributes = { num_heads: nHeads, rotary_embedding_dim: dims < width / nHeads ? dims : 0 };
    // One sequence of rows, each with its own row of the tables.
    const sequence = w.emit("Unsqueeze", [x, w.int64s(0)]);
    const inputs = [sequence, w.int64s(0), cos, sin];
    const rotated = w.emit("RotaryEmbedding", inputs, { attributes, domain: "com.microsoft" });
    return w.emit("Squeeze", [rotated, w.int64s(0)], { as: node as Node });
  },
  layerNorm: (node, w) => {
    const [x, scale, bias] = node.inputs;
    const normalized = w.normalized.get(x);
    if (w.target === "cpu" && normalized && normalized !== node) {
      // The gradient needs the normalized value too, and two passes cost less than a second kernel.
      const [y, plain] = [w.name(normalized), isFilled(bias, 0)];
      const scaled = w.emit("Mul", [y, w.name(scale)], { ...(plain && { as: node as Node }) });
      return plain ? scaled : w.emit("Add", [scaled, w.name(bias)], { as: node as Node });
    }
    const attributes = { axis: -1, epsilon: { float: node.attrs.eps } };
    const inputs = node.inputs.map((i) => w.name(i));
    if (!w.inverseStds.has(x)) return w.emit("LayerNormalization", inputs, { attributes, as: node as Node });
    const outputs = [w.outputName(node as Node), w.fresh(), w.fresh()];
    w.inverseStds.set(x, outputs[2]);
    return w.emit("LayerNormalization", inputs, { attributes, outputs });
  },
  // An output of the layer norm of the same value, which the same gradient always needs too.
  inverseStd: (node, w) => {
    const found = w.inverseStds.get(node.inputs[0]);
    if (found === undefined) throw new Error("inverseStd: the graph has no layerNorm of the same value");
    return found;
  },

  // The shape of x is computed from the shapes of `until`, because the runtime waits only for data dependencies.
  after: (node, w) => {
    const [x, ...until] = node.inputs;
    const shapes = until.map((y) => w.emit("Shape", [w.name(y)]));
    const [width, first] = [x.shape[1] as number, until[0]?.shape[1] as number];
    const shape = w.emit("Mul", [w.emit("Max", shapes), w.int64s(1, width / first)]);
    return w.emit("Reshape", [w.name(x), shape], { as: node as Node });
  },

  reshape: (node, w) => w.emit("Reshape", [w.name(node.inputs[0]), w.int64s(...node.shape)], { as: node as Node }),
  reshapeTo: (node, w) => simple("Reshape")(node, w),
  transpose: (node, w) => simple("Transpose", { perm: node.attrs.perm })(node, w),
  broadcast: (node, w) => {
    // A 1 keeps the operand's dimension.
    const shape = node.shape.map((d) => (d === UNKNOWN ? 1 : d));
    return w.emit("Expand", [w.name(node.inputs[0]), w.int64s(...shape)], { as: node as Node });
  },
  slice: (node, w) => {
    const { axis, start, end } = node.attrs;
    const inputs = [w.name(node.inputs[0]), w.int64s(start), w.int64s(end), w.int64s(axis)];
    return w.emit("Slice", inputs, { as: node as Node });
  },
  concat: (node, w) => {
    // A WebGPU kernel binds at most 8 buffers, so many operands are joined in a tree.
    const most = w.target === "webgpu" ? 6 : 64;
    let names = node.inputs.map((x) => w.name(x));
    const attributes = { axis: node.attrs.axis };
    while (names.length > most) {
      const groups = Array.from({ length: Math.ceil(names.length / most) }, (_, i) =>
        names.slice(i * most, (i + 1) * most),
      );
      names = groups.map((group) =>
        group.length === 1 ? (group[0] as string) : w.emit("Concat", group, { attributes }),
      );
    }
    return w.emit("Concat", names, { attributes, as: node as Node });
  },

  rows: (node, w) => {
    const [table, ids] = node.inputs;
    const attributes = { axis: 0 };
    if (is(table, "quantized")) {
      const { weight, scales, mins, bits } = table.attrs;
      const block = blockOf(table.attrs);
      const [V, D] = table.shape as [number, number];
      const inputs = [w.external(weight, [V, (D * bits) / 8]), w.name(ids), w.external(scales, [V, D / block])];
      const blocks = { gather_axis: 0, quantize_axis: 1, block_size: block, bits };
      const lookup = { attributes: blocks, domain: "com.microsoft" } as const;
      if (!mins) return w.emit("GatherBlockQuantized", inputs, { ...lookup, as: node as Node });
      const byRow = (tensor: StoredTensor) =>
        w.emit("Gather", [w.external(tensor, [V, D / block]), w.name(ids)], { attributes });
      const found = w.emit("Reshape", [w.emit("GatherBlockQuantized", inputs, lookup), w.int64s(-1, D / block, block)]);
      const offsets = w.emit("Reshape", [
        blockOffsets(w, byRow(scales), byRow(mins), { bits, block }),
        w.int64s(-1, D / block, 1),
      ]);
      const shape = w.int64s(...node.shape.map((n) => (n === UNKNOWN ? -1 : n)));
      return w.emit("Reshape", [w.emit("Add", [found, offsets]), shape], { as: node as Node });
    }
    if (is(table, "stored") && table.attrs.tensor.dtype !== "F32") {
      // Only the rows that are read are converted, instead of the whole table.
      const { tensor } = table.attrs;
      const found = w.emit("Gather", [w.external(tensor, table.shape), w.name(ids)], { attributes });
      return toFloat(found, tensor, w, node as Node);
    }
    return simple("Gather", attributes)(node, w);
  },
  scatterRows: (node, w) => {
    const [g, ids] = node.inputs;
    const count = sizeOf(ids.shape);
    const width = sizeOf(g.shape) / count;
    const flat = w.emit("Reshape", [w.name(g), w.int64s(count, width)]);
    const flatIds = w.emit("Reshape", [w.name(ids), w.int64s(count)]);
    return node.attrs.rows <= ONE_HOT_ROWS
      ? w.emit("Gemm", [oneHotOf(flatIds, node.attrs.rows, w), flat], { attributes: { transA: 1 }, as: node as Node })
      : scatterAdd(flat, flatIds, node as Node<"scatterRows">, w);
  },
  pick: (node, w) => {
    const [x, ids] = node.inputs;
    const column = w.emit("Unsqueeze", [w.name(ids), w.int64s(ids.shape.length)]);
    const picked = w.emit("GatherElements", [w.name(x), column], { attributes: { axis: -1 } });
    return w.emit("Reshape", [picked, w.int64s(...node.shape)], { as: node as Node });
  },
  oneHot: (node, w) => oneHotOf(w.name(node.inputs[0]), node.attrs.depth, w, node as Node),
  window: (node, w) => {
    const [bank, offsets] = node.inputs.map((x) => w.name(x)) as [string, string];
    const { index } = node.attrs;
    const size = sizeOf(node.shape);
    const start = w.emit("Gather", [offsets, w.constant(Int32Array.of(index), [1])], { attributes: { axis: 0 } });
    let flat: string;
    if (w.target === "cpu") {
      const end = w.emit("Add", [start, w.constant(Int32Array.of(size), [1])]);
      flat = w.emit("Slice", [bank, start, end, w.constant(Int32Array.of(0), [1])]);
    } else {
      // The bounds of a Slice would have to come from the CPU.
      const range = w.constant(
        Int32Array.from({ length: size }, (_, i) => i),
        [size],
      );
      flat = w.emit("Gather", [bank, w.emit("Add", [range, start])], { attributes: { axis: 0 } });
    }
    return w.emit("Reshape", [flat, w.int64s(...node.shape)], { as: node as Node });
  },

  replaceAt: (node, w) => simple("ScatterND")(node, w),
  take: (node, w) => {
    const [x, count] = node.inputs.map((input) => w.name(input)) as [string, string];
    return w.emit("Slice", [x, w.int64s(0), count, w.int64s(node.attrs.axis)], { as: node as Node });
  },

  cachedAttention: (node, w) => {
    const outputs = [w.outputName(node as Node), `${w.fresh()}k`, `${w.fresh()}v`];
    const { nHeads, nKvHeads, scale, window } = node.attrs;
    const attributes = {
      num_heads: nHeads,
      kv_num_heads: nKvHeads,
      scale: { float: scale },
      ...(window !== null && { local_window_size: window }),
    };
    w.presents.set(node as Node, [outputs[1] as string, outputs[2] as string]);
    return w.emit(
      "GroupQueryAttention",
      node.inputs.map((x) => w.name(x)),
      { attributes, domain: "com.microsoft", outputs },
    );
  },
  presentOf: (node, w) => {
    const attention = node.inputs[0];
    w.name(attention);
    return (w.presents.get(attention) as [string, string])[node.attrs.which];
  },
};

/** Largest table whose gradient is a product with one-hot rows; a scatter runs on one thread. */
const ONE_HOT_ROWS = 1024;

const FLOAT = 1;
const ELEMENT = { f32: "float32", i32: "int32", i64: "int64" } as const satisfies Record<DType, ElementType>;

/** The types that onnxruntime can map from a file, by their names in safetensors. */
const STORED_TYPES = { F32: "float32", F16: "float16", BF16: "bfloat16", U8: "uint8" } as const;

/** The number to add to each value of a block of codes with a minimum. */
function blockOffsets(
  w: GraphWriter,
  scales: string,
  mins: string,
  { bits, block }: { readonly bits: Bits; readonly block: number },
): string {
  const fromMiddle = middleCode(bits) - firstCode(bits, block, true);
  return w.emit("Add", [w.emit("Mul", [scales, w.float(fromMiddle)]), mins]);
}

/** Adds what the offsets of blocks contribute to a product: each multiplies the sum of a block of `x`. */
function addMins(
  w: GraphWriter,
  x: string,
  product: string,
  { scales, mins, bits, block }: { scales: StoredTensor; mins: StoredTensor; bits: Bits; block: number },
  last: Emit | false,
): string {
  const [N, blocks] = scales.shape as [number, number];
  const sums = w.emit("ReduceSum", [w.emit("Reshape", [x, w.int64s(-1, blocks, block)]), w.int64s(2)], {
    attributes: { keepdims: 0 },
  });
  // Constant, so onnxruntime computes them once.
  const offsets = blockOffsets(w, w.external(scales, [N, blocks]), w.external(mins, [N, blocks]), { bits, block });
  return w.emit("Gemm", [sums, offsets, product], { attributes: { transB: 1 }, ...last });
}

const toFloat = (name: string, { dtype }: StoredTensor, w: GraphWriter, as?: Node): string =>
  dtype === "F32" ? name : w.emit("Cast", [name], { attributes: { to: FLOAT }, ...(as && { as }) });

const describe = (name: string, { shape, dtype }: Node): OnnxValue => ({ name, type: ELEMENT[dtype], shape });

const makeNode = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Attributes = {},
  domain: OnnxNode["domain"] = "",
): OnnxNode => ({ op, domain, inputs, outputs, attributes });

/** An operator with the node's own inputs. */
const simple =
  (op: string, attributes: Attributes = {}) =>
  (node: Node, w: GraphWriter): string =>
    w.emit(
      op,
      (node.inputs as Node[]).map((x) => w.name(x)),
      { attributes, as: node },
    );

const is = <K extends Op>(node: Node, op: K): node is Node<K> => node.op === op;

const isFilled = (node: Node, value: number): boolean =>
  is(node, "constant") && node.attrs.data.every((x) => x === value);

function reduction(op: string, node: Node<"sum"> | Node<"mean">, w: GraphWriter): string {
  const { axes, keepDims } = node.attrs;
  const [x] = node.inputs;
  const [rows, columns] = x.shape as [number, number];
  if (op === "ReduceSum" && w.target === "cpu" && x.shape.length === 2 && axes.join() === "0" && rows !== UNKNOWN) {
    // A product with ones, because a reduction of the first axis is slower.
    const sum = w.emit("Gemm", [w.constant(new Float32Array(rows).fill(1), [1, rows]), w.name(x)]);
    return w.emit("Reshape", [sum, w.int64s(...(keepDims ? [1, columns] : [columns]))], { as: node as Node });
  }
  const attributes = { keepdims: keepDims ? 1 : 0 };
  return w.emit(op, [w.name(node.inputs[0]), w.int64s(...axes)], { attributes, as: node as Node });
}

/** A 2-D product with an optional addend. */
function gemm(product: Node<"matmul">, addend: string | undefined, w: GraphWriter, as: Node): string {
  const { transA, transB, alpha } = product.attrs;
  const inputs = [...product.inputs.map((x) => w.name(x)), ...(addend === undefined ? [] : [addend])];
  const attributes = { transA: +transA, transB: +transB, alpha: { float: alpha } };
  return w.emit("Gemm", inputs, { attributes, as });
}

/**
 * Returns whether a product and its addend are faster as two operators: on the CPU, Gemm first copies the addend into the
 * result, on one thread.
 */
const addsSeparately = ({ shape }: Node, w: GraphWriter): boolean =>
  w.target === "cpu" && !shape.includes(UNKNOWN) && sizeOf(shape) > SMALL_RESULT;

const SMALL_RESULT = 1 << 16;

/** Finds the product in `a @ b + c`: if nothing else uses it, one Gemm computes both. */
function addedProduct(node: Node<"add">, w: GraphWriter): { product: Node<"matmul">; other: Node } | undefined {
  if (addsSeparately(node as Node, w)) return undefined;
  const [a, b] = node.inputs;
  for (const [product, other] of [
    [b, a],
    [a, b],
  ] as const) {
    const whole = is(product, "matmul") && product.shape.length === 2 && w.hasOneUser(product) && !w.isWritten(product);
    if (whole && sizeOf(other.shape) === sizeOf(product.shape) && other.shape.length === 2) return { product, other };
  }
  return undefined;
}

/** Returns whether a node transposes [T, B, H, K] to [B, H, T, K], which FusedMatMul reads without a copy. */
const isHeadsFirst = (node: Node, w: GraphWriter): node is Node<"transpose"> =>
  w.target === "cpu" && is(node, "transpose") && node.attrs.perm.join() === "1,2,0,3" && w.isReadByProductsOnly(node);

function fusedMatMul(node: Node<"matmul">, w: GraphWriter): string {
  const { transA, transB, alpha } = node.attrs;
  const read = (x: Node) =>
    isHeadsFirst(x, w) ? { name: w.name(x.inputs[0]), batch: 1 } : { name: w.name(x), batch: 0 };
  const [a, b] = node.inputs.map(read) as [ReturnType<typeof read>, ReturnType<typeof read>];
  const attributes = {
    transA: +transA,
    transB: +transB,
    transBatchA: a.batch,
    transBatchB: b.batch,
    alpha: { float: alpha },
  };
  return w.emit("FusedMatMul", [a.name, b.name], { attributes, domain: "com.microsoft", as: node as Node });
}

function plainMatMul(node: Node<"matmul">, w: GraphWriter): string {
  const { transA, transB, alpha } = node.attrs;
  const rank = node.shape.length;
  const perm = node.shape.map((_, i) => (i === rank - 2 ? rank - 1 : i === rank - 1 ? rank - 2 : i));
  const operand = (x: Node, transposed: boolean) =>
    transposed ? w.emit("Transpose", [w.name(x)], { attributes: { perm } }) : w.name(x);
  const inputs = [operand(node.inputs[0], transA), operand(node.inputs[1], transB)];
  if (alpha === 1) return w.emit("MatMul", inputs, { as: node as Node });
  return w.emit("Mul", [w.emit("MatMul", inputs), w.float(alpha)], { as: node as Node });
}

function oneHotOf(ids: string, depth: number, w: GraphWriter, as?: Node): string {
  const range = w.constant(
    Int32Array.from({ length: depth }, (_, i) => i),
    [depth],
  );
  const column = w.emit("Unsqueeze", [ids, w.int64s(-1)]);
  const equal = w.emit("Equal", [column, range]);
  return w.emit("Cast", [equal], { attributes: { to: FLOAT }, ...(as && { as }) });
}

function scatterAdd(g: string, ids: string, node: Node<"scatterRows">, w: GraphWriter): string {
  const shape = [node.attrs.rows, sizeOf(node.shape) / node.attrs.rows] as const;
  const count = sizeOf(node.inputs[1].shape);
  const zero = w.emit("Expand", [w.float(0), w.int64s(...shape)]);
  const column = w.emit("Unsqueeze", [ids, w.int64s(1)]);
  const indices = w.emit("Expand", [column, w.int64s(count, shape[1])]);
  const attributes = { axis: 0, reduction: "add" };
  const flat = w.emit("ScatterElements", [zero, indices, g], { attributes });
  return w.emit("Reshape", [flat, w.int64s(...node.shape)], { as: node as Node });
}
