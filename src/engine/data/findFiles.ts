/** Finds the text files of a path, of a folder, or of a shell pattern. */

import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import ignore, { type Ignore } from "ignore";
import picomatch from "picomatch";
import { FileProblem, openRegular, readRegularText } from "../../files/regular";
import { EngineError } from "../errors";
import { codeOf, readError as fileError } from "../weights/files";

export interface FoundFiles {
  /** In the order of the given paths; the files of a folder or pattern in the order of their names. */
  readonly paths: readonly string[];
  /** Number of files that were skipped because they are not text. */
  readonly skipped: number;
}

/** The first bytes of a file decide whether it is text. */
const HEAD = 64 * 1024;
/** Larger than any .gitignore that people write. */
const MAX_RULES_BYTES = 1_000_000;
/** Folders with generated files or other people's code. */
const SKIPPED_FOLDERS = new Set(["node_modules", "__pycache__"]);

/** Finds the text files of paths and patterns. `gitignore` skips files that git ignores, unless they are named. */
export async function findFiles(paths: readonly string[], { gitignore }: { gitignore: boolean }): Promise<FoundFiles> {
  const found = await Promise.all(paths.map((path) => filesOf(path, gitignore)));
  return {
    paths: found.flatMap((each) => each.paths),
    skipped: found.reduce((sum, each) => sum + each.skipped, 0),
  };
}

async function filesOf(path: string, gitignore: boolean): Promise<FoundFiles> {
  const entry = await stat(path).catch((error) => {
    // An existing file may have such a name; otherwise it is a pattern.
    if (codeOf(error) === "ENOENT" && /[*?[{]/.test(path)) return null;
    throw readError(error, path);
  });
  if (!entry) return filesOfPattern(path, gitignore);
  if (entry.isDirectory()) {
    const found = await textFilesOf(filesBelow(await folder(path, gitignore)));
    if (found.paths.length > 0) return found;
    throw new EngineError("data", `The folder ${path} has no text files${notTextNote(found)}. Choose another folder.`);
  }
  // Reading a pipe may block forever, and a device may never end.
  if (!entry.isFile()) throw new EngineError("data", `${path} is neither a file nor a folder. Choose a text file.`);
  const problem = await textProblem(path);
  if (problem) throw new EngineError("data", `${path} ${problem}`);
  return { paths: [path], skipped: 0 };
}

async function filesOfPattern(path: string, gitignore: boolean): Promise<FoundFiles> {
  const names = path.split(sep);
  const first = names.findIndex((name) => /[*?[{]/.test(name));
  const base = resolve(names.slice(0, first).join(sep) + sep);
  const matches = globMatcher(names.slice(first).join("/"));
  const isMatch = (file: string) => matches(relative(base, file).split(sep).join("/"));
  const found = await textFilesOf(filesBelow(await folder(base, gitignore)), isMatch);
  if (found.paths.length > 0) return found;
  throw new EngineError("data", `No text file matches ${path}${notTextNote(found)}. Choose another pattern.`);
}

/** Tests whole paths, with "/" between names, against a shell pattern with `*`, `**`, `?`, `[a-z]`, `[!a]` and `{a,b}`. */
export function globMatcher(glob: string): (path: string) => boolean {
  // picomatch treats these characters as a regular expression or as quotes; in a file name they stand for themselves.
  const escaped = glob.replace(/\\.|[()|+$"]/gsu, (piece) => (piece.startsWith("\\") ? piece : `\\${piece}`));
  const isMatch = picomatch(escaped, {
    dot: true,
    nonegate: true,
    noextglob: true,
    posix: true,
    windows: false,
    flags: "s",
  });
  return (path) => isMatch(path);
}

const notTextNote = ({ skipped }: FoundFiles) =>
  skipped === 0 ? "" : ` (${skipped} ${skipped === 1 ? "file is" : "files are"} not text)`;

async function textFilesOf(files: AsyncIterable<string>, isMatch = (_file: string) => true): Promise<FoundFiles> {
  const paths: string[] = [];
  let skipped = 0;
  for await (const file of files) {
    if (!isMatch(file)) continue;
    if (await textProblem(file)) skipped++;
    else paths.push(file);
  }
  return { paths, skipped };
}

interface IgnoreFile {
  readonly base: string;
  readonly rules: Ignore;
}

/** A folder with the `.gitignore` files that apply in it, outermost first; null where they are not used. */
interface Folder {
  readonly path: string;
  readonly ignores: readonly IgnoreFile[] | null;
}

/** The folder with the `.gitignore` files from the root of its repository on, or only its own outside a repository. */
async function folder(path: string, gitignore: boolean): Promise<Folder> {
  if (!gitignore) return { path, ignores: null };
  const above = [resolve(path)];
  for (let at = above[0] as string; !(await exists(join(at, ".git"))); ) {
    if (dirname(at) === at) return withOwnRules({ path, ignores: [] });
    at = dirname(at);
    above.unshift(at);
  }
  let { ignores }: Folder = { path, ignores: [] };
  for (const each of above) ({ ignores } = await withOwnRules({ path: each, ignores }));
  // A .gitignore that ignores the chosen folder itself says nothing about the files in it.
  const applies = (file: IgnoreFile) => file.base === resolve(path) || !isIgnored({ ignores: [file] }, path, true);
  return { path, ignores: ignores?.filter(applies) ?? null };
}

async function withOwnRules({ path, ignores }: Folder): Promise<Folder> {
  if (ignores === null) return { path, ignores };
  const text = await readRegularText(join(path, ".gitignore"), MAX_RULES_BYTES).catch(() => "");
  return { path, ignores: text === "" ? ignores : [...ignores, { base: resolve(path), rules: ignoreRules(text) }] };
}

export const ignoreRules = (gitignore: string): Ignore => ignore({ ignorecase: false }).add(gitignore);

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function* filesBelow(dir: Folder): AsyncGenerator<string> {
  const entries = await readdir(dir.path, { withFileTypes: true }).catch((error) => {
    throw readError(error, dir.path);
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || SKIPPED_FOLDERS.has(entry.name)) continue;
    const path = join(dir.path, entry.name);
    if (isIgnored(dir, path, entry.isDirectory())) continue;
    // Symbolic links may form a cycle, so they are skipped.
    if (entry.isDirectory()) yield* filesBelow(await withOwnRules({ path, ignores: dir.ignores }));
    else if (entry.isFile()) yield path;
  }
}

/** The innermost `.gitignore` with a rule for a path decides. */
function isIgnored({ ignores }: Pick<Folder, "ignores">, path: string, isFolder: boolean): boolean {
  for (const { base, rules } of ignores?.toReversed() ?? []) {
    const name = relative(base, resolve(path)).split(sep).join("/");
    const { ignored, unignored } = rules.test(isFolder ? `${name}/` : name);
    if (ignored || unignored) return ignored;
  }
  return false;
}

/** The reason that a file is not UTF-8 text, with advice; null if it is. An empty file is text. Reads the beginning only. */
async function textProblem(path: string): Promise<string | null> {
  const file = await openRegular(path).catch((error) => {
    throw readError(error, path);
  });
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEAD), 0, HEAD, 0);
    const head = buffer.subarray(0, bytesRead);
    const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
    if (isUtf16) return "is UTF-16. Save it as UTF-8.";
    if (head.includes(0)) return "is a binary file. Choose a text file.";
    // Streaming, because the head may end inside a character.
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return null;
  } catch (error) {
    if (error instanceof TypeError) return "is not UTF-8 text. Choose a text file.";
    throw readError(error, path);
  } finally {
    await file.close();
  }
}

/** Name of the chosen paths for messages. */
export const nameOf = (paths: readonly string[]): string =>
  paths.length === 1 ? basename(paths[0] as string) : `${paths.length} files and folders`;

/** An error of reading a file, with a message for the user where the cause is known. */
export function readError(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (error instanceof FileProblem) return new EngineError("data", `${path} ${error.problem}. Choose a text file.`);
  if (code === "ENOENT") return new EngineError("data", `${path} does not exist. Choose an existing file or folder.`);
  if (code === "EACCES" || code === "EPERM")
    return new EngineError(
      "data",
      `${path} cannot be read (permission denied). Change its permissions or leave it out.`,
    );
  if (code === "ENOTDIR")
    return new EngineError("data", `${path} is inside a file, not a folder. Choose another path.`);
  return fileError(error, path);
}
