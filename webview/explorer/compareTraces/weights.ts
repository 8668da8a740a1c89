/** How the weights of two models differ, tensor by tensor, the most different first. */

import type { WeightDifference } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { formatShape, formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button } from "../../base/toolkit";
import { createBarChart } from "../../charts/barChart";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { TracePair } from "../tracePair/tracePair";
import { sortedWeights, weightsTable } from "./layout";

export interface WeightsPart {
  readonly node: HTMLElement;
  /** Of two runs of one model there is nothing to show. */
  readonly show: (pair: TracePair) => void;
}

export function createWeightsPart(save: Save): WeightsPart {
  let pair: TracePair | null = null;
  let weights: readonly WeightDifference[] = [];
  const title = el("h3", { class: "subheading" }, t("Difference of the weights, by tensor"));
  const said = el("p", { class: "small muted" });
  const start = button(t("Compare weights"), () => void compare());
  const problem = createProblem(() => void compare());
  const chart = createBarChart(() => undefined);
  const data = createDataBar(
    {
      fileName: () => "weights-difference",
      table: () => weightsTable(title.textContent ?? "", weights),
      of: () => pair?.inspections,
      picture: chart.picture,
      svg: chart.svg,
    },
    save,
  );
  const result = el("div", {}, chart.node, data.node);
  const node = el("section", { class: "pair-part wide" }, title, said, start, problem.node, result);

  const compare = async () => {
    const asked = pair;
    if (!asked) return;
    problem.clear();
    start.disabled = true;
    try {
      const { dir } = asked.inspections[1].trace.model;
      const told = sortedWeights(await asked.inspections[0].compareWeights(dir));
      if (pair !== asked) return;
      weights = told;
      draw(asked);
    } catch (error) {
      if (pair === asked) problem.say(error);
    } finally {
      start.disabled = false;
    }
  };

  const draw = ({ names: [a, b] }: TracePair) => {
    result.hidden = false;
    start.hidden = true;
    chart.show({
      title: title.textContent ?? "",
      names: [t("relative difference")],
      rows: weights.map(({ name, shape, relative, cosine }) => ({
        label: name,
        values: [relative],
        note: formatShort(relative),
        describe: () =>
          t(
            "{0} {1}: ‖b − a‖ / ‖a‖ = {2}, cosine {3}\na: {4} · b: {5}",
            name,
            formatShape(shape),
            formatValue(relative),
            formatValue(cosine),
            a,
            b,
          ),
      })),
    });
    data.update();
  };

  return {
    node,
    show(next) {
      const folders = (of: TracePair | null) => of?.inspections.map(({ trace }) => trace.model.dir).join("\n");
      const isSame = folders(pair) === folders(next);
      pair = next;
      const [a, b] = next.inspections;
      node.hidden = a.trace.model.dir === b.trace.model.dir;
      if (isSame && weights.length > 0) return draw(next);
      weights = [];
      problem.clear();
      result.hidden = true;
      start.hidden = false;
      said.textContent = t(
        "L2 norm of {1} minus {0}, by that of {0}. All weights of both models are read for it.",
        ...next.names,
      );
    },
  };
}
