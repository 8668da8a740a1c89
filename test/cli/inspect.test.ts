import { resolve } from "node:path";
import { expect, test, vi } from "vitest";
import { inspect } from "../../src/cli/commands/inspect";
import { parseOptions } from "../../src/cli/options";
import { LoadedModel } from "../../src/engine";

const MODEL = resolve(import.meta.dirname, "../golden/characters");

/** Runs the command on "The cat" and returns its JSON output. */
async function inspected(...args: string[]) {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => lines.push(line));
  const given = ["--model", MODEL, "--device", "cpu", "--prompt", "The cat", "--json", ...args];
  await inspect.run(parseOptions(inspect, given)).finally(() => log.mockRestore());
  return JSON.parse(lines.join("\n"));
}

test("inspect prints the results of a forward pass with interventions", async () => {
  const changes = ["blocks.0.head.1=0", "blocks.1.mlp=0.5", "blocks.2.attention=2", "blocks.3=0.1"];
  const report = await inspected("--scale", ...changes, "--position", "4", "--lens", "--attribute", "a");
  expect(report.interventions).toEqual([
    { kind: "scale", part: { kind: "head", layer: 0, head: 1 }, factor: 0 },
    { kind: "scale", part: { kind: "mlp", layer: 1 }, factor: 0.5 },
    { kind: "scale", part: { kind: "attention", layer: 2 }, factor: 2 },
    { kind: "scale", part: { kind: "layer", layer: 3 }, factor: 0.1 },
  ]);

  const loaded = await LoadedModel.open(MODEL, "cpu");
  const ids = loaded.model.tokenizer.encodePrompt("The cat");
  const trace = await loaded.trace([ids], report.interventions);
  const token = loaded.vocabulary.indexOf("a");
  const logit = trace.get("logits")?.data[4 * loaded.model.cfg.vocabSize + token] as number;
  expect(report.tokens.map(({ id }: { id: number }) => id)).toEqual(ids);
  expect(report.attribution.logit).toBeCloseTo(logit, 5);
  expect(report.lens.ids.slice(-10)).toEqual(report.nextToken.top.map(({ id }: { id: number }) => id));
  expect(report.lens.tracked.ranks).toHaveLength(report.lens.places.length);
  const all = await inspected("--scale", ...changes, "--lens");
  expect(all.lens.positions).toEqual([0, ids.length]);
  expect(all.lens.entropies[4]).toBeCloseTo(report.lens.entropies[0], 5);
  await loaded.release();
});

test("inspect patches values of another text, of the residual stream or a head", async () => {
  const other = await inspected("--prompt", "A dog", "--lens", "--position", "3");
  // After patching the whole residual stream after the last block, the prediction is that of the other text.
  const whole = await inspected("--patch", "blocks.3.residPost@4=3:A dog", "--position", "4");
  expect(whole.nextToken.top[0].id).toBe(other.nextToken.top[0].id);
  expect(whole.nextToken.entropyBits).toBeCloseTo(other.nextToken.entropyBits, 4);
  expect(whole.interventions[0].from).toEqual({ trace: "A dog", position: 3 });
  const head = await inspected("--patch", "blocks.0.head.2@4=3:A dog", "--position", "4");
  expect(head.nextToken.entropyBits).not.toBeCloseTo((await inspected("--position", "4")).nextToken.entropyBits, 4);
});

test("a missing component or token is rejected with advice", async () => {
  await expect(inspected("--scale", "blocks.9=0")).rejects.toThrow("There is no layer 9.");
  await expect(inspected("--scale", "mlp=0")).rejects.toThrow("--scale must be a component and a factor, such as");
  await expect(inspected("--patch", "blocks.0.residPost@1")).rejects.toThrow(
    "--patch must be a value, a position, and",
  );
  await expect(inspected("--patch", "blocks.0.residPost@1=9:A dog")).rejects.toThrow("There is no position 9.");
  await expect(inspected("--attribute", "cat")).rejects.toThrow('There is no token "cat". Use its exact text');
});
