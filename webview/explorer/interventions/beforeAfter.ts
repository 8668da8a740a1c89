/** The traces before and after interventions, beside each other: next token, logit lens, attention and divergence. */

import { el } from "../../base/dom";
import { formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { setPending } from "../../parts/busy";
import { createProblem } from "../../parts/problem";
import type { Inspection, ViewContext } from "../../trace/inspection";
import { createAttentionPair } from "../tracePair/attentionPair";
import { createDivergenceStrip } from "../tracePair/divergence";
import type { PairedToken } from "../tracePair/layout";
import { createLensColumns } from "../tracePair/lensColumns";
import { createNextTokensPair } from "../tracePair/nextTokens";
import type { TracePair } from "../tracePair/tracePair";

export interface BeforeAfterHooks {
  /** A token of the next-token distribution was clicked. */
  readonly watch: (token: PairedToken) => void;
  readonly retry: () => void;
  readonly summarize: (text: string) => void;
}

export function createBeforeAfter(
  { selection, save }: Pick<ViewContext, "selection" | "save">,
  hooks: BeforeAfterHooks,
) {
  const tokens = createNextTokensPair("interventions-next-token", save, hooks.watch);
  const lens = createLensColumns("interventions-lens", save);
  const attention = createAttentionPair("interventions-attention", save, selection);
  const strip = createDivergenceStrip("interventions-kl", save, (token) => selection.set({ token }));
  const problem = createProblem(hooks.retry);
  const compared = el("div", { class: "pair-parts" }, tokens.node, lens.node, attention.node, strip.node);
  const unchanged = el(
    "p",
    { class: "small muted" },
    t("No interventions yet. Ablate, scale or patch a part above to compare the prediction before and after."),
  );
  let pair: TracePair | null = null;

  /** Compares the traces at a position; `after` is null without interventions. */
  const show = async (before: Inspection | null, after: Inspection | null, position: number): Promise<void> => {
    const wanted: TracePair | null =
      before && after
        ? { inspections: [before, after], names: [t("before"), t("after")], positions: [position, position] }
        : null;
    pair = wanted;
    problem.clear();
    compared.hidden = wanted === null;
    unchanged.hidden = wanted !== null;
    hooks.summarize(after || !before ? "" : t("no interventions"));
    setPending(compared, wanted ? "computing" : "done");
    if (!wanted || !before || !after) return;
    const isCurrent = () => pair?.inspections[0] === before && pair.inspections[1] === after;
    try {
      const lenses = await tokens.show(wanted);
      if (!lenses || !isCurrent()) return;
      lens.show(wanted, lenses);
      await attention.show(wanted);
      const difference = await before.compareTraces(after.trace.trace);
      if (!isCurrent()) return;
      const [at] = pair?.positions ?? [position];
      setPending(compared, "done");
      strip.show(wanted, difference);
      strip.mark(at);
      hooks.summarize(t("KL {0} bits after token {1}", formatShort(difference.divergence[at] as number), at));
    } catch (error) {
      if (!isCurrent()) return;
      setPending(compared, "failed");
      problem.say(error);
    }
  };

  return {
    nodes: [unchanged, problem.node, compared],
    show,
    /** Marks what is shown as outdated while other interventions run. */
    await: (state: "computing" | "done" | "failed") => setPending(compared, state),
    /** Follows the selected layer, head and source token. */
    showAttention() {
      if (pair) attention.show(pair).catch(problem.say);
    },
    say: problem.say,
  };
}
