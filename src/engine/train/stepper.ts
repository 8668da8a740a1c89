/**
 * A model in training on a device: its parameters and Adam's moments, and the session that moves them on.
 *
 * On the CPU several steps run inside one call (an ONNX Loop); on WebGPU the state stays in GPU buffers, two sets that
 * swap roles each step.
 */

import type { DecoderConfig } from "../nn/config";
import type { Params } from "../nn/params";
import { random } from "../random";
import { lower, lowerLoop } from "../runtime/lower";
import { type Device, DeviceMemory, type DeviceTensor, Session } from "../runtime/session";
import { pack, type Segment, unpack } from "./segments";
import {
  adamRates,
  BANK_SIZE,
  evalGraph,
  MAX_SITES,
  STEP_INPUTS,
  type StepGraph,
  type StepShape,
  stepGraph,
} from "./step";
import { type Trained, wholeModel } from "./trained";

/** A batch, position by position: ids [T, B], and for each the label that should follow and how much it counts. */
export interface StepBatch {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** Adds up to 1 over the batch for a mean loss. */
  readonly labelWeights: Float32Array;
}

export interface StepResult {
  readonly loss: number;
  readonly gradNorm: number;
}

export interface TrainState {
  readonly params: Params;
  readonly m: Params;
  readonly v: Params;
}

/** The state before the first step: Adam's moments are 0. */
export function freshState(params: Params): TrainState {
  const zeros = () => new Map([...params].map(([name, values]) => [name, new Float32Array(values.length)]));
  return { params, m: zeros(), v: zeros() };
}

export interface Stepper {
  readonly device: Device;
  /** Takes steps `first`, `first + 1` … (from 1) on the given batches. Blocks while it computes. */
  run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]>;
  /** Mean loss over a batch with the present parameters. */
  evaluate(batch: StepBatch): Promise<number>;
  /** A copy of the state that later steps do not change. */
  state(): Promise<TrainState>;
  release(): Promise<void>;
}

export async function createStepper(
  cfg: DecoderConfig,
  shape: StepShape,
  start: TrainState,
  {
    device,
    seed,
    trained = wholeModel(cfg),
  }: { readonly device: Device; readonly seed: number; readonly trained?: Pick<Trained, "specs" | "nodes" | "feeds"> },
): Promise<Stepper> {
  const graph = stepGraph(cfg, shape, trained);
  const inputs = stepInputs(graph, shape, seed);
  // Weights in files are constants of the graphs, each of which would make copies of its own.
  const evaluation = await Session.create(lower(evalGraph(cfg, shape, graph.segments, trained), device), device, {
    unpacked: true,
  });
  return device === "cpu"
    ? new CpuStepper(graph, inputs, evaluation, await createLoop(graph), trained.feeds, start)
    : GpuStepper.create(graph, inputs, evaluation, trained.feeds, start);
}

class CpuStepper implements Stepper {
  readonly device = "cpu";
  #state: Record<string, Float32Array>;

  constructor(
    readonly graph: StepGraph,
    readonly inputs: StepInputs,
    readonly evaluation: Session,
    readonly loop: Session,
    /** The weights that are not trained. */
    readonly frozen: Trained["feeds"],
    start: TrainState,
  ) {
    this.#state = packState(graph.segments, start);
  }

  async run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]> {
    const perTurn = batches.map((batch, i) => this.inputs.of(first + i, batch, lr(first + i)));
    const stacked = STEP_INPUTS.flatMap((name) => {
      const parts = perTurn.map((turn) => turn[name]).filter((part) => part !== undefined);
      return parts.length > 0 ? [[`${name}[]`, stack(parts)] as const] : [];
    });
    const outputs = await this.loop.run({
      ...this.#state,
      ...this.frozen,
      ...this.inputs.fixed,
      ...Object.fromEntries(stacked),
      turns: BigInt64Array.of(BigInt(batches.length)),
    });
    this.#state = Object.fromEntries(
      Object.keys(this.#state).map((name) => [name, outputs[`${name}'`]?.data as Float32Array]),
    );
    const [loss, gradNorm] = ["loss", "gradNorm"].map((name) => outputs[name]?.data as Float32Array);
    return batches.map((_, i) => ({ loss: loss?.[i] as number, gradNorm: gradNorm?.[i] as number }));
  }

  async evaluate(batch: StepBatch): Promise<number> {
    const { loss } = await this.evaluation.compute({ ...this.#state, ...this.frozen, ...batch });
    return loss?.[0] as number;
  }

  async state(): Promise<TrainState> {
    return unpackState(this.graph.segments, this.#state);
  }

  async release(): Promise<void> {
    await this.loop.release();
    await this.evaluation.release();
  }
}

class GpuStepper implements Stepper {
  readonly device = "webgpu";

  private constructor(
    readonly graph: StepGraph,
    readonly inputs: StepInputs,
    readonly evaluation: Session,
    readonly step: Session,
    readonly memory: DeviceMemory,
    readonly frozen: Trained["feeds"],
    private now: Record<string, DeviceTensor>,
    private next: Record<string, DeviceTensor>,
    private readonly fixed: Record<string, DeviceTensor>,
  ) {}

  static async create(
    graph: StepGraph,
    inputs: StepInputs,
    evaluation: Session,
    frozen: Trained["feeds"],
    start: TrainState,
  ): Promise<GpuStepper> {
    const step = await Session.create(lower(graph.outputs, "webgpu"), "webgpu");
    const memory = new DeviceMemory();
    const packed = packState(graph.segments, start);
    const upload = async () => {
      const tensors: Record<string, DeviceTensor> = {};
      for (const [name, data] of Object.entries(packed)) tensors[name] = await memory.upload(data);
      return tensors;
    };
    const fixed: Record<string, DeviceTensor> = {};
    for (const [name, data] of Object.entries(inputs.fixed)) fixed[name] = await memory.upload(data);
    return new GpuStepper(graph, inputs, evaluation, step, memory, frozen, await upload(), await upload(), fixed);
  }

  async run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]> {
    const results: StepResult[] = [];
    for (const [i, batch] of batches.entries()) {
      const changing = this.inputs.of(first + i, batch, lr(first + i));
      const fetches: Record<string, DeviceTensor | null> = { loss: null, gradNorm: null };
      for (const [from, to] of Object.entries(this.graph.state)) fetches[to] = this.next[from] as DeviceTensor;
      const outputs = await this.step.run({ ...this.now, ...this.frozen, ...this.fixed, ...changing }, fetches);
      const scalar = (name: string) => (outputs[name] as DeviceTensor).data[0] as number;
      results.push({ loss: scalar("loss"), gradNorm: scalar("gradNorm") });
      // The run answers wrappers of its own around the buffers it was given; they leak unless disposed of.
      for (const to of Object.values(this.graph.state)) outputs[to]?.dispose();
      [this.now, this.next] = [this.next, this.now];
    }
    return results;
  }

  async evaluate(batch: StepBatch): Promise<number> {
    const { loss } = await this.evaluation.compute({ ...this.now, ...this.frozen, ...batch });
    return loss?.[0] as number;
  }

  async state(): Promise<TrainState> {
    const host: Record<string, Float32Array> = {};
    for (const [name, tensor] of Object.entries(this.now)) host[name] = await this.memory.download(tensor);
    return unpackState(this.graph.segments, host);
  }

  async release(): Promise<void> {
    for (const tensor of [this.now, this.next, this.fixed].flatMap(Object.values)) tensor.dispose();
    for (const session of [this.memory, this.step, this.evaluation]) await session.release();
  }
}

const createLoop = (graph: StepGraph): Promise<Session> =>
  Session.create(
    lowerLoop(graph.outputs, {
      state: graph.state,
      perTurn: STEP_INPUTS.filter((name) => name !== "offsets" || graph.dropoutSizes.length > 0),
    }),
    "cpu",
    { spin: true, unpacked: true },
  );

/** What a step takes besides the state: inputs that are the same for the whole run, and those of one step. */
interface StepInputs {
  readonly fixed: Readonly<Record<string, Float32Array>>;
  readonly of: (step: number, batch: StepBatch, lr: number) => ChangingInputs;
}
type ChangingInputs = Readonly<Partial<Record<(typeof STEP_INPUTS)[number], Float32Array | Int32Array>>>;

/** Everything random about a step follows from the seed and its number, so that any step can be taken again. */
function stepInputs({ dropoutSizes }: StepGraph, { dropout, optimizer }: StepShape, seed: number): StepInputs {
  if (dropoutSizes.length === 0) {
    return { fixed: {}, of: (step, batch, lr) => ({ ...batch, rates: adamRates(optimizer, lr, step) }) };
  }
  const offsets = (step: number): Int32Array => {
    const draws = random(seed, "dropout", step);
    const starts = new Int32Array(MAX_SITES);
    dropoutSizes.forEach((size, site) => {
      starts[site] = draws.below(BANK_SIZE - size + 1);
    });
    return starts;
  };
  return {
    fixed: { bank: dropoutBank(seed, dropout) },
    of: (step, batch, lr) => ({ ...batch, rates: adamRates(optimizer, lr, step), offsets: offsets(step) }),
  };
}

function dropoutBank(seed: number, rate: number): Float32Array {
  const draws = random(seed, "dropout bank");
  const kept = 1 / (1 - rate);
  return Float32Array.from({ length: BANK_SIZE }, () => (draws.uniform() < rate ? 0 : kept));
}

function packState(segments: readonly Segment[], state: TrainState): Record<string, Float32Array> {
  const [p, m, v] = [state.params, state.m, state.v].map((params) => pack(segments, params));
  const packed: Record<string, Float32Array> = {};
  segments.forEach(({ name }, i) => {
    packed[`${name}.p`] = p?.[i] as Float32Array;
    packed[`${name}.m`] = m?.[i] as Float32Array;
    packed[`${name}.v`] = v?.[i] as Float32Array;
  });
  return packed;
}

function unpackState(segments: readonly Segment[], packed: Readonly<Record<string, Float32Array>>): TrainState {
  const part = (key: "p" | "m" | "v") =>
    unpack(
      segments,
      segments.map(({ name }) => packed[`${name}.${key}`] as Float32Array),
    );
  return { params: part("p"), m: part("m"), v: part("v") };
}

/** Arrays of one length, one after the other. */
function stack(parts: readonly (Float32Array | Int32Array)[]): Float32Array | Int32Array {
  const [first] = parts as [Float32Array | Int32Array];
  const all =
    first instanceof Int32Array
      ? new Int32Array(first.length * parts.length)
      : new Float32Array(first.length * parts.length);
  parts.forEach((part, i) => {
    all.set(part, i * first.length);
  });
  return all;
}
