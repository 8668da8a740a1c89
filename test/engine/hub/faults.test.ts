/** A hub that does everything wrong: every import and search ends soon, in one sentence, with little memory. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { inRoot } from "../../../scripts/paths";
import { EngineError } from "../../../src/engine/errors";
import { importModel, searchHub } from "../../../src/engine/hub";
import { brokenRules } from "../../fuzz/messageRules";
import { type HubModel, type HubServer, hashOf, startHub } from "../../helpers/hubServer";

const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
const files = Object.fromEntries(
  await Promise.all(
    names.map(
      async (name) => [name, new Uint8Array(await readFile(inRoot("test", "golden", "characters", name)))] as const,
    ),
  ),
);
const WEIGHTS = files["model.safetensors"] as Uint8Array;
const REAL: HubModel = { id: "lab/real", files };
/** Long enough for a busy machine, except where a test waits for the limits. */
const patient = { attempts: 2, firstWaitMs: 5, longestWaitMs: 2000, stallMs: 20_000, answerMs: 40_000 };
const impatient = { ...patient, stallMs: 400, answerMs: 2000 };
const WAITING = ["a byte from time to time", "nothing at all", "headers without a body"];
const limitsOf = (fault: string) => (WAITING.includes(fault) ? impatient : patient);

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const home = await mkdtemp(join(tmpdir(), "decoder-lab-faults-"));
let hub: HubServer;
let dir: string;
let count = 0;
beforeEach(async () => {
  dir = join(home, String(++count));
  await mkdir(dir);
  process.env.HF_HOME = join(dir, "hf");
  hub = await startHub(REAL);
});
afterEach(() => hub.close());
afterAll(() => rm(home, { recursive: true, force: true }));

const importReal = (retry = patient) =>
  importModel("lab/real", { out: join(dir, "out"), endpoint: hub.endpoint, retry });
const search = (retry = patient) => searchHub("real", { endpoint: hub.endpoint, retry });

/** The message of a rejection, which comes soon, obeys the rules, and has cost little memory. */
async function messageOf(work: () => Promise<unknown>): Promise<string> {
  const [start, memory] = [performance.now(), process.memoryUsage().rss];
  let most = memory;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  const error: unknown = await work().then(
    () => "it was accepted",
    (thrown) => thrown,
  );
  clearInterval(watch);
  expect(error).toBeInstanceOf(EngineError);
  const { message } = error as EngineError;
  expect(brokenRules(message), message).toEqual([]);
  expect(performance.now() - start).toBeLessThan(40_000);
  expect(most - memory).toBeLessThan(300e6);
  return message;
}

/** Writes pieces until the connection closes. */
async function write(response: ServerResponse, piece: string | Uint8Array, waitMs: number): Promise<void> {
  while (!response.destroyed) {
    const isRead = response.write(piece);
    await new Promise((done) => (isRead ? setTimeout(done, waitMs) : response.once("drain", done).once("close", done)));
  }
}

const BOMB = gzipSync(Buffer.alloc(100_000_000, 0x20));
const LONG = "x".repeat(1 << 16);
type Answer = (response: ServerResponse) => void;
const json = (response: ServerResponse, headers = {}) =>
  response.writeHead(200, { "content-type": "application/json", ...headers });
const start =
  (text: string, piece: string, waitMs = 0): Answer =>
  (response) => {
    json(response).write(text);
    void write(response, piece, waitMs);
  };

const ANSWERS: Readonly<Record<string, readonly [Answer, RegExp]>> = {
  "a list without end": [start("[{}", ",{}".repeat(20_000)), /its answer is too long/],
  "a text without end": [start('["', LONG), /its answer is too long/],
  "blanks without end": [start("", " ".repeat(1 << 16)), /its answer is too long/],
  "a byte from time to time": [start("[", " ", 100), /did not finish|Cannot reach/],
  "nothing at all": [() => {}, /Cannot reach 127\.0\.0\.1:\d+ \(no response in time\)|did not finish/],
  "headers without a body": [
    (response) => json(response).write("["),
    /Cannot reach .* \(no data in time\)|did not finish/,
  ],
  "nesting without end": [(response) => json(response).end("[".repeat(10_000_000)), /nested more than 50 levels deep/],
  "millions of values": [
    (response) => json(response).end(`[${"[],".repeat(3_000_000)}1]`),
    /more than 1,000,000 values/,
  ],
  "a compressed bomb": [
    (response) => json(response, { "content-encoding": "gzip" }).end(BOMB),
    /its answer is too long/,
  ],
  "damaged compression": [
    (response) => json(response, { "content-encoding": "gzip" }).end("not gzip"),
    /Cannot reach|does not respond like/,
  ],
  "no JSON": [(response) => json(response).end("<!doctype html>\u001b[31m"), /\(no valid JSON\)/],
  null: [(response) => json(response).end("null"), /\(unexpected content\)|the commit of lab\/real is missing/],
  "a number": [(response) => json(response).end("1e999"), /\(unexpected content\)|the commit of lab\/real is missing/],
  "entries that are not objects": [(response) => json(response).end('[null, 1, "x"]'), /unexpected content|is missing/],
  "a body that is cut": [
    (response) => json(response, { "content-length": 1000 }).end("[", () => response.destroy()),
    /Cannot reach/,
  ],
  "an invalid length": [
    (response) => response.socket?.end("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n[]"),
    /Cannot reach .* \(invalid HTTP\)/,
  ],
  "what is not HTTP": [
    (response) => response.socket?.end("\u001b[31mSSH-2.0-x\r\n"),
    /Cannot reach .* \(invalid HTTP\)/,
  ],
  "headers without end": [
    (response) => response.socket?.write(`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(100_000)}`),
    /Cannot reach .* \((invalid HTTP|connection (closed|reset))\)/,
  ],
  "a redirect to itself": [
    (response) => response.writeHead(302, { location: "?again" }).end(),
    /redirects the request in a circle/,
  ],
  "a redirect to a file": [
    (response) => response.writeHead(302, { location: "file:///etc/passwd" }).end(),
    /not on the web/,
  ],
  "pages that never end": [
    (response) => json(response, { link: `<${hub.endpoint}/api/models?cursor=x>; rel="next"` }).end("[]"),
    /its list does not end|did not finish|the commit of lab\/real is missing/,
  ],
  "pages on another host": [
    (response) => json(response, { link: '<http://127.0.0.1:9/api/models>; rel="next"' }).end("[]"),
    /its list continues elsewhere|the commit of lab\/real is missing/,
  ],
  "a wait of 3 million years": [
    (response) => response.writeHead(429, { "retry-after": "99999999999999980000" }).end(),
    /^Too many requests to [^ ]+\. Try again later\.$/,
  ],
  "a wait until the year 275760": [
    (response) => response.writeHead(429, { "retry-after": "Sat, 13 Sep 275760 00:00:00 GMT" }).end(),
    /^Too many requests to [^ ]+\. Try again later\.$/,
  ],
  "an error without end": [
    (response) => {
      response.writeHead(500);
      void write(response, LONG, 0);
    },
    /is not responding \(HTTP 500\)/,
  ],
};

const failing = (answer: Answer, path: RegExp) => {
  hub.trouble = (request) => (path.test(request.path) ? { kind: "answer", answer } : undefined);
};

describe.each(Object.entries(ANSWERS))("as an answer, %s", (fault, [answer, message]) => {
  test("ends the search", async () => {
    failing(answer, /^\/api\/models(\?|$)/);
    expect(await messageOf(() => search(limitsOf(fault)))).toMatch(message);
  });

  test.each(["revision", "tree"])("ends an import (%s)", async (part) => {
    failing(answer, new RegExp(`/${part}/|\\?again|cursor`));
    expect(await messageOf(() => importReal(limitsOf(fault)))).toMatch(message);
  });
});

describe("as a file,", () => {
  test.each<[string, Answer, RegExp]>([
    ["a byte from time to time", start("", " ", 100), /Cannot reach/],
    ["a text without end", start("", LONG), /with a wrong length/],
    ["nothing at all", () => {}, /Cannot reach/],
    ["a redirect to itself", (response) => response.writeHead(302, { location: "?again" }).end(), /in a circle/],
    [
      "other bytes of the same length",
      (response) => json(response).end(" ".repeat((files["config.json"] as Uint8Array).length)),
      /checksum of "config\.json" .* was wrong twice/,
    ],
    ["a length that is too short", (response) => json(response, { "content-length": 5 }).end("{    "), /Cannot reach/],
  ])("%s ends an import", async (fault, answer, message) => {
    failing(answer, /config\.json|\?again/);
    expect(await messageOf(() => importReal(limitsOf(fault)))).toMatch(message);
  });

  test("hostile names and sizes in the list of files are rejected", async () => {
    const entry = (more: object) => ({ type: "file", path: "config.json", size: 3, oid: "a".repeat(40), ...more });
    for (const more of [
      { path: "../x" },
      { path: "\u001b]0;x\u0007\n".repeat(1000), size: -1 },
      { path: null },
      { path: {} },
      { size: 1e300 },
      { size: "3" },
      { oid: 5 },
      { oid: "../../x" },
      { lfs: { oid: "b".repeat(64), size: Number.MAX_SAFE_INTEGER } },
      { lfs: { oid: null, size: -1 }, oid: undefined },
    ]) {
      const list = JSON.stringify([entry(more)]);
      failing((response) => json(response).end(list), /\/tree\//);
      await messageOf(() => importReal());
    }
  });

  test("hostile names and numbers in a list of models are not shown", async () => {
    const model = (more: object) => ({
      _id: "1",
      id: "lab/x",
      likes: 1,
      downloads: 1,
      config: { model_type: "gpt2" },
      ...more,
    });
    const models = [
      model({}),
      model({ id: "\u001b[31m<img src=x>" }),
      model({ id: "x".repeat(1000) }),
      model({ id: null }),
      model({ id: "lab/y", likes: 1e300, downloads: "7", safetensors: { total: -1 } }),
      model({ id: "lab/z", config: { model_type: {} } }),
    ];
    failing((response) => json(response).end(JSON.stringify(models)), /^\/api\/models/);
    expect(await search()).toEqual([
      { id: "lab/x", likes: 1, downloads: 1, modelType: "gpt2" },
      { id: "lab/y", likes: 0, downloads: 0, modelType: "gpt2", parameters: 0 },
    ]);
  });
});

describe.skipIf(process.platform === "win32")("in place of a partial download,", () => {
  const blobs = () => join(dir, "hf", "hub", "models--lab--real", "blobs");
  const part = () => join(blobs(), `${hashOf(WEIGHTS)}.decoder-lab.incomplete`);

  test.each<[string, () => Promise<unknown>]>([
    ["a link to another file", () => symlink(join(dir, "victim"), part())],
    ["a link to nowhere", () => symlink(join(dir, "none"), part())],
    ["a link to a device", () => symlink("/dev/zero", part())],
    ["a pipe", async () => execFileSync("mkfifo", [part()])],
    ["a folder", () => mkdir(part())],
  ])("%s is replaced", async (_, plant) => {
    await mkdir(blobs(), { recursive: true });
    await writeFile(join(dir, "victim"), "precious");
    await plant();
    await importReal();
    expect(await readFile(join(dir, "victim"), "utf8")).toBe("precious");
    const imported = await readFile(join(dir, "out", "model.safetensors"));
    expect(createHash("sha256").update(imported).digest("hex")).toBe(hashOf(WEIGHTS));
  });
});
