/** The text files that somebody means: by name, in a folder, or by a pattern. */

import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { EngineError } from "../errors";
import { codeOf } from "../weights/files";
import { globPattern, type IgnoreRule, isIgnored, parseIgnoreFile } from "./globs";

export interface FoundFiles {
  /** In order: as they were named, those of a folder or a pattern by name. */
  readonly paths: readonly string[];
  /** How many files were left out because they are not text. */
  readonly skipped: number;
}

/** How much of a file decides whether it is text. */
const HEAD = 64 * 1024;
/** Folders that hold what others made. */
const LEFT_OUT = new Set(["node_modules", "__pycache__"]);

/** Finds the text files of paths and patterns; `gitignore`: without what git is told to ignore, unless it is named. */
export async function findFiles(paths: readonly string[], { gitignore }: { gitignore: boolean }): Promise<FoundFiles> {
  const found = await Promise.all(paths.map((path) => filesOf(path, gitignore)));
  return {
    paths: found.flatMap((each) => each.paths),
    skipped: found.reduce((sum, each) => sum + each.skipped, 0),
  };
}

async function filesOf(path: string, gitignore: boolean): Promise<FoundFiles> {
  const entry = await stat(path).catch((error) => {
    // A file may have such a name; what has not is a pattern.
    if (codeOf(error) === "ENOENT" && /[*?[{]/.test(path)) return null;
    throw readError(error, path);
  });
  if (!entry) return filesOfPattern(path, gitignore);
  if (entry.isDirectory()) {
    const found = await textOf(filesBelow(await folder(path, gitignore)));
    if (found.paths.length > 0) return found;
    throw new EngineError("data", `The folder ${path} has no text files${among(found)}; choose one that has.`);
  }
  // A pipe may never answer, and a device never end.
  if (!entry.isFile()) throw new EngineError("data", `${path} is neither a file nor a folder; choose a text file.`);
  const problem = await notText(path);
  if (problem) throw new EngineError("data", `${path} ${problem}; choose a text file.`);
  return { paths: [path], skipped: 0 };
}

async function filesOfPattern(path: string, gitignore: boolean): Promise<FoundFiles> {
  const names = path.split(sep);
  const first = names.findIndex((name) => /[*?[{]/.test(name));
  const base = resolve(names.slice(0, first).join(sep) + sep);
  const pattern = globPattern(names.slice(first).join("/"));
  const isMeant = (file: string) => pattern.test(relative(base, file).split(sep).join("/"));
  const found = await textOf(filesBelow(await folder(base, gitignore)), isMeant);
  if (found.paths.length > 0) return found;
  throw new EngineError("data", `No text file matches ${path}${among(found)}; choose another pattern.`);
}

const among = ({ skipped }: FoundFiles) =>
  skipped === 0 ? "" : ` (${skipped} ${skipped === 1 ? "file is" : "files are"} not text)`;

async function textOf(files: AsyncIterable<string>, isMeant = (_file: string) => true): Promise<FoundFiles> {
  const paths: string[] = [];
  let skipped = 0;
  for await (const file of files) {
    if (!isMeant(file)) continue;
    if (await notText(file)) skipped++;
    else paths.push(file);
  }
  return { paths, skipped };
}

/** A folder with the rules for what is in it: those of the folders above first. */
interface Folder {
  readonly path: string;
  readonly rules: readonly { readonly base: string; readonly rules: readonly IgnoreRule[] }[] | null;
}

/** Rules count from the repository's root on; where there is no repository, from the folder itself. */
async function folder(path: string, gitignore: boolean): Promise<Folder> {
  if (!gitignore) return { path, rules: null };
  const above = [resolve(path)];
  for (let at = above[0] as string; !(await isThere(join(at, ".git"))); ) {
    if (dirname(at) === at) return withRules({ path, rules: [] });
    at = dirname(at);
    above.unshift(at);
  }
  let within: Folder = { path, rules: [] };
  for (const each of above) within = { path, rules: (await withRules({ path: each, rules: within.rules })).rules };
  return within;
}

async function withRules({ path, rules }: Folder): Promise<Folder> {
  if (rules === null) return { path, rules };
  const text = await readFile(join(path, ".gitignore"), "utf8").catch(() => "");
  return { path, rules: text === "" ? rules : [...rules, { base: resolve(path), rules: parseIgnoreFile(text) }] };
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function* filesBelow(dir: Folder): AsyncGenerator<string> {
  const entries = await readdir(dir.path, { withFileTypes: true }).catch((error) => {
    throw readError(error, dir.path);
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || LEFT_OUT.has(entry.name)) continue;
    const path = join(dir.path, entry.name);
    if (isLeftOut(dir, path, entry.isDirectory())) continue;
    // Links are not followed: they may lead in circles.
    if (entry.isDirectory()) yield* filesBelow(await withRules({ path, rules: dir.rules }));
    else if (entry.isFile()) yield path;
  }
}

/** The rules of the folder nearest to a path come before those further up. */
function isLeftOut({ rules }: Folder, path: string, isFolder: boolean): boolean {
  for (const { base, rules: own } of rules?.toReversed() ?? []) {
    const ignored = isIgnored(own, relative(base, resolve(path)).split(sep).join("/"), isFolder);
    if (ignored !== null) return ignored;
  }
  return false;
}

/** Why a file is not UTF-8 text, by its beginning; null where it is. An empty file is text. */
async function notText(path: string): Promise<string | null> {
  const file = await open(path, "r").catch((error) => {
    throw readError(error, path);
  });
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEAD), 0, HEAD, 0);
    const head = buffer.subarray(0, bytesRead);
    const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
    if (isUtf16) return "is UTF-16; save it as UTF-8 first";
    if (head.includes(0)) return "is a binary file";
    // As a stream: the last character may go on after the head.
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return null;
  } catch (error) {
    if (error instanceof TypeError) return "is not UTF-8 text";
    throw readError(error, path);
  } finally {
    await file.close();
  }
}

/** What to call the chosen paths in a message. */
export const nameOf = (paths: readonly string[]): string =>
  paths.length === 1 ? basename(paths[0] as string) : `${paths.length} files and folders`;

/** An error of reading a text as the user is told it. */
export function readError(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (code === "ENOENT") return new EngineError("data", `${path} does not exist; choose a file or a folder that does.`);
  if (code === "EACCES" || code === "EPERM")
    return new EngineError("data", `${path} may not be read; change its permissions or leave it out.`);
  if (code === "ENOTDIR") return new EngineError("data", `${path} lies below a file, not a folder; choose another.`);
  return error;
}
