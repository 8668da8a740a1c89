/** Models are unloaded after a time without use, and loaded again without anyone noticing. */

import { setTimeout } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { inRoot } from "../../scripts/paths";
import { LoadedModel } from "../../src/engine";
import { Loaded } from "../../src/engine/models/loaded";
import { engineService } from "../../src/worker/service";

const dir = inRoot("test", "golden", "characters");
const context = { signal: new AbortController().signal, report: () => {} };
const sampling = { temperature: 0, topK: 0, topP: 1, seed: 0 };

afterEach(() => vi.restoreAllMocks());

const generated = (service: ReturnType<typeof engineService>, maxNewTokens = 4) =>
  service.generate({ dir, prompt: "The cat", maxNewTokens, contextTokens: 64, ...sampling }, context);

test("a model is unloaded after the time, and completions and traces keep working", async () => {
  const opened = vi.spyOn(LoadedModel, "open");
  const released = vi.spyOn(Loaded.prototype, "release");
  const service = engineService("cpu", 0.1 / 60);
  const before = await generated(service);
  const { trace, nextToken } = await service.inspect({ dir, text: "The cat sat", maxTokens: 16 }, context);
  expect([opened.mock.calls.length, released.mock.calls.length]).toEqual([1, 0]);
  await vi.waitFor(() => expect(released).toHaveBeenCalledTimes(1), 5000);

  // Reading a trace needs no model; computing from it loads the model again.
  await service.traceTensor({ trace, name: "logits" }, context);
  expect(opened).toHaveBeenCalledTimes(1);
  const lens = await service.lens({ trace, positions: [0, 2], count: 2 }, context);
  expect(lens.ids.length).toBeGreaterThan(0);
  const changed = await service.intervene({ trace, interventions: [] }, context);
  expect(changed.nextToken).toEqual(nextToken);
  expect((await generated(service)).ids).toEqual(before.ids);
  expect(opened.mock.calls.length).toBeGreaterThan(1);
  await service.closeModel({ dir }, context);
});

test("a model stays loaded while a request uses it", async () => {
  const released = vi.spyOn(Loaded.prototype, "release");
  const service = engineService("cpu", 0.02 / 60);
  let count = 0;
  const slowly = { ...context, report: () => void count++ };
  await service.generate({ dir, prompt: "The cat", maxNewTokens: 40, contextTokens: 64, ...sampling }, slowly);
  expect(count).toBeGreaterThan(0);
  expect(released).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(released).toHaveBeenCalledTimes(1), 5000);
});

test("0 keeps models loaded", async () => {
  const released = vi.spyOn(Loaded.prototype, "release");
  const service = engineService("cpu", 0);
  await generated(service);
  await setTimeout(200);
  expect(released).not.toHaveBeenCalled();
  await service.closeModel({ dir }, context);
});
