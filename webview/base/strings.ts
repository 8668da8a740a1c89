/** Translations of the page's texts, which the host sends when the page starts. */

import type { Strings } from "../../src/protocol/webviewApi";

let strings: Strings = {};

export const useStrings = (translations: Strings): void => {
  strings = translations;
};

/** Returns a text in the user's language, with `{0}`, `{1}` … replaced: `t("Layer {0}", 3)`. */
export function t(sentence: string, ...args: readonly (string | number)[]): string {
  const text = strings[sentence] ?? sentence;
  return text.replace(/\{(\d+)\}/g, (hole, i: string) => String(args[Number(i)] ?? hole));
}
