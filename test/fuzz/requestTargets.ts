/** Inputs of the fuzzer besides model files: folders of runs, data, settings, messages of pages, and answers of a hub. */

import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { readPairs } from "../../src/engine/data/pairs";
import type { Random } from "../../src/engine/random";
import { explorerChecks, trainingChecks } from "../../src/extension/webviews/messageChecks";
import type { PlannedRun } from "../../src/protocol/engineApi";
import { startHub, TOKEN } from "../helpers/hubServer";
import { cats, tinyRun } from "../helpers/tinyRun";
import { engine, ForUsers, oneOf, type Target } from "./makers";
import { mutated } from "./mutate";

/** A changed value, as the other side of a connection could send it; null if the change is no longer JSON. */
function changedValue(value: unknown, draw: Random): unknown {
  try {
    return JSON.parse(mutated("value.json", Buffer.from(JSON.stringify(value)), draw).toString());
  } catch {
    return null;
  }
}

const PLANS: readonly PlannedRun[] = [
  { preset: "char", device: "cpu", data: { kind: "text", name: "cats", text: cats(20) }, set: { "model.dModel": 32 } },
  { preset: "adder", device: "cpu", set: { "train.steps": 5, "data.digits": 2 } },
  {
    ...{ preset: "translate", device: "cpu", set: { "model.nLayers": 1 } },
    data: { kind: "text", name: "pairs", text: "a\tb\n".repeat(40) },
  },
];

/** Messages that the pages send, by method. */
const MESSAGES: Readonly<Record<string, unknown>> = {
  inspectText: { text: "once upon a time" },
  follow: { follow: true },
  select: { trace: 1, token: 2, layer: 0, head: 3 },
  act: { action: "showLog" },
  scrub: { step: 100 },
  inspectAlso: { dir: "/models/a", text: "once" },
  branch: { step: 500 },
  paint: { step: 500, page: 1 },
  changeQueue: { id: 1, change: "up" },
  ...{ tensor: { trace: 1, name: "blocks.0.attn.q" }, attention: { trace: 1, layer: 0, head: 1 } },
};

export const REQUEST_TARGETS: Readonly<Record<string, Target>> = {
  run: async (scratch) => {
    const dir = join(scratch, "run");
    await rm(dir, { recursive: true, force: true });
    const call = engine();
    await call("train", tinyRun(dir, cats(20), { "train.steps": 6, "train.checkpointEvery": 3, "train.batchSize": 2 }));
    const names = ["training.json", "reports.jsonl", "config.json", "tokenizer.json"];
    return oneOf(dir, names, async () => {
      const [first] = await call("checkpoints", { dir });
      if (first) await call("model", { dir: first.dir });
      await call("trainingExcerpt", { dir, page: 0 });
    });
  },

  resumed: async (scratch) => {
    const [dir, copy] = [join(scratch, "whole"), join(scratch, "copy")];
    await rm(dir, { recursive: true, force: true });
    const call = engine();
    await call("train", tinyRun(dir, cats(20), { "train.steps": 4, "train.checkpointEvery": 2, "train.batchSize": 2 }));
    const entries = await readdir(dir, { withFileTypes: true, recursive: true });
    const names = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(dir, join(parentPath, name)));
    return async (draw) => {
      await rm(copy, { recursive: true, force: true });
      await cp(dir, copy, { recursive: true });
      const name = draw ? (names[draw.below(names.length)] as string) : "";
      if (draw) await writeFile(join(copy, name), mutated(name, await readFile(join(dir, name)), draw));
      return { open: () => call("resume", { dir: copy, steps: 6, device: "cpu" }), files: [join(copy, name)] };
    };
  },

  pairs: async (scratch) => {
    const dir = join(scratch, "pairs");
    await mkdir(dir);
    const lines = Array.from({ length: 30 }, (_, i) => `the dog ${i}\tle chien ${i}`);
    await writeFile(join(dir, "a.tsv"), lines.join("\n"));
    return oneOf(dir, ["a.tsv"], () => readPairs({ kind: "paths", paths: [join(dir, "a.tsv")] }));
  },

  settings: async () => {
    const call = engine();
    return async (draw) => {
      const plan = PLANS[draw?.below(PLANS.length) ?? 0] as PlannedRun;
      const set = draw ? (Object(changedValue(plan.set, draw)) as NonNullable<PlannedRun["set"]>) : {};
      return { open: () => call("estimate", { ...plan, set }), files: [] };
    };
  },

  page: async () => {
    const checks = { ...explorerChecks, ...trainingChecks } as Readonly<Record<string, (params: unknown) => unknown>>;
    const methods = Object.keys(checks);
    return async (draw) => {
      const method = draw ? (methods[draw.below(methods.length)] as string) : "select";
      const message = MESSAGES[draw?.below(2) === 0 ? "select" : method] ?? { trace: 1, name: "a" };
      const params = draw ? changedValue(message, draw) : message;
      const open = async () => {
        try {
          checks[method]?.(params);
        } catch (error) {
          const { message } = error as Error;
          throw message.startsWith("The view sent an invalid ") ? new ForUsers(message) : error;
        }
      };
      return { open, files: [] };
    };
  },

  hub: async (scratch, root) => {
    process.env.HF_HOME = join(scratch, "hf");
    const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    const files = await Promise.all(
      names.map(
        async (name) =>
          [name, new Uint8Array(await readFile(join(root, "test", "golden", "characters", name)))] as const,
      ),
    );
    const hub = await startHub({ id: "lab/real", files: Object.fromEntries(files) });
    const call = engine();
    const out = join(scratch, "out-hub");
    const access = { endpoint: hub.endpoint, token: TOKEN };
    const open = async () => {
      await rm(out, { recursive: true, force: true });
      await rm(join(scratch, "hf"), { recursive: true, force: true });
      await call("searchHub", { query: "real", access });
      await call("importModel", { source: "lab/real", out, access });
    };
    await open();
    const paths = new Set(
      hub.seen.filter(({ host, path }) => host === "hub" && path.startsWith("/api/")).map(({ path }) => path),
    );
    const answers = new Map<string, Buffer>();
    for (const path of paths) answers.set(path, Buffer.from(await (await fetch(hub.endpoint + path)).arrayBuffer()));
    return async (draw) => {
      const path = draw ? ([...answers.keys()][draw.below(answers.size)] as string) : "";
      const body = draw ? mutated("answer.json", answers.get(path) as Buffer, draw).toString() : "";
      hub.trouble = (request) => (request.path === path ? { kind: "body", body } : undefined);
      return { open, files: [] };
    };
  },
};
