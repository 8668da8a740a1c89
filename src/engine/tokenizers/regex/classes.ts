/** Character classes of Oniguruma in JavaScript's notation. The classes differ: JavaScript's `\s` lacks U+0085 and includes U+FEFF. */

/** Members of a class. */
export interface Members {
  /** Valid between brackets. */
  readonly source: string;
  /** Number of classes; 0 for a single character. */
  readonly count: number;
  /** The code point of a single character. */
  readonly code: number;
  /** Contains brackets. */
  readonly nested: boolean;
}

/** The members of a single character. */
export function members(character: string): Members {
  const code = character.codePointAt(0) as number;
  return { source: `\\u{${code.toString(16)}}`, count: 0, code, nested: false };
}

const several = (source: string, count = 2): Members => ({ source, count, code: 0, nested: false });
const nested = (source: string): Members => ({ source, count: 1, code: 0, nested: true });

const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}`;
/** Oniguruma has these as word characters too, but not in brackets: ² ³ ¹ ¼ ½ ¾. */
export const WORD_ALONE = String.raw`${WORD}\u{b2}\u{b3}\u{b9}\u{bc}-\u{be}`;
const HEX = "0-9A-Fa-f";

const ESCAPES: Readonly<Record<string, Members>> = {
  s: several(String.raw`\p{White_Space}`, 1),
  S: several(String.raw`\P{White_Space}`, 1),
  d: several(String.raw`\p{Nd}`, 1),
  D: several(String.raw`\P{Nd}`, 1),
  w: several(WORD),
  W: nested(`[^${WORD}]`),
  h: several(HEX),
  H: nested(`[^${HEX}]`),
  n: members("\n"),
  r: members("\r"),
  t: members("\t"),
  f: members("\f"),
  v: members("\v"),
  a: members("\u0007"),
  e: members("\u001b"),
};

/** Classes that differ outside of brackets. */
export const ALONE: Readonly<Record<string, Members | undefined>> = {
  __proto__: null as never,
  w: several(WORD_ALONE),
  W: several(`[^${WORD_ALONE}]`, 1),
};

export const escapeOf = (character: string): Members | undefined =>
  Object.hasOwn(ESCAPES, character) ? ESCAPES[character] : undefined;

/** By lower-case name, also as properties: `[:alpha:]` and `\p{Alpha}`. */
const POSIX: Readonly<Record<string, string>> = {
  alnum: String.raw`\p{Alphabetic}\p{Nd}`,
  alpha: String.raw`\p{Alphabetic}`,
  ascii: String.raw`\u{0}-\u{7f}`,
  blank: String.raw`\p{Zs}\t`,
  cntrl: String.raw`\p{Cc}`,
  digit: String.raw`\p{Nd}`,
  graph: String.raw`[^\p{White_Space}\p{Cc}\p{Cn}\p{Cs}]`,
  lower: String.raw`\p{Lowercase}`,
  print: String.raw`[[^\p{White_Space}\p{Cc}\p{Cn}\p{Cs}]\p{Zs}]`,
  punct: String.raw`\p{P}\p{S}`,
  space: String.raw`\p{White_Space}`,
  upper: String.raw`\p{Uppercase}`,
  word: WORD,
  xdigit: HEX,
};

export function posixClass(name: string, negated: boolean): Members | undefined {
  const source = Object.hasOwn(POSIX, name) ? (POSIX[name] as string) : undefined;
  if (source === undefined) return undefined;
  if (negated) return nested(`[^${source}]`);
  return source.startsWith("[") ? nested(source) : several(source);
}

/** The class of a property's name, in any case and with `_`, `-` or spaces left out; undefined if it is unknown. */
export function propertyClass(name: string, negated: boolean): Members | undefined {
  const short = plain(name);
  // "[:punct:]" has symbols too.
  if (short === "word") return ALONE[negated ? "W" : "w"];
  const known = short === "punct" ? several(`\\${negated ? "P" : "p"}{P}`, 1) : posixClass(short, negated);
  if (known) return known;
  for (const property of spellings(name)) {
    for (const source of [property, `Script=${property}`]) {
      if (isProperty(source)) return several(`\\${negated ? "P" : "p"}{${source}}`, 1);
    }
  }
  return undefined;
}

const plain = (name: string) => name.replace(/[\s_-]/g, "").toLowerCase();

/** A name as it is, and with the capitals that JavaScript wants: `Greek`, `Old_Italic`, `White_Space`, `Lu`. */
function spellings(name: string): string[] {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  const titled = words.map((word) => word[0]?.toUpperCase() + word.slice(1).toLowerCase()).join("_");
  return [...new Set([name, titled, name.toUpperCase()])].filter((word) => /^\w{1,60}$/.test(word));
}

function isProperty(source: string): boolean {
  try {
    return new RegExp(`^\\p{${source}}`, "u") !== null;
  } catch {
    return false;
  }
}
