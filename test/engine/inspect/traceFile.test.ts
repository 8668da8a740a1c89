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

const dir = resolve(import.meta.dirname, "../../../media/model");

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
  test("with every value, every head and every token as they were", async () => {
    expect((await readFile(path)).includes(Buffer.from(dir))).toBe(false);
    const other = engine();
    const opened = await other("openTrace", { path });
    const { trace, model, opened: isOpened, ...told } = opened;
    const { trace: _trace, model: own, ...expected } = info;
    expect(isOpened).toBe(true);
    expect(model).toEqual({ ...own, dir: "" });
    const byName = <X extends { name: string }>(values: readonly X[]) =>
      [...values].sort((a, b) => (a.name < b.name ? -1 : 1));
    expect({ ...told, values: byName(told.values) }).toEqual({ ...expected, values: byName(expected.values) });

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
    // Saved again it is the same.
    const again = join(folder, "b.dltrace");
    await other("saveTrace", { trace, path: again });
    expect(await openTrace(again)).toEqual(await openTrace(path));
  });

  test("and what would run the model is refused in a sentence", async () => {
    const other = engine();
    const { trace } = await other("openTrace", { path });
    const sentence =
      "This run is from a file, and this needs its model. Type the text above to run it with the active model.";
    await expect(other("findTokens", { trace, query: "a", count: 1 })).rejects.toThrow(sentence);
    await expect(other("lens", { trace, positions: [0, 1], count: 1 })).rejects.toThrow(sentence);
    await expect(other("attribution", { trace, position: 0, token: 1 })).rejects.toThrow(sentence);
    await expect(other("projection", { trace, name: "embed", ids: [1] })).rejects.toThrow(sentence);
    await expect(other("compareTraces", { a: trace, b: trace })).rejects.toThrow(sentence);
  });
});

interface Run {
  config: Record<string, unknown>;
  tokens: Record<string, unknown>[];
  model: unknown;
  interventions: unknown;
}

describe("a file that is not as a trace must be is refused in a sentence", () => {
  type Changed = {
    metadata: Record<string, string>;
    tensors: Map<string, { shape: readonly number[]; data: Float32Array }>;
  };
  const CASES: readonly (readonly [string, string, (changed: Changed, run: Run) => unknown])[] = [
    ["another safetensors file", "it is not one", ({ metadata }) => delete metadata["decoder-lab.trace"]],
    ["a later version", 'it is of version "2"', ({ metadata }) => (metadata["decoder-lab.trace"] = "2")],
    ["no run", "not JSON", ({ metadata }) => (metadata.run = "{")],
    [
      "a value of another shape",
      'its value "blocks.0.attn.q" is F32',
      ({ tensors }) => swap(tensors, "blocks.0.attn.q", "embed"),
    ],
    ["a layer too few", "has no blocks.3.attn.k", ({ tensors }) => tensors.delete("blocks.3.attn.k")],
    [
      "a value nobody knows",
      'unknown value "__proto__"',
      ({ tensors }) => tensors.set("__proto__", { shape: [1], data: new Float32Array(1) }),
    ],
    [
      "more layers than it has",
      "does not fit its model",
      (_, run) => {
        run.config.nLayers = 16777216;
      },
    ],
    [
      "heads of a size that is none",
      "its dHead",
      (_, run) => {
        run.config.dHead = -24;
      },
    ],
    [
      "tokens that are none",
      "its tokens",
      (_, run) => {
        (run.tokens[0] as Record<string, unknown>).start = "0";
      },
    ],
    [
      "other tokens than values",
      "does not fit its model",
      (_, run) => {
        run.tokens.pop();
      },
    ],
    [
      "no tokens",
      "has 0 tokens",
      (_, run) => {
        run.tokens = [];
      },
    ],
    [
      "a model that is not told",
      "its model",
      (_, run) => {
        run.model = [];
      },
    ],
    [
      "an intervention of no kind",
      "in an unknown way",
      (_, run) => {
        run.interventions = [{ kind: "eval" }];
      },
    ],
  ];
  const swap = (tensors: Changed["tensors"], name: string, other: string) =>
    tensors.set(name, tensors.get(other) as { shape: readonly number[]; data: Float32Array });
  for (const [name, problem, change] of CASES) {
    test(name, async () => {
      const changed = { metadata: { ...(await readHeader(path)).metadata }, tensors: await readTensors(path) };
      const run = JSON.parse(changed.metadata.run as string);
      change(changed, run);
      if (changed.metadata.run !== "{") changed.metadata.run = JSON.stringify(run);
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

  test("and so is one that was cut off", async () => {
    const bytes = await readFile(path);
    const cut = join(folder, "cut.dltrace");
    await writeFile(cut, bytes.subarray(0, bytes.length - 100));
    await expect(openTrace(cut)).rejects.toThrow(EngineError);
  });
});
