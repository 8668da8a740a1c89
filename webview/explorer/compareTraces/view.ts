/** The Compare view: two traces of different texts, of models that share a tokenizer, or of a model and its checkpoint. */

import "../tracePair/tracePair.css";
import { el } from "../../base/dom";
import { formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { setPending } from "../../parts/busy";
import { createProblem } from "../../parts/problem";
import { createModelGate } from "../../trace/fromFile";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { createAttentionPair } from "../tracePair/attentionPair";
import { createDivergenceStrip, meanOf } from "../tracePair/divergence";
import { partnersOf, positionBeside } from "../tracePair/layout";
import { createLensColumns } from "../tracePair/lensColumns";
import { createNextTokensPair } from "../tracePair/nextTokens";
import { followSelection, type TracePair } from "../tracePair/tracePair";
import { traceNames } from "./layout";
import { createOtherPicker } from "./picker";
import { createRelativePart } from "./relative";
import { createWeightsPart } from "./weights";

export function createCompareTracesView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Compare"));
  // Only the Model Explorer has this view.
  const tools = explorer as ExplorerTools;
  let current: Inspection | null = null;
  let other: Inspection | null = null;
  /** Counts requests, so that outdated answers are dropped. */
  let request = 0;

  const picker = createOtherPicker(tools, (isSubmitted) => void run(isSubmitted));
  const hint = el("p", { class: "small muted", attrs: { role: "status" } });
  const intervened = el("p", { class: "small muted" });
  const problem = createProblem(() => void run());
  const tokens = createNextTokensPair("compare-next-token", save, () => undefined);
  const lens = createLensColumns("compare-lens", save);
  const strip = createDivergenceStrip("compare-kl", save, (token) => selection.set({ token }));
  const relative = createRelativePart(save, selection);
  const attention = createAttentionPair("compare-attention", save, selection);
  const weights = createWeightsPart(save);
  const compared = el(
    "div",
    { class: "pair-parts" },
    strip.node,
    tokens.node,
    lens.node,
    relative.node,
    attention.node,
    weights.node,
  );
  const whole = el("div", {}, picker.node, hint, intervened, problem.node, compared);
  const gate = createModelGate(whole);
  section.body.append(...gate.nodes);

  /** Runs the other trace. `isSubmitted`: the user wants to know if there is nothing to compare. */
  const run = async (isSubmitted = false) => {
    const of = current;
    const own = ++request;
    problem.clear();
    if (!of) return;
    const { dir, text, isOther } = picker.other(of);
    const advice = t("Select another model or checkpoint, or type another text and press Enter.");
    hint.textContent = isSubmitted && !isOther ? `${t("Both traces are the same.")} ${advice}` : advice;
    if (!isOther) {
      picker.setBusy(false);
      setOther(null);
      return draw();
    }
    picker.setBusy(true);
    setPending(compared, "computing");
    try {
      const next = await tools.alongside(dir, text);
      if (own !== request) return tools.release(next);
      setOther(next);
      await draw();
    } catch (error) {
      if (own !== request) return;
      setOther(null);
      void draw();
      problem.say(error);
    } finally {
      if (own === request) picker.setBusy(false);
    }
  };

  const setOther = (next: Inspection | null) => {
    if (other && other !== next) tools.release(other);
    other = next;
  };

  const pairNow = (): TracePair | null => {
    if (!current || !other) return null;
    const [a, b] = [current.trace, other.trace];
    const { token } = selection.get();
    const partners = partnersOf(a.tokens, b.tokens);
    return {
      inspections: [current, other],
      names: traceNames(a.model, b.model),
      positions: [Math.min(token, a.tokens.length - 1), positionBeside(token, partners, b.tokens.length)],
    };
  };

  const hideCompared = () => {
    compared.hidden = true;
    setPending(compared, "done");
  };

  const draw = async () => {
    const pair = pairNow();
    hint.hidden = pair !== null;
    intervened.hidden = !pair?.inspections[0].base;
    if (pair) intervened.textContent = t("“{0}” has interventions applied.", pair.names[0]);
    section.summarize("");
    if (!pair) return hideCompared();
    const [a, b] = pair.inspections;
    const isCurrent = () => current === a && other === b;
    setPending(compared, "computing");
    try {
      // Rejects models with different tokenizers, before anything of them is shown.
      const difference = await a.compareTraces(b.trace.trace);
      if (!isCurrent()) return;
      compared.hidden = false;
      strip.show(pair, difference);
      strip.mark(pair.positions[0]);
      relative.show(pair, difference);
      weights.show(pair);
      const mean = formatShort(meanOf(difference.divergence));
      section.summarize(t("{0} and {1}: mean KL {2} bits", ...pair.names, mean));
      const lenses = await tokens.show(pair);
      if (!lenses || !isCurrent()) return;
      lens.show(pair, lenses);
      await attention.show(pair);
      if (isCurrent()) setPending(compared, "done");
    } catch (error) {
      if (!isCurrent()) return;
      hideCompared();
      problem.say(error);
    }
  };

  const showAttention = () => {
    const pair = pairNow();
    if (pair) attention.show(pair).catch(problem.say);
  };
  followSelection(selection, whole, () => void draw(), showAttention);

  return {
    section,
    asksTensors: true,
    show(next) {
      current = gate.admits(next) ? next : null;
      request += 1;
      if (!current) {
        hideCompared();
        return setOther(null);
      }
      setPending(compared, "computing");
      void picker.show(next).then(() => {
        if (current === next) void run();
      });
    },
  };
}
