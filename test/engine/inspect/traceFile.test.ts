import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../../src/engine/errors";
import { openTrace } from "../../../src/engine/inspect/traceFile";
import { readHeader, readTensors, writeSafetensors } from "../../../src/engine/weights";
import type { EngineApi, TraceInfo } from "../../../src/protocol/engineApi";
import { connect, serve } from "../../../src/protocol/rpc";
import { engineService } from "../../../src/worker/service";
import { portPair } from "../../helpers/portPair";

const dir = resolve(import.meta.dirname, "../../golden/characters");

function engine() {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  return connect<EngineApi>(ours).call;
}

let folder: string;
let call: ReturnType<typeof engine>;
let info: TraceInfo;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "decoder-lab-"));
  path = join(folder, "a.dltrace");
  call = engine();
  info = await call("inspect", { dir, text: "once upon a time" });
  await call("saveTrace", { trace: info.trace, path });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a trace file opens without its model", () => {
  test("with all values, heads and tokens unchanged", async () => {
    expect((await readFile(path)).includes(Buffer.from(dir))).toBe(false);
    const other = engine();
    const opened = await other("openTrace", { path });
    const { trace, model, opened: isOpened, ...rest } = opened;
    const { trace: _trace, model: own, ...expected } = info;
    expect(isOpened).toBe(true);
    expect(model).toEqual({ ...own, dir: "" });
    const byName = <X extends { name: string }>(values: readonly X[]) =>
      [...values].sort((a, b) => (a.name < b.name ? -1 : 1));
    expect({ ...rest, values: byName(rest.values) }).toEqual({ ...expected, values: byName(expected.values) });

    for (const { name, shape } of info.values) {
      const head = shape.length === 4 ? { head: 1 } : {};
      const [ours, theirs] = await Promise.all([
        call("traceTensor", { trace: info.trace, name, ...head }),
        other("traceTensor", { trace, name, ...head }),
      ]);
      expect(theirs, name).toEqual(ours);
    }
    const [grid, same] = await Promise.all([
      call("attentionGrid", { trace: info.trace, size: 8 }),
      other("attentionGrid", { trace, size: 8 }),
    ]);
    expect(same).toEqual(grid);
    const projection = await other("projection", { trace, name: "blocks.1.residPost", ids: [] });
    expect(projection.points).toBe(info.tokens.length);
    // Saving it again changes nothing.
    const again = join(folder, "b.dltrace");
    await other("saveTrace", { trace, path: again });
    expect(await openTrace(again)).toEqual(await openTrace(path));
  });

  test("but requests that need the model are rejected", async () => {
    const other = engine();
    const { trace } = await other("openTrace", { path });
    const sentence =
      "This needs the model, which a trace file does not contain. Type the text above to run it with the active model.";
    await expect(other("findTokens", { trace, query: "a", count: 1 })).rejects.toThrow(sentence);
    await expect(other("lens", { trace, positions: [0, 1], count: 1 })).rejects.toThrow(sentence);
    await expect(other("attribution", { trace, position: 0, token: 1 })).rejects.toThrow(sentence);
    await expect(other("projection", { trace, name: "embed", ids: [1] })).rejects.toThrow(sentence);
    await expect(other("compareTraces", { a: trace, b: trace })).rejects.toThrow(sentence);
  });
});

interface Summary {
  config: Record<string, unknown>;
  tokens: Record<string, unknown>[];
  model: unknown;
  interventions: unknown;
}

describe("an invalid file is rejected with the reason", () => {
  type Changed = {
    metadata: Record<string, string>;
    tensors: Map<string, { shape: readonly number[]; data: Float32Array }>;
  };
  const CASES: readonly (readonly [string, string, (changed: Changed, summary: Summary) => unknown])[] = [
    ["another safetensors file", "it is not a trace file", ({ metadata }) => delete metadata["decoder-lab.trace"]],
    ["a later version", 'its version is "2"', ({ metadata }) => (metadata["decoder-lab.trace"] = "2")],
    ["a description that is not JSON", "not valid JSON", ({ metadata }) => (metadata.run = "{")],
    [
      "a value of another shape",
      'its value "blocks.0.attn.q" is F32',
      ({ tensors }) => swap(tensors, "blocks.0.attn.q", "embed"),
    ],
    ["a missing layer", "has no blocks.3.attn.k", ({ tensors }) => tensors.delete("blocks.3.attn.k")],
    [
      "an unknown value",
      'unknown value "__proto__"',
      ({ tensors }) => tensors.set("__proto__", { shape: [1], data: new Float32Array(1) }),
    ],
    [
      "a config with more layers than the file",
      "does not fit its model",
      (_, summary) => {
        summary.config.nLayers = 16777216;
      },
    ],
    [
      "a negative head size",
      "its dHead",
      (_, summary) => {
        summary.config.dHead = -24;
      },
    ],
    [
      "a token with a wrong field",
      "its tokens",
      (_, summary) => {
        (summary.tokens[0] as Record<string, unknown>).start = "0";
      },
    ],
    [
      "fewer tokens than values",
      "does not fit its model",
      (_, summary) => {
        summary.tokens.pop();
      },
    ],
    [
      "no tokens",
      "has 0 tokens",
      (_, summary) => {
        summary.tokens = [];
      },
    ],
    [
      "a model that is not an object",
      "its model",
      (_, summary) => {
        summary.model = [];
      },
    ],
    [
      "an intervention of unknown kind",
      "an unknown kind of intervention",
      (_, summary) => {
        summary.interventions = [{ kind: "eval" }];
      },
    ],
  ];
  const swap = (tensors: Changed["tensors"], name: string, other: string) =>
    tensors.set(name, tensors.get(other) as { shape: readonly number[]; data: Float32Array });
  for (const [name, problem, change] of CASES) {
    test(name, async () => {
      const changed = { metadata: { ...(await readHeader(path)).metadata }, tensors: await readTensors(path) };
      const summary = JSON.parse(changed.metadata.run as string);
      change(changed, summary);
      if (changed.metadata.run !== "{") changed.metadata.run = JSON.stringify(summary);
      const tensors = [...changed.tensors].map(
        ([each, tensor]) => [each, { ...tensor, dtype: "F32" as const }] as const,
      );
      const wrong = join(folder, "wrong.dltrace");
      await writeSafetensors(wrong, new Map(tensors), changed.metadata);
      const error = await openTrace(wrong).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(EngineError);
      expect(error.message).toContain(problem);
    });
  }

  test("a truncated file", async () => {
    const bytes = await readFile(path);
    const cut = join(folder, "cut.dltrace");
    await writeFile(cut, bytes.subarray(0, bytes.length - 100));
    await expect(openTrace(cut)).rejects.toThrow(EngineError);
  });
});
