/** Two runs beside each other: of two texts, of two models of one tokenizer, or of a model and one of its checkpoints. */

import "../tracePair/tracePair.css";
import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import { el } from "../../base/dom";
import { formatCount, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, dropdown, progressRing } from "../../base/toolkit";
import { setPending } from "../../parts/busy";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { createAttentionPair } from "../tracePair/attentionPair";
import { createDivergenceStrip } from "../tracePair/divergence";
import { positionBeside } from "../tracePair/layout";
import { createLensColumns } from "../tracePair/lensColumns";
import { createNextTokensPair } from "../tracePair/nextTokens";
import { isElsewhere, refusal, type TracePair } from "../tracePair/tracePair";
import { traceNames } from "./layout";
import { createRelativePart } from "./relative";
import { createWeightsPart } from "./weights";

/** Of the checkpoints: the model as it is. */
const NEWEST = "newest";

export function createCompareTracesView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Compare"));
  // Only the Explorer has this view.
  const tools = explorer as ExplorerTools;
  let current: Inspection | null = null;
  let other: Inspection | null = null;
  let models: readonly { readonly dir: string; readonly name: string }[] = [];
  let checkpoints: readonly CheckpointInfo[] = [];
  /** The model to compare with; null for that of the run. */
  let model: string | null = null;
  let step = NEWEST;
  /** Counts what was asked, so that an answer to an earlier question is left alone. */
  let asked = 0;

  const refused = el("p", { class: "empty" });
  const modelPicker = dropdown(t("Model to compare with"), (value) => {
    model = value === "" ? null : value;
    step = NEWEST;
    void listCheckpoints().then(() => run());
  });
  const stepPicker = dropdown(t("Checkpoint to compare with"), (value) => {
    step = value;
    void run();
  });
  const text = el("textarea", {
    class: "prompt",
    attrs: {
      rows: 1,
      spellcheck: "false",
      "aria-label": t("Text to compare with"),
      placeholder: t("The same text; or type another…"),
    },
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void run(true);
  });
  const busy = progressRing(t("Running the other"));
  busy.hidden = true;
  const hint = el("p", { class: "small muted", attrs: { role: "status" } });
  const ofChanged = el("p", { class: "small muted" });
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
  const whole = el(
    "div",
    {},
    el(
      "div",
      { class: "pair-controls" },
      modelPicker.node,
      stepPicker.node,
      text,
      button(t("Compare"), () => void run(true), "primary"),
      busy,
    ),
    hint,
    ofChanged,
    problem.node,
    compared,
  );
  section.body.append(refused, whole);

  /** The folder to compare with, and whether there is anything to tell from this run. */
  const chosen = (of: Inspection) => {
    const own = of.trace.model.dir;
    const dir = checkpoints.find((each) => String(each.step) === step)?.dir ?? model ?? own;
    const written = text.value === "" ? of.source.text : text.value;
    return { dir, text: written, isOther: dir !== own || written !== of.source.text };
  };

  /** `isAsked`: by the user, who is told also that there is nothing to compare with. */
  const run = async (isAsked = false) => {
    const of = current;
    const question = ++asked;
    problem.clear();
    if (!of) return;
    const { dir, text, isOther } = chosen(of);
    const what = t("Choose another model or checkpoint, or type another text and press Enter.");
    hint.textContent = isAsked && !isOther ? `${t("This is the same run.")} ${what}` : what;
    if (!isOther) {
      busy.hidden = true;
      setOther(null);
      return draw();
    }
    busy.hidden = false;
    setPending(compared, "computing");
    try {
      const next = await tools.alongside(dir, text);
      if (question !== asked) return tools.release(next);
      setOther(next);
      await draw();
    } catch (error) {
      if (question !== asked) return;
      setOther(null);
      void draw();
      problem.say(error);
    } finally {
      if (question === asked) busy.hidden = true;
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
    return {
      inspections: [current, other],
      names: traceNames(a.model, b.model),
      positions: [Math.min(token, a.tokens.length - 1), positionBeside(token, a.tokens.length, b.tokens.length)],
    };
  };

  const hideCompared = () => {
    compared.hidden = true;
    setPending(compared, "done");
  };

  const draw = async () => {
    const pair = pairNow();
    hint.hidden = pair !== null;
    ofChanged.hidden = !pair?.inspections[0].base;
    if (pair) ofChanged.textContent = t("“{0}” is the changed run.", pair.names[0]);
    section.summarize("");
    if (!pair) return hideCompared();
    const [a, b] = pair.inspections;
    const isCurrent = () => current === a && other === b;
    setPending(compared, "computing");
    try {
      // Models of different tokenizers are refused here, in a sentence, before anything of them is shown.
      const difference = await a.compareTraces(b.trace.trace);
      if (!isCurrent()) return;
      compared.hidden = false;
      strip.show(pair, difference);
      strip.mark(pair.positions[0]);
      relative.show(pair, difference);
      weights.show(pair);
      const mean = difference.divergence.reduce((sum, bits) => sum + bits, 0) / Math.max(1, difference.positions);
      section.summarize(t("{0} and {1}: mean KL {2} bits", ...pair.names, formatValue(mean)));
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

  const listCheckpoints = async () => {
    const of = current;
    if (!of) return;
    const dir = model ?? of.trace.model.dir;
    checkpoints = [];
    try {
      const told = await of.checkpoints(dir);
      if (current !== of || (model ?? of.trace.model.dir) !== dir) return;
      checkpoints = told;
    } catch {
      // A folder that tells of none has none to choose.
    }
    if (!checkpoints.some((each) => String(each.step) === step)) step = NEWEST;
    stepPicker.node.hidden = checkpoints.length === 0;
    stepPicker.update(
      [
        { value: NEWEST, label: t("as it is now") },
        ...[...checkpoints]
          .reverse()
          .map((each) => ({ value: String(each.step), label: t("step {0}", formatCount(each.step)) })),
      ],
      step,
    );
  };
  const listModels = async (of: Inspection) => {
    try {
      models = await tools.models();
    } catch (error) {
      problem.say(error);
    }
    if (current !== of) return;
    const own = of.trace.model.dir;
    const others = models.filter(({ dir }) => dir !== own);
    if (model !== null && !others.some(({ dir }) => dir === model)) model = null;
    modelPicker.update(
      [{ value: "", label: t("this model") }, ...others.map(({ dir, name }) => ({ value: dir, label: name }))],
      model ?? "",
    );
    await listCheckpoints();
  };

  const lookAgain = whenSeen(whole, () => void draw());
  const placeAgain = whenSeen(whole, () => {
    const pair = pairNow();
    if (pair) attention.show(pair).catch(problem.say);
  });
  selection.subscribe((now, before) => {
    if (now.token !== before.token) lookAgain();
    else if (isElsewhere(now, before)) placeAgain();
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      const reason = refusal(next);
      refused.textContent = reason;
      refused.hidden = reason === "";
      whole.hidden = reason !== "";
      current = reason === "" ? next : null;
      asked += 1;
      if (!current) {
        hideCompared();
        return setOther(null);
      }
      setPending(compared, "computing");
      void listModels(next).then(() => {
        if (current === next) void run();
      });
    },
  };
}
