/** A generation step by step: the tokens to choose from, what the sampler filtered out, and branches with other choices. */

import "../../parts/slider.css";
import "./generation.css";
import type { InspectedSource } from "../../../src/protocol/webviewApi";
import { el, setAttr } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { button, progressRing } from "../../base/toolkit";
import { needsModel } from "../../trace/fromFile";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { visibleText } from "../../trace/tokens/layout";
import { createBranchTree } from "./branchTree";
import { createCandidates } from "./candidates";
import { bitsOf, sharedSteps, textOf } from "./layout";
import { GenerationSession, type Placement, placementOf, savedSession } from "./session";
import { createSettings } from "./settings";
import { createStepChoices, describeChoice } from "./stepChoices";
import { createWrittenTokens } from "./writtenTokens";

export function createGenerationView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Generation"));
  /** The trace that all views show: of the prompt, or of a generated text. */
  let current: Inspection | null = null;
  let placement: Placement = { isPrompt: true, isWhole: false, at: null };
  let drawing = 0;

  const intro = el("p", { class: "small muted" });
  const unchanged = el(
    "p",
    { class: "small" },
    t("Interventions do not apply here: the model generates without them."),
  );
  const settings = createSettings();
  const generate = button(t("Generate"), () => withSettings((values) => session.restart(values)), "primary");
  settings.node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) withSettings((values) => session.restart(values));
  });
  const stop = button(t("Stop"), () => session.stop());
  const busy = progressRing(t("Generating"));
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const completed = el("p", { class: "small" });
  const ended = el("p", { class: "small" }, t("The model ends the text here and generates nothing more."));
  const tree = createBranchTree((id) => look(id, session.step));
  const written = createWrittenTokens(
    (step) => look(session.shown, step),
    (step, index) => (session.prompt ? describeChoice(session.prompt, step, index, step.id, step.probability) : ""),
  );
  const openAll = button(t("Open this text in all views"), () => {
    const { prompt, branch } = session;
    if (!prompt || !branch?.spans) return;
    session.openedText = prompt.text + textOf(branch.spans);
    session.save();
    explorer?.run(session.openedText);
  });
  const back = button(t("Back to the prompt"), () => session.prompt && explorer?.run(session.prompt.text));
  const opened = el("p", { class: "small", attrs: { role: "status" } });
  const choices = createStepChoices((token) => withSettings((values) => session.pick(token, values)));
  const candidates = createCandidates(save, (step) => look(session.shown, step));
  const result = el(
    "div",
    { class: "generation-result" },
    el("h3", { class: "subheading" }, t("Branches")),
    tree.node,
    ...written.nodes,
    el("div", { class: "buttons" }, openAll, back),
    opened,
    ...choices.nodes,
    ...candidates.nodes,
  );
  section.body.append(
    intro,
    unchanged,
    settings.node,
    el("div", { class: "buttons" }, generate, stop, busy),
    problem,
    completed,
    ended,
    result,
  );

  const say = (error: unknown) => {
    problem.textContent = error === null ? "" : error instanceof Error ? error.message : String(error);
  };
  const session = new GenerationSession({
    changed: (isProgress) => {
      cancelAnimationFrame(drawing);
      if (isProgress) drawing = requestAnimationFrame(draw);
      else draw();
    },
    failed: say,
    save: (json) => explorer?.memory.set({ generation: json }),
  });
  const withSettings = (act: (values: Exclude<ReturnType<typeof settings.read>, string>) => Promise<void>) => {
    const values = settings.read();
    if (typeof values === "string") say(values);
    else void act(values);
  };

  /** Shows a step of a branch, and selects its token if the views show the text of that branch. */
  const look = (branch: number, step: number) => {
    session.look(branch, step);
    if (placement.at !== null && session.step < session.steps.length) {
      selection.set({ token: placement.at + session.step });
    }
  };
  selection.subscribe((now, before) => {
    if (now.token === before.token || placement.at === null) return;
    const step = now.token - placement.at;
    if (step >= 0 && step < session.steps.length && step !== session.step) look(session.shown, step);
  });

  const draw = () => {
    const { prompt, branch, steps, isWriting } = session;
    stop.hidden = busy.hidden = !isWriting;
    setAttr(result, "aria-busy", String(isWriting));
    result.hidden = steps.length === 0;
    unchanged.hidden = !current?.base;
    ended.hidden = steps.length > 0 || branch?.reason !== "eos";
    if (current && prompt) placement = placementOf(current, prompt, branch);
    back.hidden = placement.isPrompt;
    openAll.disabled = !branch?.spans || branch.spans.length === 0 || placement.isWhole;
    opened.textContent = placementText(placement);
    tree.show(session.branches, session.shown);
    written.show(steps, session.step);
    choices.show(prompt, steps[session.step], session.step);
    candidates.show(prompt, steps, session.step);
    drawCompletion();
    section.summarize(
      steps.length === 0 ? "" : t("{0} tokens, {1} bits", formatCount(steps.length), bitsOf(steps).toFixed(1)),
    );
  };

  /** Says whether the first branch repeats the completion that is explained. */
  const drawCompletion = () => {
    const completion = session.prompt?.completion;
    completed.hidden = !completion;
    const first = session.branches[0];
    if (!completion || !first || first.reason === null) return;
    const { length } = completion.ids;
    const shared = sharedSteps(first.steps, completion.ids);
    const comparison =
      shared === length
        ? t("These steps generated the same {0} tokens.", formatCount(shared))
        : t(
            "These steps differ after {0} of its {1} tokens, because the model or the settings have changed.",
            formatCount(shared),
            formatCount(length),
          );
    completed.textContent = `${t("The completion was “{0}”.", visibleText(completion.shown))} ${comparison}`;
  };

  const begin = (inspection: Inspection) => {
    const { trace, source } = inspection;
    const saved = savedSession(explorer?.memory.get().generation ?? "", inspection);
    const completion = saved?.completion ?? source.completion ?? null;
    const ids = saved?.prompt ?? completion?.prompt ?? trace.tokens.map(({ id }) => id);
    const text = saved?.text ?? source.text;
    session.begin({ inspection, ids, text, completion }, saved);
    if (completion) settings.write({ ...completion.sampling, maxNewTokens: completion.ids.length });
    written.prompt(text);
    const refusal = refusalOf(inspection);
    intro.textContent =
      refusal ||
      (ids.length === 1
        ? t("How the model continues this token, step by step.")
        : t("How the model continues these {0} tokens, step by step.", formatCount(ids.length)));
    for (const part of [settings.node, generate]) part.hidden = refusal !== "";
    problem.textContent = "";
    completed.textContent = "";
    draw();
    if (refusal) return;
    const last = saved?.recipes.at(-1);
    if (last) settings.write(last.settings);
    if (saved && last) void session.replay(saved);
    else withSettings((values) => session.restart(values));
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      current = next;
      const { prompt, openedText } = session;
      const isSameModel = prompt && hasSameModel(prompt.inspection, next);
      if (isSameModel && isPromptOf(next.source, prompt.text)) return draw();
      // The step that is shown becomes the selected token.
      if (isSameModel && openedText !== null && next.source.text === openedText) {
        return look(session.shown, session.step);
      }
      begin(next.base ?? next);
    },
  };
}

const isPromptOf = ({ text, completion }: InspectedSource, prompt: string): boolean =>
  text === prompt && completion === undefined;

/** Returns true if two traces are from one model at the same training step. */
const hasSameModel = (a: Inspection, b: Inspection): boolean =>
  a.trace.model.dir === b.trace.model.dir && a.trace.model.step === b.trace.model.step;

/** Why a trace cannot be continued; "" if it can. */
const refusalOf = (inspection: Inspection): string =>
  needsModel(inspection) ||
  (inspection.trace.source ? t("This model translates whole sentences. Select a model that continues a text.") : "");

function placementText({ isPrompt, isWhole, at }: Placement): string {
  if (isPrompt) return "";
  if (!isWhole) return t("All views show the text of another branch.");
  return at === null
    ? t("All views show this text. It is tokenized differently than it was generated.")
    : t("All views show this text. The step that is shown is the selected token.");
}
