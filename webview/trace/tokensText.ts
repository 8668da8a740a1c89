import type { TraceInfo } from "../../src/protocol/engineApi";
import type { InspectedSource } from "../../src/protocol/webviewApi";
import { formatCount } from "../base/format";
import { t } from "../base/strings";

/** Number of tokens in the trace, and whether a long text was truncated. */
export function tokensText({ tokens }: TraceInfo, { text }: InspectedSource): string {
  const first = tokens.find(({ special }) => !special);
  const count = formatCount(tokens.length);
  if (first && text.slice(0, first.start).trim() !== "") return t("last {0} tokens of the text", count);
  return tokens.length === 1 ? t("1 token") : t("{0} tokens", count);
}
