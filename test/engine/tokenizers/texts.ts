import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Texts that go wrong easily: each is tokenized by every kind of tokenizer. */
export const HARD_TEXTS: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../golden/hardTexts.json"), "utf8"),
);

/** UTF-16 that is not well formed: no bytes of UTF-8 stand for it. */
export const LONE_SURROGATES = "a\ud83db\ude00c\ud83d\ud83d\ude00\ude00";
