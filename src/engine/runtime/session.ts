/**
 * Runs graphs: onnxruntime-node behind typed arrays.
 *
 * The shapes of a graph are known, so inputs and outputs are plain typed arrays by name. `run` blocks the thread while it
 * computes, although it returns a promise: callers split long work into short runs.
 */

import { tmpdir } from "node:os";
import { dirname, relative, sep } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Device } from "../api/model";
import { EngineError } from "../errors";
import { type Shape, UNKNOWN } from "../graph/shape";
import { type ElementType, encodeModel, type OnnxGraph, type OnnxValue } from "./onnx";

export type HostArray = Float32Array | Int32Array | BigInt64Array;
/** A value that stays on the device between runs. Callers must dispose of it to free its memory. */
export type DeviceTensor = Tensor;

export interface SessionOptions {
  /** Computing threads, including the caller's; the number of cores by default. */
  readonly threads?: number;
  /** Waiting threads spin until the run ends: faster, but slows other work on the machine. */
  readonly spin?: boolean;
  /** Leave results on the device (WebGPU only). */
  readonly keepOnDevice?: boolean;
  /** Fail if an operator would fall back from the GPU to the CPU; for tests. */
  readonly forbidFallback?: boolean;
  /** Use weights in their stored layout: slower, but without a second copy that is packed for matrix products. */
  readonly unpacked?: boolean;
  readonly profile?: string;
}

export class Session {
  readonly #inputs: ReadonlyMap<string, OnnxValue>;
  readonly #outputs: ReadonlyMap<string, OnnxValue>;

  private constructor(
    readonly session: InferenceSession,
    graph: OnnxGraph,
  ) {
    this.#inputs = new Map(graph.inputs.map((value) => [value.name, value]));
    this.#outputs = new Map(graph.outputs.map((value) => [value.name, value]));
  }

  /** Compiles a graph for a device. Blocks for milliseconds to seconds. */
  static async create(graph: OnnxGraph, device: Device, options: SessionOptions = {}): Promise<Session> {
    if (device === "webgpu") silenceWayland();
    const folder = folderOfAll(graph);
    const config: InferenceSession.SessionOptions = {
      executionProviders: [device],
      graphOptimizationLevel: "all",
      executionMode: "sequential",
      logSeverityLevel: 3,
      extra: {
        session: {
          // Denormal floats cost a hundred times the cycles and carry no information here.
          set_denormal_as_zero: "1",
          ...(options.forbidFallback && { disable_cpu_ep_fallback: "1" }),
          intra_op: { allow_spinning: options.spin ? "1" : "0" },
          force_spinning_stop: "1",
          ...(options.unpacked && { disable_prepacking: "1" }),
          ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }),
        },
      },
      ...(options.threads && { intraOpNumThreads: options.threads }),
      ...(options.keepOnDevice && { preferredOutputLocation: "gpu-buffer" as const }),
      ...(options.profile && { enableProfiling: true, profileFilePrefix: options.profile }),
    };
    try {
      const locate = (file: string) =>
        relative(folder ?? "", file)
          .split(sep)
          .join("/");
      return new Session(await InferenceSession.create(encodeModel(graph, locate), config), graph);
    } catch (error) {
      throw deviceError(error);
    }
  }

  /**
   * Computes outputs from inputs. `fetches` maps an output to the memory to write it to, or to null for new memory on the
   * host; without it, every output is copied to the host.
   */
  async run(
    feeds: Readonly<Record<string, HostArray | DeviceTensor>>,
    fetches?: Readonly<Record<string, HostArray | DeviceTensor | null>>,
  ): Promise<Record<string, Tensor>> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, value] of this.#inputs) {
      const fed = feeds[name];
      if (fed === undefined) throw new Error(`run: the input ${name} is missing`);
      tensors[name] = ArrayBuffer.isView(fed) ? toTensor(fed, value) : fed;
    }
    if (!fetches) return (await this.session.run(tensors)) as Record<string, Tensor>;
    const targets: Record<string, Tensor | null> = {};
    for (const [name, value] of Object.entries(fetches)) {
      const output = this.#outputs.get(name);
      if (!output) throw new Error(`run: there is no output ${name}`);
      targets[name] = value && (ArrayBuffer.isView(value) ? toTensor(value, output) : value);
    }
    return (await this.session.run(tensors, targets)) as Record<string, Tensor>;
  }

  /** Like `run`, but returns the float outputs as arrays. */
  async compute(feeds: Readonly<Record<string, HostArray | DeviceTensor>>): Promise<Record<string, Float32Array>> {
    const outputs = await this.run(feeds);
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]));
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** Returns what to throw when a session cannot be created: the missing GPU in plain words, or the error itself. */
export function deviceError(error: unknown): unknown {
  const message = error instanceof Error ? error.message : String(error);
  if (!/WebGPU adapter|No supported adapters/i.test(message)) return error;
  return new EngineError("device", "WebGPU found no GPU. Choose the device cpu.", { cause: error });
}

/**
 * Mesa's device selection connects to Wayland, which prints to standard error when the variable is not set, as on a
 * machine without a display. Wayland then looks for its socket in this folder and silently finds none.
 */
function silenceWayland(): void {
  if (process.platform === "linux") process.env.XDG_RUNTIME_DIR ??= tmpdir();
}

/** Returns the common ancestor folder of the graph's external data: onnxruntime maps only files below one folder. */
function folderOfAll({ initializers }: OnnxGraph): string | undefined {
  const folders = initializers.flatMap(({ data }) => (ArrayBuffer.isView(data) ? [] : [dirname(data.file)]));
  return folders.reduce<string | undefined>((joint, folder) => {
    let shared = joint ?? folder;
    while (relative(shared, folder).startsWith("..") && dirname(shared) !== shared) shared = dirname(shared);
    return shared;
  }, undefined);
}

/** A host tensor with an explicit shape, for inputs with several unknown dimensions. */
export function hostTensor(data: HostArray, shape: Shape): Tensor {
  if (data instanceof Float32Array) return new Tensor("float32", data, shape);
  return data instanceof Int32Array ? new Tensor("int32", data, shape) : new Tensor("int64", data, shape);
}

const ARRAYS: {
  readonly [T in ElementType]: new (
    ...args: never[]
  ) => HostArray | Float64Array | Uint8Array | Uint16Array;
} = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  uint8: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
};

function toTensor(data: HostArray, { name, type, shape }: OnnxValue): Tensor {
  if (!(data instanceof ARRAYS[type])) throw new Error(`run: the input ${name} must be ${type}`);
  const known = shape.reduce((n, d) => (d === UNKNOWN ? n : n * d), 1);
  const dims = shape.map((d) => (d === UNKNOWN ? data.length / known : d));
  return new Tensor(type as "float32", data as Float32Array, dims);
}

/**
 * Moves values to a GPU and back. Only outputs of a session can be device tensors, so an upload is a graph that copies its
 * input. Reading a device tensor directly aborts the process, so a download is such a graph too.
 */
export class DeviceMemory {
  readonly #sessions = new Map<string, Promise<Session>>();

  async upload(data: Float32Array, shape: Shape = [data.length]): Promise<DeviceTensor> {
    const session = await this.#copier(shape, true);
    return (await session.run({ x: data })).y as DeviceTensor;
  }

  async download(tensor: DeviceTensor): Promise<Float32Array> {
    const session = await this.#copier(tensor.dims, false);
    return ((await session.run({ x: tensor })).y as Tensor).data as Float32Array;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  #copier(shape: Shape, keepOnDevice: boolean): Promise<Session> {
    const key = `${keepOnDevice}:${shape}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const value = (name: string): OnnxValue => ({ name, type: "float32", shape });
    const copy = { op: "Identity", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} } as const;
    const graph = { name: "copy", inputs: [value("x")], outputs: [value("y")], initializers: [], nodes: [copy] };
    const session = Session.create(graph, "webgpu", { keepOnDevice });
    this.#sessions.set(key, session);
    return session;
  }
}
