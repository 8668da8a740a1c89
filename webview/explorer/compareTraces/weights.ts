/** The difference between the weights of two models, tensor by tensor, largest first. */

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
  /** Hidden for two traces of one model. */
  readonly show: (pair: TracePair) => void;
}

export function createWeightsPart(save: Save): WeightsPart {
  let pair: TracePair | null = null;
  let weights: readonly WeightDifference[] = [];
  const title = el("h3", { class: "subheading" }, t("Difference of weights"));
  const method = el("p", { class: "small muted" });
  const start = button(t("Compare weights"), () => void compare());
  const problem = createProblem(() => void compare());
  const chart = createBarChart(() => undefined);
  const data = createDataBar(
    {
      fileName: () => "weights-difference",
      table: () => weightsTable(title.textContent ?? "", weights),
      of: () => pair?.inspections,
      drawing: chart.drawing,
    },
    save,
  );
  const result = el("div", {}, chart.node, data.node);
  const node = el("section", { class: "pair-part wide" }, title, method, start, problem.node, result);

  const compare = async () => {
    const of = pair;
    if (!of) return;
    problem.clear();
    start.disabled = true;
    try {
      const { dir } = of.inspections[1].trace.model;
      const differences = sortedWeights(await of.inspections[0].compareWeights(dir));
      if (pair !== of) return;
      weights = differences;
      draw(of);
    } catch (error) {
      if (pair === of) problem.say(error);
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
      method.textContent = t(
        "L2 norm of {1} minus {0}, divided by the norm of {0}. This reads all weights of both models.",
        ...next.names,
      );
    },
  };
}
