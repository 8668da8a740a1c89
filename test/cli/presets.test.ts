import { expect, test, vi } from "vitest";
import { presets } from "../../src/cli/commands/presets";
import { parseOptions } from "../../src/cli/options";
import { PRESETS } from "../../src/engine";

async function printed(...args: string[]): Promise<string> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => lines.push(line));
  await presets.run(parseOptions(presets, args)).finally(() => log.mockRestore());
  return lines.join("\n");
}

test("presets are listed with their descriptions", async () => {
  const lines = (await printed()).split("\n");
  expect(lines.map((line) => line.split("\t")[0])).toEqual(PRESETS.map(({ name }) => name));
  expect(JSON.parse(await printed("--json"))).toHaveLength(PRESETS.length);
});

test("a preset is shown with its settings, their choices, and what to expect", async () => {
  const text = await printed("tinylm");
  expect(text).toContain("Loss below 0.25 after 200 epochs");
  expect(text).toContain("Without --data, trains on the sample greetings.txt.");
  expect(text).toContain("  model.causal=true\n");
  expect(text).toContain("  data.unknown=refuse  (or unk)\n");
  expect(text).toContain("  train.schedule.kind=cosine train.schedule.lr=0.001 train.schedule.minLr=0.0001");
  expect(JSON.parse(await printed("adder", "--json")).settings).toMatchObject({ "data.digits": 2 });
  await expect(printed("nope")).rejects.toThrow(/Unknown preset "nope".*char, adder/);
});
