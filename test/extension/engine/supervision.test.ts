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
  test("the engine restarts with growing delays of less than 2 seconds", () => {
    const delays = [1, 2, 3, 4].map((n) => {
      const verdict = afterCrash(Array.from({ length: n }, (_, i) => crash(i)));
      return verdict.kind === "restart" ? verdict.delay : Number.NaN;
    });
    expect(delays).toEqual([...delays].sort((a, b) => a - b));
    expect(delays.at(-1)).toBeLessThanOrEqual(1000);
  });

  test("the fifth within 3 minutes ends the restarts, with the count and the reason", () => {
    const verdict = afterCrash([0, 10, 20, 30, 40].map((at) => crash(at)));
    expect(verdict.kind).toBe("giveUp");
    expect(verdict.message).toMatch(/crashed 5 times in the last 3 minutes.*SIGSEGV/);
  });

  test("crashes older than 3 minutes do not count", () => {
    expect(afterCrash([0, 1, 2, 3, minutes(3.1)].map((at) => crash(at))).kind).toBe("restart");
  });

  test("on WebGPU the engine restarts on the CPU and says so", () => {
    const verdict = afterCrash([crash(0, { device: "webgpu" })]);
    expect(verdict).toMatchObject({ kind: "restart", choice: "cpu" });
    expect(verdict.message).toContain("has been restarted on the CPU");
  });

  test("before a requested WebGPU was ready counts as one on WebGPU", () => {
    expect(afterCrash([crash(0, { choice: "webgpu", device: null })])).toMatchObject({ choice: "cpu" });
  });

  test("on the CPU the device stays the same", () => {
    expect(afterCrash([crash(0)])).toMatchObject({ choice: "auto" });
  });

  test("by a kill from outside the device stays the same", () => {
    expect(afterCrash([crash(0, { signal: "SIGKILL", device: "webgpu" })])).toMatchObject({ choice: "auto" });
  });
});

describe("the explanation of an exit", () => {
  test.each(["SIGTRAP", "SIGABRT", "SIGSEGV"] as const)("by %s names the runtime setting", (signal) => {
    expect(explainExit({ code: null, signal, ownRuntime: false })).toMatch(
      `(${signal}). If it happens again, set a Node.js`,
    );
  });

  test("names the device setting if the runtime setting is already used", () => {
    expect(explainExit({ code: null, signal: "SIGABRT", ownRuntime: true })).toContain("decoderLab.engine.device");
  });

  test("treats an access violation on Windows as a native crash", () => {
    expect(explainExit({ code: 0xc0000005 | 0, signal: null, ownRuntime: false })).toContain(
      "native code (0xc0000005)",
    );
  });

  test("names the exit code", () => {
    expect(explainExit({ code: 7, signal: null, ownRuntime: false })).toBe("The engine exited unexpectedly (code 7).");
  });

  test.each([
    [
      "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
      /ran out of JavaScript memory/,
    ],
    ["terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc", /ran out of memory/],
    ["# Fatal process out of memory: Zone", /ran out of memory/],
    ["Error: EMFILE: too many open files, open '/x'", /too many open files/],
  ])("says what ran out: %s", (output, message) => {
    const exit = { code: null, signal: "SIGABRT", ownRuntime: false, output } as const;
    expect(explainExit(exit)).toMatch(message);
    expect(explainExit(exit)).not.toContain("native code");
    // A GPU is not the cause.
    expect(afterCrash([crash(0, { ...exit, device: "webgpu" })])).toMatchObject({ choice: "auto" });
  });

  test("by a kill names memory as the likely cause, whatever was logged before", () => {
    const output = "Error: EMFILE: too many open files";
    for (const exit of [
      { code: null, signal: "SIGKILL" as const },
      { code: 137, signal: null },
    ]) {
      expect(explainExit({ ...exit, ownRuntime: false, output })).toMatch(
        /was killed, perhaps because .* out of memory/,
      );
    }
  });

  test("reads the exit codes of shells and of Windows", () => {
    const by = (code: number) => explainExit({ code, signal: null, ownRuntime: false });
    expect(by(134)).toContain("native code (SIGABRT)");
    expect(by(139)).toContain("native code (SIGSEGV)");
    expect(by(143)).toBe("The engine was terminated by SIGTERM.");
    for (const code of [0xc0000017, 0xc000012d, 0xe0000008]) expect(by(code | 0)).toContain("ran out of memory");
  });
});
