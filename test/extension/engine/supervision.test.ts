import { describe, expect, test } from "vitest";
import { afterCrash, type Crash, explainExit } from "../../../src/extension/engine/supervision";

const crash = (at: number, more: Partial<Crash> = {}): Crash => ({
  at,
  code: null,
  signal: "SIGSEGV",
  choice: "auto",
  device: "cpu",
  ownRuntime: false,
  ...more,
});
const minutes = (n: number) => n * 60_000;

describe("after a crash", () => {
  test("the engine is started again, each time later, and always within 2 seconds", () => {
    const delays = [1, 2, 3, 4].map((n) => {
      const verdict = afterCrash(Array.from({ length: n }, (_, i) => crash(i)));
      return verdict.kind === "restart" ? verdict.delay : Number.NaN;
    });
    expect(delays).toEqual([...delays].sort((a, b) => a - b));
    expect(delays.at(-1)).toBeLessThanOrEqual(1000);
  });

  test("the fifth within 3 minutes stops, and says how often and why", () => {
    const verdict = afterCrash([0, 10, 20, 30, 40].map((at) => crash(at)));
    expect(verdict.kind).toBe("giveUp");
    expect(verdict.message).toMatch(/crashed 5 times in the last 3 minutes.*SIGSEGV/);
  });

  test("crashes older than 3 minutes do not count", () => {
    expect(afterCrash([0, 1, 2, 3, minutes(3.1)].map((at) => crash(at))).kind).toBe("restart");
  });

  test("on WebGPU the next start is on the CPU, and says so", () => {
    const verdict = afterCrash([crash(0, { device: "webgpu" })]);
    expect(verdict).toMatchObject({ kind: "restart", choice: "cpu" });
    expect(verdict.message).toContain("starts again on the CPU");
  });

  test("before WebGPU was ready, where it was asked for, counts as on WebGPU", () => {
    expect(afterCrash([crash(0, { choice: "webgpu", device: null })])).toMatchObject({ choice: "cpu" });
  });

  test("on the CPU the choice stays", () => {
    expect(afterCrash([crash(0)])).toMatchObject({ choice: "auto" });
  });

  test("a kill from outside is no fault of the GPU", () => {
    expect(afterCrash([crash(0, { signal: "SIGKILL", device: "webgpu" })])).toMatchObject({ choice: "auto" });
  });
});

describe("the explanation", () => {
  test.each(["SIGTRAP", "SIGABRT", "SIGSEGV"] as const)("of %s names the runtime setting", (signal) => {
    expect(explainExit({ code: null, signal, ownRuntime: false })).toMatch(
      `(${signal}). If it happens again, set a Node.js`,
    );
  });

  test("under another runtime already names the device setting instead", () => {
    expect(explainExit({ code: null, signal: "SIGABRT", ownRuntime: true })).toContain("decoderLab.engine.device");
  });

  test("of an access violation on Windows is a native crash too", () => {
    expect(explainExit({ code: 0xc0000005 | 0, signal: null, ownRuntime: false })).toContain(
      "native code (0xc0000005)",
    );
  });

  test("of an exit names its code", () => {
    expect(explainExit({ code: 7, signal: null, ownRuntime: false })).toBe(
      "The engine ended by itself with exit code 7.",
    );
  });
});
