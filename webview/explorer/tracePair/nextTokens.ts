/** The next-token distributions of two traces, token by token, with the difference. */

import { el } from "../../base/dom";
import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createBarChart } from "../../charts/barChart";
import { createDataBar, type Save } from "../../parts/dataBar";
import { type PairedToken, pairedTable } from "./layout";
import { bothText, type LensPair, lensesOf, nextTokensOf, positionsText, type TracePair } from "./tracePair";

export interface NextTokensPair {
  readonly node: HTMLElement;
  /** Returns the lenses it read, so that others can show them; null if another pair was shown meanwhile. */
  readonly show: (pair: TracePair) => Promise<LensPair | null>;
}

/** `choose` is called with a token that is clicked. */
export function createNextTokensPair(
  fileName: string,
  save: Save,
  choose: (token: PairedToken) => void,
): NextTokensPair {
  let current: TracePair | null = null;
  let tokens: readonly PairedToken[] = [];
  const title = el("h3", { class: "subheading" });
  const chart = createBarChart((row) => tokens[row] && choose(tokens[row]));
  const data = createDataBar(
    {
      fileName: () => fileName,
      table: () => current && pairedTable(title.textContent ?? "", tokens, current.names),
      of: () => current?.inspections,
      drawing: chart.drawing,
    },
    save,
  );
  return {
    node: el("section", { class: "pair-part" }, title, chart.node, data.node),
    async show(pair) {
      current = pair;
      const lenses = await lensesOf(pair);
      const found = await nextTokensOf(pair, lenses);
      if (current !== pair) return null;
      tokens = found;
      title.textContent = t("Next token {0}", positionsText(pair));
      chart.show({
        title: title.textContent,
        names: pair.names,
        rows: tokens.map(({ id, label, a, b }) => ({
          label,
          values: [a, b],
          note: `${formatPercent(a)} → ${formatPercent(b)}`,
          describe: () =>
            [
              t("probability of “{0}”, #{1}, {2}", label, id, positionsText(pair)),
              bothText(pair, [a, b]),
              t("difference {0}", formatValue(b - a)),
            ].join("\n"),
        })),
      });
      data.update();
      return lenses;
    },
  };
}
