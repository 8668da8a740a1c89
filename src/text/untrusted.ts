/**
 * Text for messages that is made from values of files, servers and users. All layers use it.
 *
 * Such a value may be anything: escape sequences for a terminal, right-to-left overrides, megabytes, a million nested lists.
 */

/** Maximum length of a value in a message, in UTF-16 units, without quotes. */
const MAX_SHOWN = 200;

/** Control, formatting and separator characters, and halves of surrogate pairs. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Replaces each invisible character with its escape sequence: `\n`, `\u001b`, `\u{e0001}`. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, escapeOf);
}

/** Control characters, and the formatting characters that reorder text. Joiners are letters of many scripts and emoji. */
const CONTROL = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text of several lines in which nothing controls a terminal: keeps line feeds, tabs, and joiners. */
export function visibleLines(text: string): string {
  return text.replace(CONTROL, (character) => (/[\n\t]/.test(character) ? character : escapeOf(character)));
}

function escapeOf(character: string): string {
  const hex = (character.codePointAt(0) as number).toString(16);
  return SHORT_ESCAPES[character] ?? (hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`);
}

/** Text on one line, cut to `max` characters. */
export function excerpt(text: string, max = MAX_SHOWN): string {
  return cut(text, max, visible);
}

/** Text in double quotes, cut to `max` characters between them. */
export function quoted(text: string, max = MAX_SHOWN): string {
  return `"${cut(text, max, (character) => (/["\\]/.test(character) ? `\\${character}` : visible(character)))}"`;
}

/** Escapes characters until `max` is reached, so that a long text takes no time and no escape sequence is cut. */
function cut(text: string, max: number, escaped: (character: string) => string): string {
  let line = "";
  let fitting = 0;
  for (const character of text) {
    line += escaped(character);
    if (line.length > max) return `${line.slice(0, fitting)}…`;
    if (line.length < max) fitting = line.length;
  }
  return line;
}

const MAX_ITEMS = 9;
const MAX_ITEM = 40;

/** A value for a message: a quoted text, a plain number, a short list; in words where there is no value. */
export function shown(value: unknown, max = MAX_SHOWN): string {
  if (typeof value === "string") return quoted(value, max);
  if (typeof value !== "object" || value === null) return item(value);
  if (Array.isArray(value)) return cut(`[${items(value.slice(0, MAX_ITEMS).map(item), value.length)}]`, max, String);
  const keys = Object.keys(value);
  const fields = keys
    .slice(0, MAX_ITEMS)
    .map((key) => `${excerpt(key, MAX_ITEM)}: ${item(value[key as keyof typeof value])}`);
  return cut(`{${items(fields, keys.length)}}`, max, String);
}

const items = (texts: readonly string[], count: number): string =>
  [...texts, ...(count > texts.length ? ["…"] : [])].join(", ");

/** Goes no deeper, because a hostile file may nest lists a million times. */
function item(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "missing";
    case "boolean":
      return String(value);
    case "number":
    case "bigint":
      return plainNumber(value);
    case "string":
      return quoted(value, MAX_ITEM);
    case "object":
      return value === null ? "empty" : Array.isArray(value) ? "a list" : "an object";
    default:
      return `a ${typeof value}`;
  }
}

/** Numbers beyond this are damage or attacks; their digits say nothing. */
const MAX_PLAIN = 999_999_999_999_999;

/** A number as people write it: 12, 0.5, -3, "more than 999,999,999,999,999". */
export function plainNumber(value: number | bigint): string {
  if (Number.isNaN(value)) return "not a number";
  if (value > MAX_PLAIN) return `more than ${MAX_PLAIN.toLocaleString("en-US")}`;
  if (value < -MAX_PLAIN) return `less than -${MAX_PLAIN.toLocaleString("en-US")}`;
  const text = String(value);
  return text.includes("e") ? Number(value).toFixed(20).replace(/0+$/, "").replace(/\.$/, "") : text;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"] as const;

/** A size with a unit in which it is not 0: "512 bytes", "1.5 kB", "24 GB", "more than 1000 TB". */
export function byteSize(bytes: number | bigint): string {
  const size = Number(bytes);
  if (!(size >= 0)) return "an unknown size";
  if (size > 1e15) return "more than 1000 TB";
  const unit = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, Math.round(size))) / 3)));
  const value = size / 1000 ** unit;
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1).replace(/\.0$/, "")} ${unit === 0 && Math.round(value) === 1 ? "byte" : UNITS[unit]}`;
}

/** A waiting time for a message: "5 s", "2 minutes"; null if it is so long that trying again later is the better advice. */
export function waitingTime(milliseconds: number): string | null {
  const seconds = Math.ceil(milliseconds / 1000);
  if (!(seconds > 0) || seconds > 24 * 3600) return null;
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

/** Maximum length of a message. */
const MAX_MESSAGE = 300;
/** Words that are shortened in a message that is too long keep at least this much. */
const MIN_WORD = 40;

/**
 * A message as it may be shown: one line, at most 300 characters. This is a net under `shown`, and also for paths, which
 * may be of any length: the longest words and quoted parts are shortened in the middle, so that the advice at the end stays.
 */
export function messageText(message: string): string {
  let text = visible(message.slice(0, 20_000));
  for (let tries = 0; text.length > MAX_MESSAGE && tries < 8; tries++) {
    const parts = text.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? [];
    const longest = parts.reduce((a, b) => (b.length > a.length ? b : a), "");
    if (longest.length <= MIN_WORD) break;
    text = text.replace(longest, () => withoutMiddle(longest, longest.length - (text.length - MAX_MESSAGE)));
  }
  return text.length > MAX_MESSAGE ? `${whole(text.slice(0, MAX_MESSAGE - 2))}….` : text;
}

function withoutMiddle(text: string, max: number): string {
  const length = Math.max(MIN_WORD, max) - 1;
  // It is cut already.
  if (text.endsWith('…"')) return `${whole(text.slice(0, length - 1))}…"`;
  const tail = text.slice(text.length - Math.floor(length / 2));
  return `${whole(text.slice(0, Math.ceil(length / 2)))}…${tail.replace(/^[\udc00-\udfff]/, "")}`;
}

/** The beginning of a text without a surrogate or an escape sequence that was cut at its end. */
const whole = (start: string): string => start.replace(/\\(u[\da-f{]{0,6})?$|[\ud800-\udbff]$/, "");
