/**
 * A server that behaves like the Hub, with large files on another host. On request, it rejects, cuts, delays or corrupts
 * responses.
 *
 * A test checks its fidelity: the download function of `@huggingface/hub` works with it.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface HubModel {
  readonly id: string;
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Additional branches and tags. */
  readonly tags?: readonly string[];
  readonly gated?: boolean;
  readonly downloads?: number;
  readonly parameters?: number;
}

/** Selects a mishap for a request; `undefined` serves it normally. */
type Trouble = (request: SeenRequest) => Mishap | undefined;

type Mishap =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The connection closes after this many bytes of the body. */
  | { readonly kind: "cut"; readonly after: number }
  /** The body stops after this many bytes, and the connection stays open. */
  | { readonly kind: "stall"; readonly after: number }
  | { readonly kind: "wrongBytes" }
  /** The server ignores ranges. */
  | { readonly kind: "noRanges" }
  | { readonly kind: "body"; readonly body: string }
  /** Anything else. */
  | { readonly kind: "answer"; readonly answer: (response: ServerResponse) => void };

interface SeenRequest {
  readonly host: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Number of earlier requests with this method and path. */
  readonly before: number;
}

export interface HubServer {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  readonly models: HubModel[];
  trouble: Trouble;
  close(): Promise<void>;
}

/** Larger files are LFS: named by their SHA-256 and served by the other host. */
const LFS_BYTES = 4096;
export const TOKEN = "hf_secretOfTheTest";

export const commitOf = ({ id, files }: HubModel): string =>
  createHash("sha1")
    .update(JSON.stringify([id, Object.keys(files)]))
    .digest("hex");

/** The hash that the Hub and the cache use for a content. */
export function hashOf(content: Uint8Array): string {
  if (content.length > LFS_BYTES) return createHash("sha256").update(content).digest("hex");
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export const bytesOf = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

export async function startHub(...models: HubModel[]): Promise<HubServer> {
  const seen: SeenRequest[] = [];
  const serve = (host: SeenRequest["host"], answer: (request: SeenRequest, body: string) => Reply) =>
    listen(async (incoming, response) => {
      const { method = "", url: path = "", headers } = incoming;
      const { range, authorization } = headers;
      const before = seen.filter((other) => other.method === method && other.path === path).length;
      const request = { host, method, path, range, authorization, before };
      seen.push(request);
      const body = await text(incoming);
      send(response, request, answer(request, body), hub.trouble(request));
    });
  const cdn = await serve("cdn", ({ path }) => {
    const contents = models.flatMap(({ files }) => Object.values(files).map(bytesOf));
    const content = contents.find((bytes) => path.includes(hashOf(bytes)));
    return content ? file(content, { etag: `"${hashOf(content)}"` }) : rejection(403);
  });
  const server = await serve("hub", (request, body) => answerHub(models, request, body, addressOf(cdn)));
  const hub: HubServer = {
    endpoint: addressOf(server),
    seen,
    models,
    trouble: () => undefined,
    close: async () => {
      for (const each of [server, cdn]) {
        each.closeAllConnections();
        await new Promise((done) => each.close(done));
      }
    },
  };
  return hub;
}

function answerHub(models: readonly HubModel[], request: SeenRequest, body: string, cdn: string): Reply {
  const { pathname, searchParams } = new URL(request.path, "http://hub");
  if (pathname === "/api/models") return json(searchModels(models, searchParams));

  const [, id, verb, rest = ""] =
    /^\/(?:api\/models\/)?(.+?)\/(revision|tree|paths-info|resolve)\/(.+)$/.exec(pathname) ?? [];
  const model = models.find((other) => other.id === id);
  // Without access, a private model looks like a missing one.
  if (!model) return rejection(request.authorization ? 404 : 401, "RepoNotFound");
  const isOurs = request.authorization === `Bearer ${TOKEN}`;
  if (request.authorization && !isOurs) return rejection(401);

  const commit = commitOf(model);
  const [revision = "", ...path] = rest.split("/").map(decodeURIComponent);
  if (!["main", commit, ...(model.tags ?? [])].includes(revision)) return rejection(404, "RevisionNotFound");
  if (verb === "revision")
    return json({ _id: "1", id, sha: commit, likes: 1, downloads: 2, lastModified: "2026-01-01" });
  if (verb === "tree") return json(treeOf(model));
  if (verb === "paths-info") return json(treeOf(model, JSON.parse(body).paths));

  if (model.gated && !isOurs) return rejection(request.authorization ? 403 : 401, "GatedRepo");
  const content = model.files[path.join("/")];
  if (content === undefined) return rejection(404, "EntryNotFound");
  const bytes = bytesOf(content);
  const hash = hashOf(bytes);
  const repo = { "x-repo-commit": commit };
  if (hash.length === 40) return file(bytes, { ...repo, etag: `"${hash}"` });
  const linked = { "x-linked-etag": `"${hash}"`, "x-linked-size": String(bytes.length) };
  return { status: 302, headers: { ...repo, ...linked, location: `${cdn}/blobs/${hash}?signature=1` } };
}

const treeOf = ({ files }: HubModel, paths: readonly string[] = Object.keys(files)): object[] =>
  paths.map((path) => {
    const content = files[path] ?? "";
    const bytes = bytesOf(content);
    const hash = hashOf(bytes);
    const isLfs = hash.length === 64;
    const oid = isLfs ? createHash("sha1").update(`pointer of ${hash}`).digest("hex") : hash;
    return {
      type: "file",
      path,
      size: bytes.length,
      oid,
      ...(isLfs && { lfs: { oid: hash, size: bytes.length, pointerSize: 134 } }),
    };
  });

function searchModels(models: readonly HubModel[], search: URLSearchParams): object[] {
  const query = (search.get("search") ?? "").toLowerCase();
  return models
    .filter(({ id }) => id.toLowerCase().includes(query))
    .sort((a, b) => (b.downloads ?? 0) - (a.downloads ?? 0))
    .slice(0, Number(search.get("limit") ?? 10))
    .map(({ id, files, downloads = 0, parameters }) => ({
      _id: id,
      id,
      likes: 3,
      downloads,
      lastModified: "2026-01-01",
      pipeline_tag: "text-generation",
      ...(typeof files["config.json"] === "string" && { config: JSON.parse(files["config.json"]) }),
      ...(parameters !== undefined && { safetensors: { parameters: { F32: parameters }, total: parameters } }),
    }));
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A body that supports ranges. */
  readonly file?: Uint8Array;
}

const json = (value: unknown): Reply => ({
  status: 200,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});
const rejection = (status: number, code?: string): Reply => ({
  status,
  headers: code === undefined ? {} : { "x-error-code": code },
  body: "rejected",
});
const file = (content: Uint8Array, headers: Reply["headers"]): Reply => ({ status: 200, headers, file: content });

/** Sends a reply or performs a mishap. */
function send(response: ServerResponse, request: SeenRequest, reply: Reply, mishap: Mishap | undefined): void {
  if (mishap?.kind === "answer") mishap.answer(response);
  else if (mishap?.kind === "status") response.writeHead(mishap.status, mishap.headers).end();
  else if (mishap?.kind === "body") response.writeHead(200, { "content-type": "text/html" }).end(mishap.body);
  else if (reply.file) sendFile(response, request, reply.file, reply.headers, mishap);
  else response.writeHead(reply.status, reply.headers).end(reply.body);
}

function sendFile(
  response: ServerResponse,
  { method, range }: SeenRequest,
  content: Uint8Array,
  headers: Reply["headers"],
  mishap: Mishap | undefined,
): void {
  const requested = /^bytes=(\d+)-(\d*)$/.exec(mishap?.kind === "noRanges" ? "" : (range ?? ""));
  const start = Number(requested?.[1] ?? 0);
  const end = requested?.[2] ? Math.min(Number(requested[2]) + 1, content.length) : content.length;
  if (requested && start >= content.length) {
    response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    return;
  }
  const bytes = mishap?.kind === "wrongBytes" ? content.slice(start, end).fill(7) : content.subarray(start, end);
  response.writeHead(requested ? 206 : 200, {
    ...headers,
    "accept-ranges": "bytes",
    "content-length": bytes.length,
    ...(requested && { "content-range": `bytes ${start}-${end - 1}/${content.length}` }),
  });
  if (method === "HEAD") response.end();
  else if (mishap?.kind === "cut")
    response.write(bytes.subarray(0, mishap.after), () => setTimeout(() => response.destroy(), 20));
  else if (mishap?.kind === "stall") response.write(bytes.subarray(0, mishap.after));
  else response.end(bytes);
}

async function listen(reply: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(reply);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
