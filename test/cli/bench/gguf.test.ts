import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toFloat16 } from "../../../src/cli/bench/float16";
import { writeGguf } from "../../../src/cli/bench/gguf";
import { importQuantized, writeRandomModel } from "../../../src/cli/bench/models";
import { importModel } from "../../../src/engine/hub/import";
import { openModel, openWeights, readParams } from "../../../src/engine/models/folder";
import { convertGguf, openStored, readGguf, readStored, readStoredBytes } from "../../../src/engine/weights";
import { float16ToFloat32 } from "../../../src/engine/weights/halves";

let dir: string;
const at = (name: string) => join(dir, name);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-gguf-"));
  await writeRandomModel(at("f32"), "tiny", "F32");
  for (const precision of ["8-bit", "4-bit"] as const) await importQuantized(at("f32"), at(precision), precision);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Writes a model as GGUF and converts it back; returns the folder. */
async function roundTrip(name: string): Promise<string> {
  await writeGguf(at(`${name}.gguf`), await openWeights(at(name)));
  await convertGguf(at(`${name}.gguf`), at(`${name} again`));
  return at(`${name} again`);
}

test("float32 survives a round trip", async () => {
  const [before, after] = [
    await readParams(await openWeights(at("f32"))),
    await readParams(await openWeights(await roundTrip("f32"))),
  ];
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, values] of before) expect(after.get(name), name).toEqual(values);
});

for (const [precision, type] of [
  ["8-bit", "Q8_0"],
  ["4-bit", "Q4_0"],
] as const) {
  test(`${precision} survives a round trip with the same codes and scales in half precision`, async () => {
    const again = await openStored(await roundTrip(precision));
    const types = new Set([...(await readGguf(at(`${precision}.gguf`))).tensors.values()].map((tensor) => tensor.type));
    expect(types).toEqual(new Set(["F32", type]));
    const before = await openStored(at(precision));
    let blocks = 0;
    for (const [name, tensor] of before) {
      const there = again.get(name);
      if (!there) throw new Error(`${name} is missing`);
      if (tensor.dtype === "U8") {
        blocks++;
        expect(Buffer.compare(await readStoredBytes(there), await readStoredBytes(tensor)), name).toBe(0);
      } else if (name.endsWith(".scales")) {
        const scales = await readStored(tensor);
        const halves = float16ToFloat32(toFloat16(scales), new Float32Array(scales.length));
        const theirs = await readStored(there);
        // A block of 128 values becomes four in the file.
        const parts = theirs.length / scales.length;
        expect(theirs, name).toEqual(Float32Array.from(theirs, (_, i) => halves[Math.floor(i / parts)] as number));
        scales.forEach((scale, i) => {
          expect(Math.abs((halves[i] as number) - scale)).toBeLessThanOrEqual(Math.abs(scale) * 2 ** -11 + 2 ** -25);
        });
      } else expect(await readStored(there), name).toEqual(await readStored(tensor));
    }
    expect(blocks).toBe(2 * 4 + 1);
  });
}

test("tensors in the file are aligned", async () => {
  const { tensors } = await readGguf(at("4-bit.gguf"));
  for (const { name, offset } of tensors.values()) expect(offset % 32, name).toBe(0);
  expect((await readFile(at("4-bit.gguf"))).subarray(0, 4).toString()).toBe("GGUF");
});

test("float16 rounds to the nearest value, ties to even, down to the smallest", () => {
  const values = [1, -2, 0.1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24, 2 ** -25, 3 * 2 ** -25, -0, 65504];
  const halves = toFloat16(Float32Array.from(values));
  expect([...float16ToFloat32(halves, new Float32Array(values.length))]).toEqual([
    1,
    -2,
    Math.fround(0.0999755859375),
    1,
    1 + 2 ** -9,
    2 ** -24,
    0,
    2 ** -23,
    -0,
    65504,
  ]);
});

test("an import says how much the products of generation differ from exact ones", async () => {
  await roundTrip("8-bit");
  await importModel(at("8-bit.gguf"), { out: at("imported") });
  const { notes = [] } = (await openModel(at("imported"))).info;
  const [, tokens, bits] =
    /^Generation rounds .* For (\d+) tokens of a sample, .* differ by ([\de.-]+) bits .*, and the perplexity is \d/.exec(
      notes[0] ?? "",
    ) ?? [];
  expect(Number(tokens)).toBeGreaterThan(30);
  expect(Number(bits)).toBeGreaterThan(0);
  expect(Number(bits)).toBeLessThan(0.01);
});
