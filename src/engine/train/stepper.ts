/**
 * A model in training on a device: its parameters, Adam's moments, and the sessions that update them.
 *
 * On the CPU, several steps run in one call (an ONNX Loop). On WebGPU, the state stays in two sets of GPU buffers that
 * swap roles at each step.
 */

import type { Device } from "../api/model";
import type { ModelConfig } from "../nn/config";
import type { Params } from "../nn/params";
import { random } from "../random";
import { lower, lowerLoop } from "../runtime/lower";
import { DeviceMemory, type DeviceTensor, Session } from "../runtime/session";
import { pack, type Segment, unpack } from "./segments";
import {
  adamRates,
  BANK_SIZE,
  evalGraph,
  MAX_SITES,
  passGraph,
  type StepGraph,
  type StepInput,
  type StepShape,
  stepGraph,
  updateGraph,
} from "./step";
import { type Trained, wholeModel } from "./trained";

/** The batch of a step, over all its passes: ids, next-token labels and label weights, [T, B] each. */
export interface StepBatch {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** Sums to 1 over the batch for a mean loss. */
  readonly labelWeights: Float32Array;
  /** Encoder-decoders only: sources [T, B], and the padding masks of sources and targets, [B, T] (0, or -1e9 for padding). */
  readonly sourceIds?: Int32Array;
  readonly sourceMask?: Float32Array;
  readonly targetMask?: Float32Array;
}

interface StepResult {
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
  /** Runs the steps `first`, `first + 1` … (from 1) on the given batches. Blocks the thread while it computes. */
  run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]>;
  /** Mean loss over a batch with the current parameters. */
  evaluate(batch: StepBatch): Promise<number>;
  /** A copy of the state that later steps do not change. */
  state(): Promise<TrainState>;
  /** A copy of only the parameters. */
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
  // Compiles now, so that errors in the graph appear before the first step.
  const { segments } = (await programs.of(shape.blockSize)).graph;
  return device === "cpu"
    ? new CpuStepper(programs, segments, trained.feeds, start)
    : GpuStepper.create(programs, segments, trained.feeds, start);
}

/** The compiled graphs for batches of one length. */
interface Program {
  /** A whole step, or one of its passes if there are several. */
  readonly graph: StepGraph;
  readonly inputs: (step: number, pass: number, batch: StepBatch) => ChangingInputs;
  /** Runs a loop of steps or passes on the CPU, and a single one on WebGPU. */
  readonly step: Session;
  readonly evaluation: Session;
}

type ChangingInputs = Readonly<Partial<Record<StepInput, Float32Array | Int32Array>>>;

/** The programs by batch length, which share the state; most runs have only one length. */
class Programs {
  /** Inputs that never change during a run. */
  readonly fixed: Readonly<Record<string, Float32Array>>;
  /** Passes per step. */
  readonly passes: number;
  readonly #byLength = new Map<number, Promise<Program>>();
  #update: Promise<Session> | undefined;

  constructor(
    readonly cfg: ModelConfig,
    readonly shape: StepShape,
    readonly device: Device,
    readonly seed: number,
    readonly trained: Pick<Trained, "specs" | "nodes">,
  ) {
    this.passes = shape.gradientAccumulation ?? 1;
    this.fixed = shape.dropout > 0 ? { bank: dropoutBank(seed, shape.dropout) } : {};
  }

  lengthOf(batch: StepBatch): number {
    return batch.labels.length / (this.shape.batchSize * this.passes);
  }

  /** The batches of a step's passes. */
  parts(batch: StepBatch): readonly StepBatch[] {
    return this.passes === 1 ? [batch] : partsOf(batch, this.passes, this.shape.batchSize);
  }

  rates(step: number, lr: number): Float32Array {
    return adamRates(this.shape.optimizer, lr, step);
  }

  /** The session that updates the parameters from the summed gradients of several passes. */
  update(segments: readonly Segment[]): Promise<Session> {
    const { device } = this;
    this.#update ??= Session.create(lower(updateGraph(segments, this.shape).outputs, device), device);
    return this.#update;
  }

  /** The program for a batch length, compiled at its first use. */
  of(length: number): Promise<Program> {
    const known = this.#byLength.get(length);
    if (known) return known;
    const program = this.#compile({ ...this.shape, blockSize: length });
    this.#byLength.set(length, program);
    return program;
  }

  async release(): Promise<void> {
    for (const program of this.#byLength.values()) {
      const { step, evaluation } = await program;
      await step.release();
      await evaluation.release();
    }
    await (await this.#update)?.release();
  }

  async #compile(shape: StepShape): Promise<Program> {
    const { cfg, device, seed, trained, passes } = this;
    const graph = (passes === 1 ? stepGraph : passGraph)(cfg, shape, trained);
    return {
      graph,
      inputs: stepInputs(graph, seed, passes),
      step: device === "cpu" ? await createLoop(graph) : await Session.create(lower(graph.outputs, device), device),
      // Frozen weights are constants of both graphs; packing would give each graph its own copy.
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
      const [step, program] = [first + results.length, await this.programs.of(length)];
      if (this.programs.passes === 1) results.push(...(await this.#runAlike(step, alike, lr, program)));
      else results.push(await this.#runPasses(step, alike[0] as StepBatch, lr(step), program));
    }
    return results;
  }

  /** Runs batches of one length in one call. */
  async #runAlike(
    first: number,
    batches: readonly StepBatch[],
    lr: (step: number) => number,
    program: Program,
  ): Promise<StepResult[]> {
    const { programs } = this;
    const outputs = await this.#loop(
      program,
      batches.map((batch, i) => ({
        ...program.inputs(first + i, 0, batch),
        rates: programs.rates(first + i, lr(first + i)),
      })),
    );
    this.#setState(outputs);
    const [loss, gradNorm] = ["loss", "gradNorm"].map((name) => outputs[name]?.data as Float32Array);
    return batches.map((_, i) => ({ loss: loss?.[i] as number, gradNorm: gradNorm?.[i] as number }));
  }

  /** Runs one step of several passes: one call for all passes, and one for the update. */
  async #runPasses(step: number, batch: StepBatch, lr: number, program: Program): Promise<StepResult> {
    const { programs, segments } = this;
    const turns = programs.parts(batch).map((part, pass) => program.inputs(step, pass, part));
    const passes = await this.#loop(program, turns, zeroGradients(segments));
    const gradients = Object.fromEntries(
      segments.map(({ name }) => [`${name}.g`, passes[`${name}.g'`] as DeviceTensor]),
    );
    const update = await programs.update(segments);
    const outputs = await update.run({ ...this.#state, ...gradients, rates: programs.rates(step, lr) });
    this.#setState(outputs);
    const losses = passes.loss?.data as Float32Array;
    return { loss: losses.reduce((sum, x) => sum + x, 0), gradNorm: outputs.gradNorm?.data[0] as number };
  }

  #loop({ graph, step }: Program, turns: readonly ChangingInputs[], start: Record<string, Float32Array> = {}) {
    const stacked = graph.perTurn.map(
      (name) => [`${name}[]`, stack(turns.map((turn) => turn[name] as Float32Array | Int32Array))] as const,
    );
    return step.run({
      ...this.#state,
      ...start,
      ...this.frozen,
      ...this.programs.fixed,
      ...Object.fromEntries(stacked),
      turns: BigInt64Array.of(BigInt(turns.length)),
    });
  }

  #setState(outputs: Readonly<Record<string, DeviceTensor>>): void {
    this.#state = Object.fromEntries(
      Object.keys(this.#state).map((name) => [name, outputs[`${name}'`]?.data as Float32Array]),
    );
  }

  async evaluate(batch: StepBatch): Promise<number> {
    const { evaluation } = await this.programs.of(this.programs.lengthOf(batch));
    let sum = 0;
    for (const part of this.programs.parts(batch)) {
      const { loss } = await evaluation.compute({ ...this.#state, ...this.frozen, ...part });
      sum += loss?.[0] as number;
    }
    return sum;
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
    /** Zeros, and two sets that alternate as the sum of the passes' gradients; empty for a single pass. */
    private readonly gradients: readonly Record<string, DeviceTensor>[],
  ) {}

  static async create(
    programs: Programs,
    segments: readonly Segment[],
    frozen: Trained["feeds"],
    start: TrainState,
  ): Promise<GpuStepper> {
    const memory = new DeviceMemory();
    const packed = packState(segments, start);
    const upload = async (values: Readonly<Record<string, Float32Array>>) => {
      const tensors: Record<string, DeviceTensor> = {};
      for (const [name, data] of Object.entries(values)) tensors[name] = await memory.upload(data);
      return tensors;
    };
    const fixed = await upload(programs.fixed);
    const gradients: Record<string, DeviceTensor>[] = [];
    if (programs.passes > 1) for (let i = 0; i < 3; i++) gradients.push(await upload(zeroGradients(segments)));
    const [now, next] = [await upload(packed), await upload(packed)];
    return new GpuStepper(programs, segments, memory, frozen, now, next, fixed, gradients);
  }

  async run(first: number, batches: readonly StepBatch[], lr: (step: number) => number): Promise<StepResult[]> {
    const results: StepResult[] = [];
    for (const [i, batch] of batches.entries()) {
      const program = await this.programs.of(this.programs.lengthOf(batch));
      const rates = this.programs.rates(first + i, lr(first + i));
      results.push(
        await (this.programs.passes === 1 ? this.#runOne : this.#runPasses)(first + i, batch, rates, program),
      );
      [this.now, this.next] = [this.next, this.now];
    }
    return results;
  }

  readonly #runOne = async (
    step: number,
    batch: StepBatch,
    rates: Float32Array,
    { inputs, step: session }: Program,
  ) => {
    const feeds = { ...this.now, ...this.frozen, ...this.fixed, ...inputs(step, 0, batch), rates };
    const { loss, gradNorm } = await fetchInto(session, feeds, this.next, ["loss", "gradNorm"]);
    return { loss: loss as number, gradNorm: gradNorm as number };
  };

  readonly #runPasses = async (step: number, batch: StepBatch, rates: Float32Array, program: Program) => {
    let [total, added, spare] = this.gradients as [
      Record<string, DeviceTensor>,
      Record<string, DeviceTensor>,
      Record<string, DeviceTensor>,
    ];
    let sum = 0;
    for (const [pass, part] of this.programs.parts(batch).entries()) {
      const feeds = { ...this.now, ...total, ...this.frozen, ...this.fixed, ...program.inputs(step, pass, part) };
      const { loss } = await fetchInto(program.step, feeds, added, ["loss"]);
      sum += loss as number;
      // The zeros are never overwritten.
      [total, added, spare] = pass === 0 ? [added, spare, total] : [added, total, spare];
    }
    const update = await this.programs.update(this.segments);
    const { gradNorm } = await fetchInto(update, { ...this.now, ...total, rates }, this.next, ["gradNorm"]);
    return { loss: sum, gradNorm: gradNorm as number };
  };

  async evaluate(batch: StepBatch): Promise<number> {
    const { evaluation } = await this.programs.of(this.programs.lengthOf(batch));
    let sum = 0;
    for (const part of this.programs.parts(batch)) {
      const { loss } = await evaluation.compute({ ...this.now, ...this.frozen, ...part });
      sum += loss?.[0] as number;
    }
    return sum;
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
    for (const tensor of [this.now, this.next, this.fixed, ...this.gradients].flatMap(Object.values)) tensor.dispose();
    for (const resource of [this.memory, this.programs]) await resource.release();
  }
}

const createLoop = (graph: StepGraph): Promise<Session> =>
  Session.create(lowerLoop(graph.outputs, { state: graph.state, perTurn: graph.perTurn }), "cpu", {
    spin: true,
    unpacked: true,
  });

/** Runs a graph and writes its outputs `name'` into the device tensors of `into`. Returns the outputs in `numbers`. */
async function fetchInto(
  session: Session,
  feeds: Parameters<Session["run"]>[0],
  into: Readonly<Record<string, DeviceTensor>>,
  numbers: readonly string[],
): Promise<Record<string, number>> {
  const fetches: Record<string, DeviceTensor | null> = Object.fromEntries(numbers.map((name) => [name, null]));
  for (const [name, tensor] of Object.entries(into)) fetches[`${name}'`] = tensor;
  const outputs = await session.run(feeds, fetches);
  const values = Object.fromEntries(numbers.map((name) => [name, outputs[name]?.data[0] as number]));
  // The run returns its own wrappers of the given buffers, which leak unless they are disposed.
  for (const name of Object.keys(into)) outputs[`${name}'`]?.dispose();
  return values;
}

/** All randomness of a step is derived from the seed and its number, so that any step can be repeated. */
function stepInputs({ dropoutSizes }: StepGraph, seed: number, passes: number): Program["inputs"] {
  if (dropoutSizes.length === 0) return (_step, _pass, batch) => ({ ...batch });
  const offsets = (step: number, pass: number): Int32Array => {
    const draws = passes === 1 ? random(seed, "dropout", step) : random(seed, "dropout", step, pass);
    const starts = new Int32Array(MAX_SITES);
    dropoutSizes.forEach((size, site) => {
      starts[site] = draws.below(BANK_SIZE - size + 1);
    });
    return starts;
  };
  return (step, pass, batch) => ({ ...batch, offsets: offsets(step, pass) });
}

/** Splits a batch into `count` batches of `rows` sequences. Label weights remain shares of the whole batch. */
function partsOf(batch: StepBatch, count: number, rows: number): StepBatch[] {
  const columns = count * rows;
  /** The columns of a part, from [T, columns]. */
  const cut = <A extends Int32Array | Float32Array>(values: A, part: number): A => {
    const length = values.length / columns;
    const own = (values instanceof Int32Array ? new Int32Array(length * rows) : new Float32Array(length * rows)) as A;
    for (let t = 0; t < length; t++) {
      const from = t * columns + part * rows;
      own.set(values.subarray(from, from + rows), t * rows);
    }
    return own;
  };
  /** The rows of a part, from [columns, T]. */
  const slice = (values: Float32Array, part: number) =>
    values.slice((part * values.length) / count, ((part + 1) * values.length) / count);
  const { ids, labels, labelWeights, sourceIds, sourceMask, targetMask } = batch;
  return Array.from({ length: count }, (_, part) => ({
    ids: cut(ids, part),
    labels: cut(labels, part),
    labelWeights: cut(labelWeights, part),
    ...(sourceIds && { sourceIds: cut(sourceIds, part) }),
    ...(sourceMask && { sourceMask: slice(sourceMask, part) }),
    ...(targetMask && { targetMask: slice(targetMask, part) }),
  }));
}

const zeroGradients = (segments: readonly Segment[]): Record<string, Float32Array> =>
  Object.fromEntries(segments.map(({ name, size }) => [`${name}.g`, new Float32Array(size)]));

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

/** Concatenates arrays of equal length. */
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
