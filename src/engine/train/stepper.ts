/**
 * A model in training on a device: its parameters and Adam's moments, and the session that moves them on.
 *
 * On the CPU several steps run inside one call (an ONNX Loop); on WebGPU the state stays in GPU buffers, two sets that
 * swap roles each step.
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

/** A step's batch, of all its passes, position by position: ids [T, B], and for each the label that should follow and how much it counts. */
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
  /** Of a step, or of one of its passes where it has several. */
  readonly graph: StepGraph;
  readonly inputs: (step: number, pass: number, batch: StepBatch) => ChangingInputs;
  /** On the CPU a loop of them, on WebGPU one. */
  readonly step: Session;
  readonly evaluation: Session;
}

type ChangingInputs = Readonly<Partial<Record<StepInput, Float32Array | Int32Array>>>;

/** The programs of every length that batches have had; most runs have one. They share the state. */
class Programs {
  /** Inputs that are the same for the whole run. */
  readonly fixed: Readonly<Record<string, Float32Array>>;
  /** Passes of a step. */
  readonly passes: number;
  readonly #made = new Map<number, Promise<Program>>();
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

  /** A step's batch as its passes take it. */
  parts(batch: StepBatch): readonly StepBatch[] {
    return this.passes === 1 ? [batch] : partsOf(batch, this.passes, this.shape.batchSize);
  }

  rates(step: number, lr: number): Float32Array {
    return adamRates(this.shape.optimizer, lr, step);
  }

  /** Moves the parameters by the gradients that several passes have added up. */
  update(segments: readonly Segment[]): Promise<Session> {
    const { device } = this;
    this.#update ??= Session.create(lower(updateGraph(segments, this.shape).outputs, device), device);
    return this.#update;
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
    await (await this.#update)?.release();
  }

  async #make(shape: StepShape): Promise<Program> {
    const { cfg, device, seed, trained, passes } = this;
    const graph = (passes === 1 ? stepGraph : passGraph)(cfg, shape, trained);
    return {
      graph,
      inputs: stepInputs(graph, seed, passes),
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
      const [step, program] = [first + results.length, await this.programs.of(length)];
      if (this.programs.passes === 1) results.push(...(await this.#runAlike(step, alike, lr, program)));
      else results.push(await this.#runPasses(step, alike[0] as StepBatch, lr(step), program));
    }
    return results;
  }

  /** Batches of one length: all of them within one call. */
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
    this.#take(outputs);
    const [loss, gradNorm] = ["loss", "gradNorm"].map((name) => outputs[name]?.data as Float32Array);
    return batches.map((_, i) => ({ loss: loss?.[i] as number, gradNorm: gradNorm?.[i] as number }));
  }

  /** One step of several passes: all of these within one call, and one that moves the parameters. */
  async #runPasses(step: number, batch: StepBatch, lr: number, program: Program): Promise<StepResult> {
    const { programs, segments } = this;
    const turns = programs.parts(batch).map((part, pass) => program.inputs(step, pass, part));
    const passes = await this.#loop(program, turns, zeroGradients(segments));
    const gradients = Object.fromEntries(
      segments.map(({ name }) => [`${name}.g`, passes[`${name}.g'`] as DeviceTensor]),
    );
    const update = await programs.update(segments);
    const outputs = await update.run({ ...this.#state, ...gradients, rates: programs.rates(step, lr) });
    this.#take(outputs);
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

  #take(outputs: Readonly<Record<string, DeviceTensor>>): void {
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
    /** Zeros, and two sets that take the gradients of a step's passes in turn; none where it has one pass. */
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
      // The zeros stay what they are.
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

/** Runs a graph whose outputs `name'` replace the tensors `name` on the device; answers some numbers of the others. */
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
  // The run answers wrappers of its own around the buffers it was given; they leak unless disposed of.
  for (const name of Object.keys(into)) outputs[`${name}'`]?.dispose();
  return values;
}

/** Everything random about a step follows from the seed and its number, so that any step can be taken again. */
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

/** A batch in `count` batches of `rows` sequences each. Weights of labels stay shares of the whole. */
function partsOf(batch: StepBatch, count: number, rows: number): StepBatch[] {
  const columns = count * rows;
  /** Of [T, columns], those of a part. */
  const cut = <A extends Int32Array | Float32Array>(values: A, part: number): A => {
    const length = values.length / columns;
    const own = (values instanceof Int32Array ? new Int32Array(length * rows) : new Float32Array(length * rows)) as A;
    for (let t = 0; t < length; t++) {
      const from = t * columns + part * rows;
      own.set(values.subarray(from, from + rows), t * rows);
    }
    return own;
  };
  /** Of [columns, T]. */
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
