/** Patterns of paths: those of a shell, and the lines of a `.gitignore`. Paths here are relative and have "/" between names. */

/** A pattern of a shell that a whole path must match; also `{a,b}`. */
export const globPattern = (glob: string): RegExp => new RegExp(`^${translate(glob, true)}$`, "su");

/** A line of a `.gitignore`. */
export interface IgnoreRule {
  readonly pattern: RegExp;
  /** "!": what was ignored is not, after all. */
  readonly keeps: boolean;
  readonly foldersOnly: boolean;
}

/** The rules of a `.gitignore`, for paths relative to its folder. https://git-scm.com/docs/gitignore */
export function parseIgnoreFile(text: string): readonly IgnoreRule[] {
  return text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .map((line) => line.replace(/(?<!\\)((?:\\\\)*) +$/, "$1"))
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const keeps = line.startsWith("!");
      const foldersOnly = line.endsWith("/");
      const glob = line.slice(keeps ? 1 : 0, foldersOnly ? -1 : undefined);
      // Without a "/" but at its end, a name is meant wherever it is.
      const anywhere = glob.includes("/") ? "" : "(?:.*/)?";
      return {
        pattern: new RegExp(`^${anywhere}${translate(glob.replace(/^\//, ""), false)}$`, "su"),
        keeps,
        foldersOnly,
      };
    });
}

/** What the last rule that speaks of a path says; null where none does. */
export function isIgnored(rules: readonly IgnoreRule[], path: string, isFolder: boolean): boolean | null {
  const rule = rules.findLast(({ pattern, foldersOnly }) => (isFolder || !foldersOnly) && pattern.test(path));
  return rule ? !rule.keeps : null;
}

/** The next piece of a pattern: `**` between slashes, a wild card, a class, an escaped character, or a character. */
const PIECE = /(?<=^|\/)\*\*(?:\/|$)|\*+|\?|\[[!^]?\]?(?:\\.|[^\]\\])*\]|\{(?:[^{}]*,)+[^{}]*\}|\\.|./gsu;

/** `*.{ts,js}` as `[^/]*\.(?:ts|js)`. */
function translate(glob: string, braces: boolean): string {
  return glob.replace(PIECE, (piece) => {
    if (piece === "**/") return "(?:.*/)?";
    if (piece === "**") return glob.length > 2 && glob.endsWith("/**") ? ".+" : ".*";
    if (piece.startsWith("*")) return "[^/]*";
    if (piece === "?") return "[^/]";
    if (piece.length > 1 && piece.startsWith("[")) return characterClass(piece.slice(1, -1));
    if (piece.length > 1 && piece.startsWith("{") && braces) {
      return `(?:${piece
        .slice(1, -1)
        .split(",")
        .map((option) => translate(option, true))
        .join("|")})`;
    }
    return piece.length > 1 && piece.startsWith("{") ? translate(`\\{${piece.slice(1)}`, false) : literal(piece);
  });
}

const literal = (piece: string): string =>
  (piece.length > 1 && piece.startsWith("\\") ? piece.slice(1) : piece).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** `!a-z` as `[^/a-z]`: no wild card stands for a "/". */
function characterClass(content: string): string {
  const isNegated = /^[!^]/.test(content);
  const members = content.slice(isNegated ? 1 : 0).replace(/\\(.)|[[\]^]/gsu, (piece, escaped?: string) => {
    const character = escaped ?? piece;
    return /[\w\s]|[^\0-\x7f]/u.test(character) ? character : `\\${character}`;
  });
  return isNegated ? `[^/${members}]` : `(?!/)[${members}]`;
}
