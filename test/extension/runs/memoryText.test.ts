import { expect, test } from "vitest";
import { memoryOf } from "../../../src/extension/runs/memoryText";
import type { MemoryEstimate } from "../../../src/protocol/engineApi";
import { RemoteError } from "../../../src/protocol/rpc";

const estimate: MemoryEstimate = { parameters: 1, neededBytes: 45e6, freeBytes: 20e9, fits: true, advice: null };

test("an estimate is put in words, with advice if the run does not fit", async () => {
  expect(await memoryOf(Promise.resolve(estimate))).toEqual({
    text: "about 45.0 MB of memory of 20.0 GB that are free",
    isPossible: true,
  });
  const advice = "Choose a smaller model.";
  expect(await memoryOf(Promise.resolve({ ...estimate, fits: false, advice }))).toEqual({
    text: advice,
    isPossible: false,
  });
});

test("a long text is not waited for", async () => {
  const { text, isPossible } = await memoryOf(new Promise(() => {}), 5);
  expect({ text, isPossible }).toEqual({ text: "memory not estimated yet", isPossible: true });
});

test("settings that do not fit are a text, and a text that cannot be used is an error", async () => {
  const problem = new RemoteError("config", "Choose a smaller train.blockSize.");
  expect(await memoryOf(Promise.reject(problem))).toEqual({ text: problem.message, isPossible: false });
  await expect(memoryOf(Promise.reject(new RemoteError("data", "It is empty.")))).rejects.toThrow("It is empty.");
});
