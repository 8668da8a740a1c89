import { cp, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EngineApi } from "../../src/protocol/engineApi";
import { connect, serve } from "../../src/protocol/rpc";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-service-"));
  await cp(resolve(import.meta.dirname, "../golden/characters"), dir, { recursive: true });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("a document is tokenized again after another model replaced a deleted one", async () => {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  const { call } = connect<EngineApi>(ours);
  const question = { dir, uri: "file:///a.txt", version: 1, offset: 0 };
  const tokenAt = (text?: string) => call("tokenAt", text === undefined ? question : { ...question, text });
  const idOf = (answer: Awaited<ReturnType<typeof tokenAt>>) => answer.kind === "token" && answer.span.id;
  const before = idOf(await tokenAt("the"));
  expect(idOf(await tokenAt())).toBe(before);

  const file = join(dir, "tokenizer.json");
  const json = JSON.parse(await readFile(file, "utf8"));
  const { vocab } = json.model;
  [vocab.t, vocab.e] = [vocab.e, vocab.t];
  await writeFile(file, JSON.stringify(json));
  await utimes(file, new Date(), new Date(Date.now() + 5000));
  expect(await tokenAt()).toEqual({ kind: "needText" });
  expect(idOf(await tokenAt("the"))).toBe(vocab.t);
  expect(vocab.t).not.toBe(before);
});
