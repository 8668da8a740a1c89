/** Statistics, a histogram and a thumbnail of a weight. */

import type { WeightSummary } from "../api/trace";
import { EngineError } from "../errors";
import { checkpointName, matrixShape, openAnyWeights, type StoredWeight, shapeOf, weightRows } from "./weightRows";

/** Summarizes a tensor of a model folder, by its name in the checkpoint. */
export async function weightSummary(
  dir: string,
  name: string,
  size: number,
  signal?: AbortSignal,
): Promise<WeightSummary> {
  const { weights } = await openAnyWeights(dir);
  const weight = [...weights.values()].find((each) => checkpointName(each) === name);
  if (!weight) throw new EngineError("notFound", `${dir} has no tensor "${name}". Open the model again.`);
  return { name, ...(await summaryOf(weight, size, signal)) };
}

/** The thumbnail has at most `size` rows and columns. */
export async function summaryOf(
  weight: StoredWeight,
  size: number,
  signal?: AbortSignal,
): Promise<Omit<WeightSummary, "name">> {
  const [height, width] = matrixShape(weight);
  const [tall, wide] = [Math.ceil(height / size), Math.ceil(width / size)];
  const [rows, cols] = [Math.ceil(height / tall), Math.ceil(width / wide)];
  const sums = new Float64Array(rows * cols);
  let [min, max, squares] = [Infinity, -Infinity, 0];
  for await (const { from, count, values } of weightRows(weight, signal)) {
    for (let r = 0; r < count; r++) {
      const tile = Math.floor((from + r) / tall) * cols;
      for (let col = 0; col < cols; col++) {
        const end = r * width + Math.min(width, (col + 1) * wide);
        let sum = 0;
        for (let i = r * width + col * wide; i < end; i++) {
          const x = values[i] as number;
          sum += x;
          squares += x * x;
          if (x < min) min = x;
          if (x > max) max = x;
        }
        sums[tile + col] = (sums[tile + col] as number) + sum;
      }
    }
  }
  const count = height * width;
  const mean = sums.reduce((total, sum) => total + sum, 0) / count;
  const picture = new Float32Array(rows * cols).map((_, at) => {
    const [row, col] = [Math.floor(at / cols), at % cols];
    const area = (Math.min(height, (row + 1) * tall) - row * tall) * (Math.min(width, (col + 1) * wide) - col * wide);
    return (sums[at] as number) / area;
  });
  return {
    shape: shapeOf(weight),
    min,
    max,
    mean,
    std: Math.sqrt(Math.max(0, squares / count - mean * mean)),
    histogram: await histogramOf(weight, min, max, signal),
    picture: { rows, cols, values: picture },
  };
}

/** A second pass, because the bins depend on the range. NaNs are not counted. */
async function histogramOf(weight: StoredWeight, min: number, max: number, signal?: AbortSignal): Promise<Uint32Array> {
  const histogram = new Uint32Array(BINS);
  const perBin = max > min ? BINS / (max - min) : 0;
  for await (const { values } of weightRows(weight, signal)) {
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number;
      if (!(x >= min && x <= max)) continue;
      const bin = ((x - min) * perBin) | 0;
      const own = bin < BINS ? bin : BINS - 1;
      histogram[own] = (histogram[own] as number) + 1;
    }
  }
  return histogram;
}

const BINS = 64;
