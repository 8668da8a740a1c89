import { describe, expect, test } from "vitest";
import { inspectorChecks, trainingChecks } from "../../../src/extension/webviews/messageChecks";

describe("a message from a webview", () => {
  test("passes without its unknown fields", () => {
    expect(inspectorChecks.traceTensor({ trace: 1, name: "embed" })).toEqual({ trace: 1, name: "embed" });
    expect(inspectorChecks.traceTensor({ trace: 1, name: "embed", head: 2, more: "x" })).toEqual({
      trace: 1,
      name: "embed",
      head: 2,
    });
    expect(trainingChecks.pause({ paused: true })).toEqual({ paused: true });
    expect(inspectorChecks.save({ name: "attention-layer0.csv", data: new Uint8Array(1) })).toHaveProperty("name");
  });
  test.each<[string, () => unknown]>([
    ["no parameters", () => inspectorChecks.traceTensor(null)],
    ["a trace that is not a number", () => inspectorChecks.traceTensor({ trace: "1", name: "embed" })],
    ["a negative head", () => inspectorChecks.traceTensor({ trace: 1, name: "embed", head: -1 })],
    ["a text that is too long", () => inspectorChecks.inspectText({ text: "x".repeat(1_000_000) })],
    ["an unknown action", () => inspectorChecks.act({ action: "constructor" })],
    ["a file name with a folder", () => inspectorChecks.save({ name: "../../.bashrc", data: new Uint8Array(1) })],
    ["a hidden file", () => inspectorChecks.save({ name: ".bashrc", data: new Uint8Array(1) })],
    ["a file that is not bytes", () => inspectorChecks.save({ name: "a.csv", data: [1, 2] })],
    ["a pause that is not a boolean", () => trainingChecks.pause({ paused: 1 })],
  ])("with %s is rejected", (_, check) =>
    expect(check).toThrow(/^The view sent an invalid (parameter \(\w+\)|message)\. /),
  );

  test("names the field of a nested value", () => {
    const head = { kind: "head", layer: 0, head: 0.5 };
    const interventions = [{ kind: "scale", part: head, factor: 0 }];
    expect(() => inspectorChecks.intervene({ trace: 1, interventions })).toThrow("(interventions.0.part.head)");
  });

  test("has counts lowered to their limits", () => {
    expect(inspectorChecks.weightSummary({ dir: "/m", name: "embed", size: 9999 })).toHaveProperty("size", 512);
  });
});
