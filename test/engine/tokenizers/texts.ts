import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Difficult texts, tokenized by every kind of tokenizer. */
export const HARD_TEXTS: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../golden/hardTexts.json"), "utf8"),
);

/** Ill-formed UTF-16, which has no UTF-8 encoding. */
export const LONE_SURROGATES = "a\ud83db\ude00c\ud83d\ud83d\ude00\ude00";
