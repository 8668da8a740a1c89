import { chmod, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import {
  appendJsonLines,
  latestCheckpoint,
  MODEL_FILES,
  makeFolder,
  OPTIMIZER_FILE,
  plainFileName,
  pruneCheckpoints,
  publish,
  readJson,
  readJsonLines,
  readTensor,
  storageError,
  writeCheckpoint,
  writeFileWhole,
  writeSafetensors,
} from "../../../src/engine/weights";
import { temporaryName } from "../../../src/engine/weights/temporary";
import { bundleProgram, outputOf, startProgram } from "../../helpers/runProgram";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "model-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Writes the files of a small model in which every number is the step. */
async function writeModel(folder: string, step: number): Promise<void> {
  for (const name of MODEL_FILES.filter((file) => file.endsWith(".json")))
    await writeFile(join(folder, name), JSON.stringify({ step }));
  for (const name of ["model.safetensors", OPTIMIZER_FILE]) {
    await writeSafetensors(
      join(folder, name),
      new Map([["w", { shape: [8], dtype: "F32", data: new Float32Array(8).fill(step) }]]),
    );
  }
}

const checkpoint = (step: number) => writeCheckpoint(dir, step, (folder) => writeModel(folder, step));
const steps = async () => (await readdir(join(dir, "checkpoints"))).sort();

describe("the latest checkpoint", () => {
  test("has the highest step", async () => {
    expect(await latestCheckpoint(dir)).toEqual({ checkpoint: null, skipped: [] });
    for (const step of [500, 1000, 20]) await checkpoint(step);
    expect((await latestCheckpoint(dir)).checkpoint).toEqual({
      path: join(dir, "checkpoints/step-00001000"),
      step: 1000,
    });
  });

  test("is the newest complete one; newer damaged ones are reported with the reason", async () => {
    for (const step of [1, 2, 3, 4]) await checkpoint(step);
    const broken = (step: number, name: string) => join(dir, `checkpoints/step-0000000${step}`, name);
    await truncate(broken(4, "model.safetensors"), 90);
    await writeFile(broken(3, "training.json"), '{"step": 3');
    await rm(broken(2, OPTIMIZER_FILE));
    const { checkpoint: latest, skipped } = await latestCheckpoint(dir);
    expect(latest?.step).toBe(1);
    expect(skipped.map(({ problem }) => problem)).toEqual([
      expect.stringMatching(
        /step-00000004\/model\.safetensors is damaged: .*\. Download it again or restore an earlier copy\.$/,
      ),
      expect.stringMatching(/step-00000003\/training\.json is damaged: it is not valid JSON/),
      expect.stringMatching(/step-00000002\/optimizer\.safetensors does not exist/),
    ]);
  });

  test("is never one that is still being written", async () => {
    await checkpoint(1);
    await writeCheckpoint(dir, 2, async (folder) => {
      await writeModel(folder, 2);
      expect((await latestCheckpoint(dir)).checkpoint?.step).toBe(1);
    });
    expect((await latestCheckpoint(dir)).checkpoint?.step).toBe(2);
  });

  test("is the old one if the process was killed while replacing it", async () => {
    const path = await checkpoint(7);
    await rm(join(dir, "checkpoints/.old-step-00000007"), { recursive: true, force: true });
    const { rename } = await import("node:fs/promises");
    await rename(path, join(dir, "checkpoints/.old-step-00000007"));
    expect((await latestCheckpoint(dir)).checkpoint?.step).toBe(7);
  });
});

describe("writing a checkpoint", () => {
  test("replaces an existing checkpoint of the same step", async () => {
    await checkpoint(5);
    const path = await writeCheckpoint(dir, 5, (folder) => writeModel(folder, 6));
    expect((await readTensor(join(path, "model.safetensors"), "w")).data[0]).toBe(6);
    expect(await steps()).toEqual(["step-00000005"]);
  });

  test("leaves nothing behind on failure", async () => {
    await checkpoint(1);
    const failing = writeCheckpoint(dir, 2, async (folder) => {
      await writeModel(folder, 2);
      throw new Error("in the middle");
    });
    await expect(failing).rejects.toThrow("in the middle");
    expect(await steps()).toEqual(["step-00000001"]);
  });

  test.skipIf(process.platform !== "linux")("reports a full disk (skipped without /dev/full)", async () => {
    await checkpoint(1);
    const full = writeCheckpoint(dir, 2, () => writeFile("/dev/full", "x".repeat(100_000)));
    await expect(full).rejects.toMatchObject({
      code: "storage",
      message: expect.stringMatching(
        /Could not write .*step-00000002: the disk is full\. Free some space and try again\. Files saved earlier are unchanged\.$/,
      ),
    });
    expect((await latestCheckpoint(dir)).checkpoint?.step).toBe(1);
  });

  test("reports a path that runs through a file", async () => {
    await writeFile(join(dir, "file"), "");
    const blocked = writeCheckpoint(join(dir, "file"), 1, (folder) => writeModel(folder, 1));
    await expect(blocked).rejects.toMatchObject({
      code: "storage",
      message: expect.stringContaining("part of the path is a file"),
    });
  });

  test.skipIf(process.getuid?.() === 0)(
    "reports a read-only folder (skipped for root, who can write anywhere)",
    async () => {
      await checkpoint(1);
      await chmod(join(dir, "checkpoints"), 0o555);
      await expect(checkpoint(2)).rejects.toMatchObject({
        code: "storage",
        message: expect.stringContaining("permission denied"),
      });
      await chmod(join(dir, "checkpoints"), 0o755);
      expect((await latestCheckpoint(dir)).checkpoint?.step).toBe(1);
    },
  );

  test("turns storage problems into messages with advice and leaves other errors unchanged", () => {
    for (const code of ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"]) {
      const error = storageError(Object.assign(new Error("native"), { code }), "/models/a");
      expect(error).toMatchObject({
        code: "storage",
        message: expect.stringMatching(/^Could not write \/models\/a: .*\. .*\. Files saved earlier are unchanged\.$/),
      });
    }
    const temporary = temporaryName("/models/a/checkpoints/step-00000002");
    const error = storageError(
      Object.assign(new Error("native"), { code: "ENOSPC" }),
      `${temporary}/model.safetensors`,
    );
    expect(error).toMatchObject({
      message: expect.stringMatching(/^Could not write \/models\/a\/checkpoints\/step-00000002\/model\.safetensors:/),
    });
    const bug = new TypeError("x is undefined");
    expect(storageError(bug, "/models/a")).toBe(bug);
  });
});

describe("pruning", () => {
  test("keeps the newest complete checkpoints and removes the remains of interrupted writes", async () => {
    for (const step of [1, 2, 3, 4]) await checkpoint(step);
    await truncate(join(dir, "checkpoints/step-00000004/model.safetensors"), 9);
    await mkdir(join(dir, "checkpoints/.writing-step-00000005-x"));
    await writeFile(join(dir, "checkpoints/notes.txt"), "mine");
    await pruneCheckpoints(dir, { newest: 2, most: 2 });
    expect(await steps()).toEqual(["notes.txt", "step-00000002", "step-00000003"]);
  });

  test("spreads the checkpoints of a long run, keeping the first, the best and the newest", async () => {
    for (let step = 0; step <= 40; step++) {
      await checkpoint(step);
      await pruneCheckpoints(dir, { newest: 2, most: 8, best: step < 13 ? null : 13 });
    }
    const kept = (await steps()).map((name) => Number(name.slice(-2)));
    expect(kept).toHaveLength(8);
    expect(kept).toEqual(expect.arrayContaining([0, 13, 39, 40]));
    const gaps = kept.slice(1).map((step, i) => step - (kept[i] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(12);
  });
});

describe("publishing", () => {
  test("replaces the folder's model each time", async () => {
    for (const step of [1, 2, 2]) {
      await publish(dir, { path: await checkpoint(step) });
      expect((await readTensor(join(dir, "model.safetensors"), "w")).data[0]).toBe(step);
      expect(await readJson(join(dir, "training.json"))).toEqual({ step });
    }
    expect((await readdir(dir)).sort()).toEqual([...MODEL_FILES, "checkpoints"].sort());
  });

  test("keeps the published model when the checkpoint is deleted", async () => {
    await publish(dir, { path: await checkpoint(1) });
    await checkpoint(2);
    await pruneCheckpoints(dir, { newest: 1, most: 1 });
    expect((await readTensor(join(dir, "model.safetensors"), "w")).data[0]).toBe(1);
  });
});

test("a process killed at any moment leaves its last complete checkpoint and a complete model", async () => {
  const program = await bundleProgram(join(import.meta.dirname, "writeCheckpoints.program.ts"));
  const { uniform } = random(11, "kills");
  let kept = 0;
  for (let round = 0; round < 25; round++) {
    // Every third round starts at an existing step and replaces it.
    const child = startProgram(program, [dir, String(round % 3 ? kept + 1 : Math.max(kept, 1))]);
    const output = outputOf(child);
    await new Promise((started) => child.stdout?.once("data", started));
    await setTimeout(uniform() * 60);
    child.kill("SIGKILL");
    const { stdout, stderr } = await output;
    expect(stderr).toBe("");
    const reported = Number(stdout.trim().split("\n").at(-1));

    const { checkpoint: latest, skipped } = await latestCheckpoint(dir);
    expect(skipped).toEqual([]);
    expect(latest?.step).toBeGreaterThanOrEqual(Math.max(reported, kept));
    kept = latest?.step ?? 0;
    const path = latest?.path ?? "";
    for (const [name, tensor] of [
      ["model.safetensors", "w"],
      [OPTIMIZER_FILE, "m"],
    ] as const) {
      const { data } = await readTensor(join(path, name), tensor);
      expect(data.every((value) => value === kept)).toBe(true);
    }
    for (const name of MODEL_FILES.filter((file) => file.endsWith(".json")))
      expect(await readJson(join(path, name))).toEqual({ step: kept });
    const published = await readTensor(join(dir, "model.safetensors"), "w").catch((error) => {
      // Killed before the first model was published.
      if (/does not exist/.test(error.message)) return null;
      throw error;
    });
    if (published) expect(new Set(published.data).size).toBe(1);
  }
  await pruneCheckpoints(dir, { newest: 1, most: 1 });
  expect(await steps()).toEqual([`step-${String(kept).padStart(8, "0")}`]);
}, 120_000);

describe("files", () => {
  test("makeFolder creates parents and accepts existing folders", async () => {
    for (let i = 0; i < 2; i++) await makeFolder(join(dir, "a/b/c"));
    expect(await readdir(join(dir, "a/b"))).toEqual(["c"]);
    await writeFile(join(dir, "file"), "");
    await expect(makeFolder(join(dir, "file/a"))).rejects.toMatchObject({ code: "storage" });
  });

  test("a failed write leaves the old content", async () => {
    const path = join(dir, "a.json");
    await writeFileWhole(path, "first");
    await expect(
      writeFileWhole(path, async (file) => {
        await file.writeFile("half");
        throw new Error("stopped");
      }),
    ).rejects.toThrow("stopped");
    expect(await readFile(path, "utf8")).toBe("first");
    expect(await readdir(dir)).toEqual(["a.json"]);
  });

  test("JSON Lines files continue after a truncated line", async () => {
    const path = join(dir, "reports.jsonl");
    expect(await readJsonLines(path)).toEqual([]);
    await appendJsonLines(path, [{ step: 1 }, { step: 2 }]);
    await truncate(path, (await readFile(path)).length - 4);
    await appendJsonLines(path, [{ step: 3 }]);
    expect(await readJsonLines(path)).toEqual([{ step: 1 }, { step: 3 }]);
    await writeFile(path, '{"step":1}\nnull\n"step"\n7\n[{"step":2}]\n\n{"step":3}\n');
    expect(await readJsonLines(path)).toEqual([{ step: 1 }, { step: 3 }]);
  });

  test("missing or damaged JSON is reported with advice", async () => {
    await expect(readJson(join(dir, "config.json"))).rejects.toMatchObject({
      code: "config",
      message: expect.stringMatching(/config\.json does not exist\. Choose/),
    });
    await writeFile(join(dir, "config.json"), "{");
    await expect(readJson(join(dir, "config.json"))).rejects.toThrow(
      /config\.json is damaged: it is not valid JSON\. Copy it from the model's last checkpoint/,
    );
  });

  test("names read from a file must stay in its folder", () => {
    expect(plainFileName("model-00001-of-00002.safetensors", "index.json")).toBe("model-00001-of-00002.safetensors");
    for (const name of ["../a", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "C:a", "a\u0000b"]) {
      expect(() => plainFileName(name, "index.json")).toThrow("index.json refers to the file");
    }
  });
});
