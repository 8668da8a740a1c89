import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePairs } from "../../../scripts/makePairs";
import type { TrainEvent } from "../../../src/engine/api/run";
import { splitPairs } from "../../../src/engine/data/pairs";
import { openModel, openTranslation } from "../../../src/engine/models/folder";
import { LoadedTranslator } from "../../../src/engine/models/loadedTranslator";
import { SENTENCE, trainSentences } from "../../../src/engine/tokenizers";
import type { RunControl } from "../../../src/engine/train/control";
import { evaluateModel } from "../../../src/engine/train/evaluate";
import { resume, train } from "../../../src/engine/train/run";
import { translationData } from "../../../src/engine/train/translation";
import { readTensors } from "../../../src/engine/weights";

const TEXT = makePairs(300, 3).join("\n");
const PAIRS = TEXT.split("\n").map((line) => {
  const [source = "", target = ""] = line.split("\t");
  return { source, target };
});

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-translation-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("batches of sentence pairs", () => {
  const splits = splitPairs(PAIRS, 0.1, 1);
  const tokenizers = {
    source: trainSentences(
      PAIRS.map(({ source }) => source),
      { lowercase: true },
    ),
    target: trainSentences(
      PAIRS.map(({ target }) => target),
      { lowercase: true },
    ),
  };
  const B = 16;
  const data = (seed = 1) => translationData(splits, tokenizers, { batchSize: B, blockSize: 24, seed });
  type Batch = ReturnType<ReturnType<typeof data>["batch"]>;

  /** The sentences of a batch's rows. */
  const sentences = (batch: Batch) => {
    const T = batch.labels.length / B;
    const column = (ids: Int32Array | undefined, b: number) =>
      Array.from({ length: T }, (_, t) => ids?.[t * B + b] as number).filter((id) => id !== SENTENCE.padId);
    return Array.from({ length: B }, (_, b) => ({
      source: tokenizers.source.decode(column(batch.sourceIds, b)),
      target: tokenizers.target.decode(column(batch.labels, b)),
    }));
  };

  test("depend only on seed and step, in any order of requests", () => {
    const [one, other] = [data(), data()];
    const late = other.batch(40);
    expect(other.batch(3)).toEqual(one.batch(3));
    expect(one.batch(40)).toEqual(late);
    expect(data(2).batch(3)).not.toEqual(one.batch(3));
  });

  test("have every training pair once per epoch, apart from padding of the last batch of each length", () => {
    const { batch } = data();
    const lengths = new Set<number>();
    const seen = new Set<string>();
    let step = 0;
    while (seen.size < splits.train.length && step < 40) {
      const next = batch(++step);
      lengths.add(next.labels.length / B);
      for (const { source, target } of sentences(next)) seen.add(`${source}\t${target}`);
    }
    expect(step).toBeLessThanOrEqual(Math.ceil(splits.train.length / B) + lengths.size);
    expect([...seen].sort()).toEqual(splits.train.map(({ source, target }) => `${source}\t${target}`).sort());
    expect([...lengths].sort((a, b) => a - b)).toEqual([8, 16]);
  });

  test("weight every target token and EOS equally, and ignore padding", () => {
    const { ids, labels, labelWeights, sourceIds, sourceMask, targetMask } = data().batch(1);
    const T = labels.length / B;
    const counted = labelWeights.filter((weight) => weight > 0);
    expect(new Set(counted).size).toBe(1);
    expect(labelWeights.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 5);
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const at = t * B + b;
        expect(labelWeights[at] !== 0).toBe(labels[at] !== SENTENCE.padId);
        expect(targetMask?.[b * T + t]).toBe(ids[at] === SENTENCE.padId ? Math.fround(-1e9) : 0);
        expect(sourceMask?.[b * T + t]).toBe(sourceIds?.[at] === SENTENCE.padId ? Math.fround(-1e9) : 0);
        // The label of a token is the next token.
        if (t > 0 && ids[at] !== SENTENCE.padId) expect(labels[at - B]).toBe(ids[at]);
      }
    }
  });

  test("reject a pair longer than the context, with its sentence", () => {
    expect(() => translationData(splits, tokenizers, { batchSize: B, blockSize: 4, seed: 1 })).toThrow(
      /".+" and its translation have \d+ tokens, more than the context of 4/,
    );
  });
});

const SMALL = {
  "model.dModel": 16,
  "model.nHeads": 2,
  "model.nLayers": 1,
  "model.nEncoderLayers": 1,
  "train.batchSize": 16,
  "train.blockSize": 16,
  "train.steps": 30,
  "train.schedule.warmup": 10,
  "train.evalEvery": 15,
  "train.sampleEvery": 15,
  "train.checkpointEvery": 15,
};

const newRun = (name: string) => ({
  preset: "translate",
  data: { kind: "text", name: "pairs", text: TEXT } as const,
  out: join(dir, name),
  name,
  device: "cpu" as const,
  set: SMALL,
});

function watched(until: (event: TrainEvent) => boolean = () => false): RunControl & { readonly events: TrainEvent[] } {
  const stop = new AbortController();
  const events: TrainEvent[] = [];
  const report = (event: TrainEvent) => {
    events.push(event);
    if (until(event)) stop.abort();
  };
  return { signal: stop.signal, whilePaused: async () => {}, report, events };
}
const lossesOf = (events: readonly TrainEvent[]) =>
  events.flatMap((event) => (event.kind === "steps" ? event.reports.map(({ loss }) => loss) : []));

describe("a translator's run", () => {
  let whole: readonly TrainEvent[];
  let out: string;
  beforeAll(async () => {
    const control = watched();
    out = (await train(newRun("whole"), control)).dir;
    whole = control.events;
  }, 60_000);

  test("learns, and shows held-out sentences with their translations", () => {
    const losses = lossesOf(whole);
    expect(losses).toHaveLength(30);
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.5);
    const sample = whole.find((event) => event.kind === "sample");
    expect(sample?.kind === "sample" && sample.text).toMatch(/^\w+.* → .*\n/);
    const evaluated = whole.find((event) => event.kind === "eval");
    expect(evaluated?.kind === "eval" && evaluated.report.accuracy).toBeGreaterThanOrEqual(0);
  });

  test("saves both tokenizers, and the weights that its config.json describes", async () => {
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config).toMatchObject({ model_type: "decoder_lab_translate", nEncoderLayers: 1, nLayers: 1, dModel: 16 });
    const { cfg, source, target, info } = await openTranslation(out);
    expect([cfg.encoder.vocabSize, cfg.decoder.vocabSize]).toEqual([source.vocabSize, target.vocabSize]);
    expect(info).toMatchObject({ name: "whole", preset: "translate", family: "decoder_lab_translate" });
    const names = [...(await readTensors(join(out, "model.safetensors"))).keys()];
    expect(names).toContain("enc.blocks.0.q.weight");
    expect(names).toContain("blocks.0.cross.q.weight");
  });

  test("repeats the losses of an uninterrupted one after a stop, bit for bit", async () => {
    const first = watched((event) => event.kind === "steps" && (event.reports.at(-1)?.step ?? 0) >= 9);
    const stopped = await train(newRun("stopped"), first);
    expect(stopped.reason).toBe("stopped");
    const second = watched();
    await resume(stopped.dir, {}, second);
    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(lossesOf(whole));
    const file = (dir: string) => readFile(join(dir, "model.safetensors"));
    expect((await file(stopped.dir)).equals(await file(out))).toBe(true);
  }, 60_000);

  test("is evaluated on its held-out pairs, or on given pairs", async () => {
    const report = await evaluateModel(out, undefined, "cpu");
    expect(report.tokens).toBeGreaterThan(100);
    expect(report.perplexity).toBeCloseTo(Math.exp(report.loss), 6);
    expect(report.accuracy).toBeLessThan(1);
    const other = await evaluateModel(out, { kind: "text", name: "pairs", text: "the dog\tle chien" }, "cpu");
    expect(other.tokens).toBe(3);
    // A word outside the vocabulary cannot be correct.
    const unknown = await evaluateModel(out, { kind: "text", name: "pairs", text: "the dog\tle caniche" }, "cpu");
    expect(unknown.accuracy).toBe(0);
  }, 60_000);

  test("cannot be evaluated on held-out pairs after its pairs have changed", async () => {
    const changed = join(dir, "changed");
    const { dir: run } = await train({ ...newRun("changed"), set: { ...SMALL, "train.steps": 1 } }, watched());
    await writeFile(join(changed, "data.txt"), `${TEXT}\nthe end\tla fin\n`);
    await expect(evaluateModel(run, undefined, "cpu")).rejects.toThrow(
      /have changed, so its held-out pairs are unknown/,
    );
    await expect(resume(run, { steps: 2 }, watched())).rejects.toThrow(/has changed\. Restore it/);
  }, 60_000);

  test("saves a model that functions for decoders reject in a sentence", async () => {
    await expect(openModel(out)).rejects.toThrow(/describes a translator, which cannot continue a text/);
  });

  describe("opened", () => {
    let loaded: LoadedTranslator;
    beforeAll(async () => {
      loaded = await LoadedTranslator.open(out, "cpu");
    });
    afterAll(() => loaded.release());

    test("generates the argmax of its logits, token by token", async () => {
      const source = loaded.sourceIds("The black cats sleep");
      const { ids } = await loaded.translate(source);
      const trace = await loaded.trace([source]);
      const logits = trace.get("logits");
      const [, T = 0, V = 0] = logits?.shape ?? [];
      expect(trace.get("ids")?.data).toEqual(Float32Array.of(SENTENCE.bosId, ...ids).subarray(0, T));
      const best = Array.from({ length: T }, (_, t) => {
        const row = logits?.data.subarray(t * V, (t + 1) * V) ?? new Float32Array();
        return row.indexOf(Math.max(...row));
      });
      expect(best.slice(0, ids.length)).toEqual(ids);
    });

    test("attends to the source, and never to its padding", async () => {
      const sources = [loaded.sourceIds("the cat"), loaded.sourceIds("the small cats see two dogs")];
      const trace = await loaded.trace(sources);
      const pattern = trace.get("blocks.0.cross.pattern");
      const [B = 0, H = 0, T = 0, S = 0] = pattern?.shape ?? [];
      expect([B, H, S]).toEqual([2, 2, sources[1]?.length]);
      expect(trace.get("enc.blocks.0.attn.pattern")?.shape).toEqual([B, H, S, S]);
      expect(trace.get("blocks.0.attn.pattern")?.shape).toEqual([B, H, T, T]);
      for (let row = 0; row < B * H * T; row++) {
        const weights = pattern?.data.subarray(row * S, (row + 1) * S) ?? new Float32Array();
        expect(weights.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 5);
        const own = sources[Math.floor(row / (H * T))]?.length ?? 0;
        expect(weights.subarray(own).every((x) => x === 0)).toBe(true);
      }
      // The values of the first sentence are the same in a batch and alone.
      const alone = await loaded.trace([sources[0] as number[]]);
      const [one, both] = [alone, trace].map((each) => each.get("enc.lnFinal")?.data.subarray(0, 2 * 16));
      one?.forEach((x, i) => {
        expect(both?.[i]).toBeCloseTo(x, 5);
      });
    });

    test("rejects sentences that are too long and unknown ids", async () => {
      expect(() => loaded.sourceIds("the cat ".repeat(9))).toThrow(/has 20 tokens, but the model's context is 16/);
      await expect(loaded.translate([1, 9999, 2])).rejects.toThrow(/no token 9999/);
    });
  });
});
