import type { TraceInfo } from "../../src/protocol/engineApi";
import type { InspectedSource } from "../../src/protocol/webviewApi";
import { formatCount } from "../base/format";
import { t } from "../base/strings";

/** How many tokens were run; of a text that is longer than the model reads, its last ones. */
export function tokensText({ tokens }: TraceInfo, { text }: InspectedSource): string {
  const first = tokens.find(({ special }) => !special);
  const count = formatCount(tokens.length);
  if (first && text.slice(0, first.start).trim() !== "") return t("the last {0} tokens of the text", count);
  return tokens.length === 1 ? t("1 token") : t("{0} tokens", count);
}
