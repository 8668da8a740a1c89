/**
 * A model in training on a device: its parameters and Adam's moments, and the session that moves them on.
 *
 * On the CPU several steps run inside one call (an ONNX Loop); on WebGPU the state stays in GPU buffers, two sets that
 * swap roles each step.
 */

import type { ModelConfig } from "../nn/config";
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
  type StepGraph,
  type StepInput,
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
  /** Of encoder-decoders: sources [T, B], and where their tokens and the targets' stand, [B, T] (0, or -1e9 for padding). */
  readonly sourceIds?: Int32Array;
  readonly sourceMask?: Float32Array;
  readonly targetMask?: Float32Array;
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
  /** The parameters of it alone. */
  params(): Promise<Params>;
  release(): Promise<void>;
}

export async function createStepper(
  cfg: ModelConfig,
  shape: StepShape,
  start: TrainState,
  {
    device,
    seed,
    trained = wholeModel(cfg),
  }: { readonly device: Device; readonly seed: number; readonly trained?: Pick<Trained, "specs" | "nodes" | "feeds"> },
): Promise<Stepper> {
  const programs = new Programs(cfg, shape, device, seed, trained);
  // What is wrong with a graph is said before the first step.
  const { segments } = (await programs.of(shape.blockSize)).graph;
  return device === "cpu"
    ? new CpuStepper(programs, segments, trained.feeds, start)
    : GpuStepper.create(programs, segments, trained.feeds, start);
}

/** What is compiled for batches of one length. */
interface Program {
  readonly graph: StepGraph;
  readonly inputs: (step: number, batch: StepBatch, lr: number) => ChangingInputs;
  /** On the CPU a loop of steps, on WebGPU one. */
  readonly step: Session;
  readonly evaluation: Session;
}

type ChangingInputs = Readonly<Partial<Record<StepInput, Float32Array | Int32Array>>>;

/** The programs of every length that batches have had; most runs have one. They share the state. */
class Programs {
  /** Inputs that are the same for the whole run. */
  readonly fixed: Readonly<Record<string, Float32Array>>;
  readonly #made = new Map<number, Promise<Program>>();

  constructor(
    readonly cfg: ModelConfig,
    readonly shape: StepShape,
    readonly device: Device,
    readonly seed: number,
    readonly trained: Pick<Trained, "specs" | "nodes">,
  ) {
    this.fixed = shape.dropout > 0 ? { bank: dropoutBank(seed, shape.dropout) } : {};
  }

  lengthOf(batch: StepBatch): number {
    return batch.labels.length / this.shape.batchSize;
  }

  /** For batches of a length. */
  of(length: number): Promise<Program> {
    const known = this.#made.get(length);
    if (known) return known;
    const program = this.#make({ ...this.shape, blockSize: length });
    this.#made.set(length, program);
    return program;
  }

  async release(): Promise<void> {
    for (const program of this.#made.values()) {
      const { step, evaluation } = await program;
      await step.release();
      await evaluation.release();
    }
  }

  async #make(shape: StepShape): Promise<Program> {
    const { cfg, device, seed, trained } = this;
    const graph = stepGraph(cfg, shape, trained);
    return {
      graph,
      inputs: stepInputs(graph, shape, seed),
      step: device === "cpu" ? await createLoop(graph) : await Session.create(lower(graph.outputs, device), device),
      // Weights in files are constants of the graphs, each of which would make copies of its own.
      evaluation: await Session.create(lower(evalGraph(cfg, shape, graph.segments, trained), device), device, {
        unpacked: true,
      }),
    };
  }
}

class CpuStepper implements Stepper {
  readonly device = "cpu";
  #state: Record<string, Float32Array>;

  constructor(
    readonly programs: Programs,
    readonly segments: readonly Segment[],
    /** The weights that are not trained. */
    readonly frozen: Trained["feeds"],
    start: TrainState,
  ) {
    this.#state = packState(segments, start);
  }

  async run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]> {
    const results: StepResult[] = [];
    while (results.length < batches.length) {
      const rest = batches.slice(results.length);
      const length = this.programs.lengthOf(rest[0] as StepBatch);
      const other = rest.findIndex((batch) => this.programs.lengthOf(batch) !== length);
      const alike = rest.slice(0, other < 0 ? rest.length : other);
      results.push(...(await this.#runAlike(first + results.length, alike, lr, await this.programs.of(length))));
    }
    return results;
  }

  /** Batches of one length: all of them within one call. */
  async #runAlike(
    first: number,
    batches: readonly StepBatch[],
    lr: (step: number) => number,
    { graph, inputs, step }: Program,
  ): Promise<StepResult[]> {
    const perTurn = batches.map((batch, i) => inputs(first + i, batch, lr(first + i)));
    const stacked = graph.perTurn.map(
      (name) => [`${name}[]`, stack(perTurn.map((turn) => turn[name] as Float32Array | Int32Array))] as const,
    );
    const outputs = await step.run({
      ...this.#state,
      ...this.frozen,
      ...this.programs.fixed,
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
    const { evaluation } = await this.programs.of(this.programs.lengthOf(batch));
    const { loss } = await evaluation.compute({ ...this.#state, ...this.frozen, ...batch });
    return loss?.[0] as number;
  }

  async state(): Promise<TrainState> {
    return unpackState(this.segments, this.#state);
  }

  async params(): Promise<Params> {
    return unpackPart(this.segments, this.#state, "p");
  }

  async release(): Promise<void> {
    await this.programs.release();
  }
}

class GpuStepper implements Stepper {
  readonly device = "webgpu";

  private constructor(
    readonly programs: Programs,
    readonly segments: readonly Segment[],
    readonly memory: DeviceMemory,
    readonly frozen: Trained["feeds"],
    private now: Record<string, DeviceTensor>,
    private next: Record<string, DeviceTensor>,
    private readonly fixed: Record<string, DeviceTensor>,
  ) {}

  static async create(
    programs: Programs,
    segments: readonly Segment[],
    frozen: Trained["feeds"],
    start: TrainState,
  ): Promise<GpuStepper> {
    const memory = new DeviceMemory();
    const packed = packState(segments, start);
    const upload = async () => {
      const tensors: Record<string, DeviceTensor> = {};
      for (const [name, data] of Object.entries(packed)) tensors[name] = await memory.upload(data);
      return tensors;
    };
    const fixed: Record<string, DeviceTensor> = {};
    for (const [name, data] of Object.entries(programs.fixed)) fixed[name] = await memory.upload(data);
    return new GpuStepper(programs, segments, memory, frozen, await upload(), await upload(), fixed);
  }

  async run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]> {
    const results: StepResult[] = [];
    for (const [i, batch] of batches.entries()) {
      const { graph, inputs, step } = await this.programs.of(this.programs.lengthOf(batch));
      const changing = inputs(first + i, batch, lr(first + i));
      const fetches: Record<string, DeviceTensor | null> = { loss: null, gradNorm: null };
      for (const [from, to] of Object.entries(graph.state)) fetches[to] = this.next[from] as DeviceTensor;
      const outputs = await step.run({ ...this.now, ...this.frozen, ...this.fixed, ...changing }, fetches);
      const scalar = (name: string) => (outputs[name] as DeviceTensor).data[0] as number;
      results.push({ loss: scalar("loss"), gradNorm: scalar("gradNorm") });
      // The run answers wrappers of its own around the buffers it was given; they leak unless disposed of.
      for (const to of Object.values(graph.state)) outputs[to]?.dispose();
      [this.now, this.next] = [this.next, this.now];
    }
    return results;
  }

  async evaluate(batch: StepBatch): Promise<number> {
    const { evaluation } = await this.programs.of(this.programs.lengthOf(batch));
    const { loss } = await evaluation.compute({ ...this.now, ...this.frozen, ...batch });
    return loss?.[0] as number;
  }

  async state(): Promise<TrainState> {
    const host: Record<string, Float32Array> = {};
    for (const [name, tensor] of Object.entries(this.now)) host[name] = await this.memory.download(tensor);
    return unpackState(this.segments, host);
  }

  async params(): Promise<Params> {
    const host: Record<string, Float32Array> = {};
    for (const { name } of this.segments)
      host[`${name}.p`] = await this.memory.download(this.now[`${name}.p`] as DeviceTensor);
    return unpackPart(this.segments, host, "p");
  }

  async release(): Promise<void> {
    for (const tensor of [this.now, this.next, this.fixed].flatMap(Object.values)) tensor.dispose();
    for (const resource of [this.memory, this.programs]) await resource.release();
  }
}

const createLoop = (graph: StepGraph): Promise<Session> =>
  Session.create(lowerLoop(graph.outputs, { state: graph.state, perTurn: graph.perTurn }), "cpu", {
    spin: true,
    unpacked: true,
  });

/** Everything random about a step follows from the seed and its number, so that any step can be taken again. */
function stepInputs({ dropoutSizes }: StepGraph, { optimizer }: StepShape, seed: number): Program["inputs"] {
  if (dropoutSizes.length === 0) return (step, batch, lr) => ({ ...batch, rates: adamRates(optimizer, lr, step) });
  const offsets = (step: number): Int32Array => {
    const draws = random(seed, "dropout", step);
    const starts = new Int32Array(MAX_SITES);
    dropoutSizes.forEach((size, site) => {
      starts[site] = draws.below(BANK_SIZE - size + 1);
    });
    return starts;
  };
  return (step, batch, lr) => ({ ...batch, rates: adamRates(optimizer, lr, step), offsets: offsets(step) });
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
  const part = (key: "p" | "m" | "v") => unpackPart(segments, packed, key);
  return { params: part("p"), m: part("m"), v: part("v") };
}

const unpackPart = (
  segments: readonly Segment[],
  packed: Readonly<Record<string, Float32Array>>,
  key: "p" | "m" | "v",
): Params =>
  unpack(
    segments,
    segments.map(({ name }) => packed[`${name}.${key}`] as Float32Array),
  );

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
