/** Where a model comes from, as a user writes it. */

import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { EngineError } from "../errors";

export type Source =
  /** A model of the hub; `file` is one of its .gguf files. */
  | { readonly kind: "hub"; readonly id: string; readonly revision: string; readonly file?: string }
  | { readonly kind: "folder"; readonly dir: string }
  | { readonly kind: "gguf"; readonly file: string };

const DEFAULT_REVISION = "main";

/** `org/name`, `org/name@revision`, `org/name:file.gguf`, as the hub's own address, too. */
const HUB_SOURCE =
  /^(?<id>[\w-][\w.-]*(?:\/[\w-][\w.-]*)?)(?:(?:@|\/tree\/)(?<revision>\w[\w./-]*))?(?::(?<file>[\w-][\w./ -]*\.gguf))?$/;
const HUB_ADDRESS = /^https:\/\/huggingface\.co\//;
/** `./x`, `../x`, `/x`, `C:\x`: nothing of the hub is written so. */
const PATH = /^(\.{1,2}([/\\]|$)|[/\\]|[A-Za-z]:[/\\])|\\/;

/** A branch, tag or commit: `main`, `v1.0`, `refs/pr/1`. */
export function requireRevision(revision: string): string {
  if (/^\w[\w./-]*$/.test(revision) && !revision.split("/").includes("..")) return revision;
  throw new EngineError(
    "config",
    `${JSON.stringify(revision)} is no revision; give a branch, a tag or a commit, such as main.`,
  );
}

/** What `text` names: what is there on the disk goes before what the hub may have. */
export async function parseSource(text: string): Promise<Source> {
  const path = resolve(text.trim().replace(/^~(?=$|[/\\])/, () => homedir()));
  const there = text.trim() === "" ? null : await stat(path).catch(() => null);
  if (there?.isDirectory()) return { kind: "folder", dir: path };
  if (there && path.endsWith(".gguf")) return { kind: "gguf", file: path };
  if (there) throw new EngineError("config", `${path} is a file; import its folder, or a .gguf file.`);
  if (PATH.test(text.trim()) || text.trim().startsWith("~")) {
    throw new EngineError("notFound", `${path} does not exist; choose a model's folder or a .gguf file.`);
  }
  const named = HUB_SOURCE.exec(text.trim().replace(HUB_ADDRESS, ""))?.groups;
  if (!named || /\.\.|--/.test(named.id as string) || `${named.revision}/${named.file}`.split("/").includes("..")) {
    throw new EngineError(
      "config",
      `${JSON.stringify(text)} is neither a folder here nor a model's name; write it as org/name, org/name@revision, or the path of a folder.`,
    );
  }
  const { id = "", revision = DEFAULT_REVISION, file } = named;
  return { kind: "hub", id, revision, ...(file !== undefined && { file }) };
}
