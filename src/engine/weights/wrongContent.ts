/** Recognizes files that are in place of others: pointers of Git LFS, web pages, messages of servers, unfinished downloads. */

import { quoted } from "../../text/untrusted";
import { EngineError, type ErrorCode } from "../errors";

/** Number of bytes at the beginning of a file that are looked at. */
export const SNIFFED_BYTES = 1024;

/** Advice for a damaged file. */
export const adviceFor = (path: string): string =>
  path.endsWith(".dltrace") ? "Record the trace again." : "Download it again or restore an earlier copy.";

/** Answers of servers in place of a file that does not exist or needs a token. */
const SERVER =
  /^\s*(\{"error"|entry not found|repository not found|not found|invalid (username|credentials|rev)|access to |unauthorized|forbidden|404)/i;
/** The beginnings of other formats. */
const FORMATS: readonly (readonly [start: string, format: string, extensions: RegExp])[] = [
  ["GGUF", "GGUF", /\.gguf$/i],
  ["PK\x03\x04", "zip or PyTorch", /\.(bin|pth?|ckpt|zip)$/i],
  ["\x1f\x8b", "gzip", /\.t?gz$/i],
  ["\x89HDF", "HDF5", /\.h5$/i],
];

/** Returns the error for a file that is not what its name says, given its first bytes; null if nothing is recognized. */
export function wrongContent(path: string, start: Uint8Array, size: number, code: ErrorCode): EngineError | null {
  const problem = problemOf(path, start, size);
  return problem === null ? null : new EngineError(code, `${path} ${problem}`);
}

function problemOf(path: string, start: Uint8Array, size: number): string | null {
  if (size === 0) return `is damaged: it is empty. ${adviceFor(path)}`;
  const text = Buffer.from(start.buffer, start.byteOffset, start.length)
    .toString("latin1")
    .replace(/^\xef\xbb\xbf/, "");
  if (/^version https?:\/\/(git-lfs|hawser)\b/.test(text)) {
    return "is a Git LFS pointer, not the file itself. Run `git lfs pull` in its folder, or download the file.";
  }
  if (/^\s*<(!doctype|html|head|\?xml|!--)/i.test(text))
    return "is a web page, not the file itself. Download the file again.";
  if (size < SNIFFED_BYTES && SERVER.test(text)) {
    return `contains a message of a server, ${quoted(text.trim(), 60)}, not the file itself. Download the file again.`;
  }
  if (start.every((byte) => byte === 0))
    return `is damaged: it starts with zeros, as after an incomplete download. ${adviceFor(path)}`;
  const format = FORMATS.find(([magic, , extensions]) => text.startsWith(magic) && !extensions.test(path));
  return format ? `is a ${format[1]} file with the name of another format. Rename or convert it.` : null;
}
