/** Rules for every error message shown to a user, for any input. */

const MAX_LENGTH = 300;

const RULES: readonly (readonly [rule: string, broken: RegExp])[] = [
  ["is one line without control or formatting characters", /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u],
  ["is well-formed Unicode", /\p{Surrogate}/u],
  ["ends a sentence", /[^.!?]$/],
  ["names no missing value", /\b(undefined|NaN|null)\b|\[object \w+\]/],
  [
    "has no words of the JavaScript engine",
    /Cannot (read|set|destructure|convert|mix)|is not (a function|iterable|defined)|Unexpected (token|end)|Invalid (array|string|typed array) length|Maximum call stack/,
  ],
  [
    "has no code of the operating system",
    /\bE(NOENT|ACCES|PERM|ISDIR|NOTDIR|EXIST|MFILE|NFILE|INVAL|NOSPC|LOOP|NAMETOOLONG)\b/,
  ],
  ["has no impossible number", /\d{16,}|\d[eE][+]?\d{2,}|\b0\.0 (GB|MB)\b/],
  ["has no stack", /\bat \S+ \(|\.[jt]s:\d+/],
];

/**
 * Rules that a message breaks, by name. Quoted parts come from the input: they may say anything printable, so that
 * only the rules about characters and length apply to them.
 */
export function brokenRules(message: string): string[] {
  const own = message.replace(/"(?:[^"\\]|\\.)*"|“[^“”]*”/g, '""');
  const broken = RULES.filter(([rule, pattern]) => pattern.test(/line|Unicode/.test(rule) ? message : own));
  const names = broken.map(([rule]) => rule);
  return message.length > MAX_LENGTH ? [...names, `has at most ${MAX_LENGTH} characters`] : names;
}
