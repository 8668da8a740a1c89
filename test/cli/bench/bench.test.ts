import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Figure } from "../../../src/cli/bench/table";
import { bundleCli, bundledCli, type Output, runCli } from "../../helpers/commandLine";

const cli = bundledCli("bench-cli");
let cache: string;

beforeAll(async () => {
  await bundleCli(cli);
  cache = await mkdtemp(join(tmpdir(), "decoder-lab-bench-"));
}, 30_000);
afterAll(() => rm(cache, { recursive: true, force: true }));

const bench = (...args: string[]): Promise<Output> =>
  runCli(cli, ["bench", "--shape", "tiny", "--rounds", "1", ...args], { ...process.env, XDG_CACHE_HOME: cache });

/** The figures of the JSON output, by name. */
async function figures(...args: string[]): Promise<Map<string, Figure>> {
  const { stdout, stderr } = await bench(...args, "--json");
  expect(stdout, stderr).not.toBe("");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Figure);
  for (const line of lines) {
    expect(Object.keys(line)).toEqual(["work", "variant", "metric", "value", "samples"]);
    expect(line.samples.length).toBeGreaterThan(0);
    expect(line.samples, `${line.metric}: the best sample`).toContain(line.value);
  }
  return new Map(lines.map((line) => [`${line.work} ${line.variant} ${line.metric}`, line]));
}

test("G1 reports load time, speed and memory of three precisions", async () => {
  const lines = await figures("--only", "G1");
  for (const variant of ["f32", "8-bit", "4-bit"]) {
    for (const metric of ["ttft ms", "decode tok/s", "load s", "peak RSS MB", "share of memory bandwidth"])
      expect(lines.get(`G1 ${variant} ${metric}`)?.value, `${variant} ${metric}`).toBeGreaterThan(0);
  }
  expect(lines.get("machine  memory read GB/s")?.value).toBeGreaterThan(0.1);
  expect([...lines.keys()].some((key) => /^[TAM]\d/.test(key))).toBe(false);
  expect(await readdir(join(cache, "decoder-lab")), "temporary files are removed").toEqual([]);
}, 60_000);

test("A1 reports one figure", async () => {
  const lines = await figures("--only", "A1");
  expect([...lines.keys()]).toEqual(["A1  ms"]);
}, 60_000);

test("M1 compares private memory with the size of the weights", async () => {
  const lines = await figures("--only", "M1");
  expect(lines.get("M1 8-bit load s")?.value).toBeGreaterThan(0);
  // Only Linux reports a process's private memory.
  if (process.platform === "linux")
    expect(lines.get("M1 8-bit peak RSS of its own / weights")?.value).toBeGreaterThan(0);
}, 60_000);

test("an unknown workload is rejected with a list of those available", async () => {
  expect((await bench("--only", "G7")).stderr).toContain('There is no benchmark "G7". Choose from T1, T2, T3, G1');
});
