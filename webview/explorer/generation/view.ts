/** A generation step by step: what there was to choose from, what the sampler cut, and the branches of other choices. */

import "../../parts/slider.css";
import "./generation.css";
import type { GenerationParams } from "../../../src/protocol/traceApi";
import type { Completion } from "../../../src/protocol/webviewApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatCount, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, progressRing } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar } from "../../parts/dataBar";
import { needsModel } from "../../trace/fromFile";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { runText } from "../../trace/provenance";
import { visibleText } from "../../trace/tokens/layout";
import { moveToken } from "../../trace/tokens/view";
import { createBranchTree } from "./branchTree";
import {
  type Branch,
  bitsOf,
  branchWith,
  type Choice,
  choicesOf,
  drawnStep,
  generationTable,
  parentAt,
  pickedStep,
  type Recipe,
  recipesOf,
  type Step,
  sharedSteps,
  stepsOf,
  textOf,
  writtenAt,
  writtenLabel,
} from "./layout";
import { createSettings } from "./settings";

/** Tokens told of each step: ranks are known as far as this. */
const TOLD = 30;
/** Listed of the step that is looked at, before more are asked for. */
const LISTED = 10;
/** In the picture of all steps. */
const ROWS = 10;
/** Characters of the prompt that are shown before what was written. */
const PROMPT_END = 60;

/** What was written after one prompt: kept while all views look at one of its texts. */
interface Generation {
  readonly inspection: Inspection;
  readonly prompt: readonly number[];
  readonly text: string;
  /** The completion that is asked about. */
  readonly completion: Completion | null;
}

/** What is made again when the page is. */
interface Remembered extends Omit<Generation, "inspection"> {
  readonly dir: string;
  readonly modelStep: number;
  readonly openedText: string | null;
  readonly recipes: readonly Recipe[];
  /** Which of the branches is shown, and which step of it. */
  readonly shown: number;
  readonly step: number;
}

export function createGenerationView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Generation"));
  /** The run that all views show: that of the prompt, or of a text that was written after it. */
  let current: Inspection | null = null;
  let generation: Generation | null = null;
  let branches: readonly Branch[] = [];
  let branch = 0;
  let step = 0;
  let lastId = 0;
  let writing: AbortController | null = null;
  /** Of the run that is shown, where the written tokens begin; null where it has none of them. */
  let shownAt: number | null = null;
  let openedText: string | null = null;
  let drawing = 0;
  /** Counts what the user began, so that branches that are made again stop where that is something else. */
  let begun = 0;
  let recalling = false;
  let listsAll = false;

  const said = el("p", { class: "small muted" });
  const unchanged = el(
    "p",
    { class: "small" },
    t("Interventions are not in force here: the model writes as it is without them."),
  );
  const settings = createSettings();
  const generate = button(t("Generate"), () => void restart(), "primary");
  settings.node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) void restart();
  });
  const stop = button(t("Stop"), () => writing?.abort());
  const busy = progressRing(t("Writing"));
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const completed = el("p", { class: "small" });
  const ended = el("p", { class: "small" }, t("The model ends the text here: it writes nothing more."));
  const tree = createBranchTree((id) => look(id, Math.min(step, stepsOf(branches, id).length - 1)));
  const promptEnd = el("span", { class: "mono muted written-prompt" });
  const written = el("div", {
    class: "written-tokens",
    attrs: { role: "listbox", "aria-label": t("Written tokens"), "aria-orientation": "horizontal" },
  });
  const slider = el("input", {
    class: "slider step-slider",
    attrs: { type: "range", min: 1, step: 1, "aria-label": t("Step") },
    on: { input: () => look(branch, Number(slider.value) - 1) },
  });
  const stepSaid = el("span", { class: "small number" });
  const openAll = button(t("Open this text in all views"), () => {
    const text = writtenText();
    if (text === null || !generation) return;
    openedText = generation.text + text;
    remember();
    explorer?.run(openedText);
  });
  const back = button(t("Back to the prompt"), () => generation && explorer?.run(generation.text));
  const opened = el("p", { class: "small", attrs: { role: "status" } });
  const stepTitle = el("h3", { class: "subheading" });
  const facts = el("p", { class: "small" });
  const choices = el("ol", { class: "bars choices", attrs: { "aria-label": t("Tokens to choose from") } });
  const more = el("button", {
    class: "action",
    attrs: { type: "button" },
    on: {
      click: () => {
        listsAll = !listsAll;
        drawStep(shownSteps());
      },
    },
  });
  const readout = el("p", { class: "readout choice-readout", attrs: { "aria-hidden": "true" } });
  const heatmap = createHeatmap((_, col) => look(branch, col));
  const data = createDataBar(
    {
      fileName: () => "generation",
      table: () => {
        const steps = shownSteps();
        return steps.length > 0 ? generationTable(steps, t("Steps of the generation")) : null;
      },
      of: () => generation?.inspection,
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const result = el(
    "div",
    { class: "generation-result" },
    el("h3", { class: "subheading" }, t("Branches")),
    tree.node,
    el("div", { class: "written" }, promptEnd, written),
    el("div", { class: "step-row" }, slider, stepSaid),
    el("div", { class: "buttons" }, openAll, back),
    opened,
    stepTitle,
    facts,
    choices,
    more,
    readout,
    el("h3", { class: "subheading" }, t("What there was to choose from at each step")),
    el("p", { class: "small muted" }, t("A column for each step, the most likely token on top; ✓ was written.")),
    heatmap.node,
    data.node,
  );
  section.body.append(
    said,
    unchanged,
    settings.node,
    el("div", { class: "buttons" }, generate, stop, busy),
    problem,
    completed,
    ended,
    result,
  );

  const shownSteps = (): readonly Step[] => (branches.length > 0 ? stepsOf(branches, branch) : []);
  const shownBranch = () => branches.find(({ id }) => id === branch);
  /** The text of the branch that is shown; null while it is written. */
  const writtenText = (): string | null => {
    const spans = shownBranch()?.spans;
    return spans ? textOf(spans) : null;
  };
  const say = (error: unknown) => {
    problem.textContent = error instanceof Error ? error.message : String(error);
  };
  const change = (id: number, to: Partial<Branch>) => {
    branches = branches.map((each) => (each.id === id ? { ...each, ...to } : each));
  };

  /** Everything anew, from the prompt. */
  const restart = () => {
    if (!generation) return;
    const wanted = settings.read();
    if (typeof wanted === "string") return say(wanted);
    begun += 1;
    branches = [];
    step = 0;
    return write({ parent: null, from: 0, steps: [], settings: wanted });
  };

  /** Goes on with another token at the step that is looked at. */
  const pick = (token: number) => {
    const steps = shownSteps();
    const at = steps[step];
    if (!at) return;
    const there = branchWith(branches, branch, step, token);
    if (there !== null) return look(there, step);
    const picked = pickedStep(at, token);
    const wanted = settings.read();
    if (typeof wanted === "string") return say(wanted);
    if (!picked) return;
    begun += 1;
    return write({ parent: parentAt(branches, branch, step), from: step, steps: [picked], settings: wanted });
  };

  /** Writes a branch on to its end. */
  const write = async (start: Pick<Branch, "parent" | "from" | "steps" | "settings">) => {
    const of = generation;
    if (!of) return;
    const fresh: Branch = { ...start, id: ++lastId, reason: null, spans: null };
    const { id, from, settings: wanted } = fresh;
    writing?.abort();
    const abort = new AbortController();
    writing = abort;
    problem.textContent = "";
    branches = [...branches, fresh];
    branch = id;
    draw();
    const isOver = () => generation !== of || !branches.some((each) => each.id === id);
    const path = () => [...of.prompt, ...stepsOf(branches, id).map((each) => each.id)];
    const ask = (params: Pick<GenerationParams, "maxNewTokens">) =>
      of.inspection.generationTrace(
        { ...wanted, ...params, prompt: path(), count: TOLD },
        (told) => {
          if (isOver() || abort.signal.aborted) return;
          const { steps } = branches.find((each) => each.id === id) ?? fresh;
          change(id, { steps: [...steps, drawnStep(told, wanted)] });
          drawSoon();
        },
        abort.signal,
      );
    try {
      const { reason } = await ask({ maxNewTokens: Math.max(0, wanted.maxNewTokens - from - fresh.steps.length) });
      if (isOver()) return;
      change(id, { reason });
    } catch (error) {
      if (isOver()) return;
      if (!abort.signal.aborted) say(error);
      change(id, { reason: "canceled" });
    }
    // What was written, as the tokens of a text: also of what was stopped.
    try {
      const { prompt } = await of.inspection.generationTrace({ prompt: path(), maxNewTokens: 0, count: 0 });
      if (!isOver()) change(id, { spans: prompt.slice(of.prompt.length) });
    } catch (error) {
      if (!isOver()) say(error);
    }
    if (writing === abort) writing = null;
    if (isOver()) return;
    draw();
    remember();
  };

  const remember = () => {
    if (!generation || recalling) return;
    const { inspection, ...of } = generation;
    const { dir, step: modelStep } = inspection.trace.model;
    const shown = branches.findIndex(({ id }) => id === branch);
    const kept: Remembered = { ...of, dir, modelStep, openedText, recipes: recipesOf(branches), shown, step };
    explorer?.memory.set({ generation: JSON.stringify(kept) });
  };

  /** Makes the branches again that there were before the page was made anew. */
  const recall = async ({ recipes, shown, step: at }: Remembered) => {
    begun += 1;
    const turn = begun;
    recalling = true;
    const ids: (number | undefined)[] = [];
    for (const { parent, from, token, settings: wanted } of recipes) {
      const of = ids[parent];
      const parted = of === undefined ? undefined : stepsOf(branches, of)[from];
      const picked = parted && pickedStep(parted, token);
      // What it parted from may be shorter now.
      const isGone = parent >= 0 && !picked;
      if (!isGone) await write({ parent: of ?? null, from, steps: picked ? [picked] : [], settings: wanted });
      if (turn !== begun) break;
      ids.push(isGone ? undefined : lastId);
    }
    recalling = false;
    const id = ids[shown];
    if (turn === begun && id !== undefined) look(id, at);
  };

  /** Shows a step of a branch. */
  const look = (id: number, at: number) => {
    branch = id;
    step = Math.max(0, at);
    draw();
    // In a run of this text, the token that the step wrote is the one that all views look at.
    if (shownAt !== null && step < shownSteps().length) selection.set({ token: shownAt + step });
    if (!writing) remember();
  };

  const drawSoon = () => {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(draw);
  };

  const draw = () => {
    cancelAnimationFrame(drawing);
    const steps = shownSteps();
    step = Math.max(0, Math.min(step, steps.length - 1));
    generate.disabled = false;
    stop.hidden = busy.hidden = writing === null;
    setAttr(result, "aria-busy", String(writing !== null));
    result.hidden = steps.length === 0;
    unchanged.hidden = !current?.base;
    ended.hidden = steps.length > 0 || shownBranch()?.reason !== "eos";
    drawShownAt();
    tree.show(branches, branch);
    drawWritten(steps);
    drawStep(steps);
    drawChoicesOfAll(steps);
    drawCompletion();
    const bits = steps.length > 0 ? bitsOf(steps) : null;
    section.summarize(bits === null ? "" : t("{0} tokens, {1} bits", formatCount(steps.length), bits.toFixed(1)));
    data.update();
  };

  /** Finds the written tokens in the run that is shown. */
  const drawShownAt = () => {
    const spans = shownBranch()?.spans;
    const isWhole = spans && current && generation && current.source.text === generation.text + textOf(spans);
    shownAt = isWhole && spans.length > 0 ? writtenAt(current?.trace.tokens ?? [], spans) : null;
    const isPrompt = current?.source.text === generation?.text;
    back.hidden = isPrompt;
    openAll.disabled = !spans || spans.length === 0 || isWhole === true;
    opened.textContent = isPrompt
      ? ""
      : isWhole && shownAt === null
        ? t("All views show this text. Read as a text, it is split into other tokens than were written.")
        : isWhole
          ? t("All views show this text; the step that is looked at is the selected token.")
          : t("All views show the text of another branch.");
  };

  const drawWritten = (steps: readonly Step[]) => {
    const focused = written.contains(document.activeElement);
    fill(written, ...steps.map((each, i) => drawToken(each, i)));
    const chip = written.children[step];
    if (focused && chip instanceof HTMLElement) chip.focus({ preventScroll: true });
    setAttr(slider, "max", Math.max(1, steps.length));
    slider.value = String(step + 1);
    const at = steps[step];
    const text = at ? t("step {0} of {1}", step + 1, steps.length) : "";
    stepSaid.textContent = text;
    setAttr(slider, "aria-valuetext", at ? `${text}: “${writtenLabel(at)}”` : text);
  };

  const drawToken = (each: Step, i: number): HTMLElement => {
    const chip = el(
      "span",
      {
        class: `strip-token written-token mono${each.drawnWith === null ? " picked" : ""}`,
        title: describe(each, i, each.id, each.probability),
        attrs: { role: "option", "aria-selected": String(i === step), tabindex: i === step ? 0 : -1 },
      },
      writtenLabel(each),
    );
    chip.dataset.step = String(i);
    chip.style.setProperty("--probability", String(each.probability));
    return chip;
  };
  written.addEventListener("click", ({ target }) => {
    const chip = target instanceof Element ? target.closest<HTMLElement>("[data-step]") : null;
    if (chip) look(branch, Number(chip.dataset.step));
  });
  written.addEventListener("keydown", (event) => {
    const to = moveToken(event.key, step, shownSteps().length);
    if (to === null) return;
    event.preventDefault();
    look(branch, to);
  });

  /** Where a probability is from: the logits of the token before, over the whole vocabulary. */
  const describe = (each: Step, i: number, id: number, probability: number): string => {
    if (!generation) return "";
    const position = generation.prompt.length - 1 + i;
    const { nCtx } = generation.inspection.trace.model.config;
    // A window over a longer text moves in steps, which the engine does not tell.
    const place = position < nCtx ? position : t("last");
    const value = `softmax(logits[0, ${place}])[${id}] = ${formatValue(probability)}`;
    return `${value}\n${t("entropy {0} bits", formatValue(each.entropyBits))}\n${position === 0 ? t("after 1 token") : t("after {0} tokens", position + 1)}, ${runText(generation.inspection)}`;
  };

  const drawStep = (steps: readonly Step[]) => {
    const at = steps[step];
    if (!at || !current) return fill(choices);
    const { vocabSize } = current.trace.model.config;
    const { kept, drawnWith } = at;
    stepTitle.textContent = t("Step {0}: “{1}”", step + 1, writtenLabel(at));
    const drawn =
      drawnWith === null
        ? t("You picked this token.")
        : kept.tokens === 1
          ? t("Only one token was left to draw.")
          : t("It drew this token with probability {0}.", formatValue(drawnWith));
    facts.textContent = [
      t(
        "The model gave it probability {0}, with an entropy of {1} bits over the vocabulary.",
        formatValue(at.probability),
        formatValue(at.entropyBits),
      ),
      t(
        "The sampler kept {0} of {1} tokens, with {2} of the model’s probability.",
        formatCount(kept.tokens),
        formatCount(vocabSize),
        formatValue(kept.mass),
      ),
      drawn,
    ].join(" ");
    const listed = choicesOf(at, listsAll ? TOLD : LISTED);
    const others = Math.min(TOLD, at.top.length);
    more.hidden = others <= LISTED;
    more.textContent = listsAll ? t("Show {0} tokens", LISTED) : t("Show {0} tokens", others);
    const focused = choices.contains(document.activeElement)
      ? [...choices.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement)
      : -1;
    fill(choices, ...listed.map((choice) => drawChoice(at, choice)), drawRest(listed, vocabSize));
    readout.textContent = describe(at, step, at.id, at.probability);
    if (focused >= 0) choices.querySelectorAll("button")[focused]?.focus();
  };

  const drawChoice = (at: Step, { id, label, probability, rank, isKept, isWritten }: Choice): HTMLElement => {
    const bar = el("span", { class: "bar-fill" });
    bar.style.width = `${100 * probability}%`;
    const where = describe(at, step, id, probability);
    const read = () => {
      readout.textContent = where;
    };
    const state = isWritten ? t("written") : isKept === false ? t("cut") : "";
    const known = rank === null ? t("rank above {0}", TOLD) : t("rank {0}", formatCount(rank));
    return el(
      "li",
      { class: `bar choice${isWritten ? " is-written" : ""}${isKept === false ? " is-cut" : ""}` },
      el(
        "button",
        {
          class: "bar-label mono action",
          title: isWritten ? where : t("Go on from here with “{0}”", label),
          attrs: { type: "button", "aria-label": `“${label}”, ${known}, ${formatValue(probability)} ${state}` },
          on: { click: () => void pick(id), focus: read, mouseenter: read },
        },
        label,
      ),
      el("span", { class: "bar-note number" }, `#${id}`),
      el("span", { class: "bar-track", title: where, attrs: { "aria-hidden": "true" } }, bar),
      el("span", { class: "bar-value number", title: where }, formatPercent(probability)),
      el("span", { class: "choice-state small" }, state),
    );
  };

  const drawRest = (listed: readonly Choice[], vocabSize: number): HTMLElement | false => {
    const rest = 1 - listed.reduce((sum, { probability }) => sum + probability, 0);
    if (listed.length >= vocabSize) return false;
    const bar = el("span", { class: "bar-fill rest" });
    bar.style.width = `${100 * Math.max(0, rest)}%`;
    return el(
      "li",
      { class: "bar choice rest" },
      el("span", { class: "bar-label" }, t("{0} others", formatCount(vocabSize - listed.length))),
      el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, bar),
      el("span", { class: "bar-value number" }, formatPercent(Math.max(0, rest))),
      el("span", { class: "choice-state small" }),
    );
  };

  const drawChoicesOfAll = (steps: readonly Step[]) => {
    if (steps.length === 0) return;
    const rows = Math.min(ROWS, ...steps.map(({ top }) => top.length));
    const values = Float32Array.from(
      { length: rows * steps.length },
      (_, i) => steps[i % steps.length]?.top[Math.floor(i / steps.length)]?.probability ?? Number.NaN,
    );
    const columns = steps.map((each) => choicesOf(each, rows));
    const at = (row: number, col: number) => columns[col]?.[row] as Choice;
    heatmap.show({
      title: t("What there was to choose from at each step"),
      rows,
      cols: steps.length,
      values,
      scale: "sequential",
      max: 1,
      rowLabels: Array.from({ length: rows }, (_, row) => String(row + 1)),
      colLabels: steps.map(writtenLabel),
      rowHeight: 20,
      text: (row, col) => `${at(row, col).isWritten ? "✓" : ""}${at(row, col).label}`,
      describe: (row, col) => {
        const { id, label, probability, isKept } = at(row, col);
        const cut = isKept === false ? `, ${t("cut")}` : "";
        return `${t("step {0}, rank {1}: “{2}”", col + 1, row + 1, label)}${cut}\n${describe(steps[col] as Step, col, id, probability)}`;
      },
    });
    heatmap.mark(null, step);
    heatmap.reveal({ row: 0, col: step });
  };

  /** Whether a completion came about as these steps say. */
  const drawCompletion = () => {
    const made = generation?.completion;
    completed.hidden = !made;
    const first = branches[0];
    if (!made || !first || first.reason === null) return;
    const shared = sharedSteps(first.steps, made.ids);
    const same =
      shared === made.ids.length
        ? t("These steps wrote the same {0} tokens.", formatCount(shared))
        : t(
            "These steps differ from it after {0} of its {1} tokens: the model or the settings are others now.",
            formatCount(shared),
            formatCount(made.ids.length),
          );
    completed.textContent = `${t("The completion was “{0}”.", visibleText(made.shown))} ${same}`;
  };

  selection.subscribe((now, before) => {
    if (now.token === before.token || shownAt === null) return;
    const at = now.token - shownAt;
    if (at >= 0 && at < shownSteps().length && at !== step) look(branch, at);
  });

  const begin = (inspection: Inspection) => {
    const { trace, source } = inspection;
    writing?.abort();
    branches = [];
    const known = recalled(explorer?.memory.get().generation ?? "", inspection);
    openedText = known?.openedText ?? null;
    const completion = known?.completion ?? source.completion ?? null;
    const prompt = known?.prompt ?? completion?.prompt ?? trace.tokens.map(({ id }) => id);
    const text = known?.text ?? source.text;
    generation = { inspection, prompt, text, completion };
    if (completion) settings.write({ ...completion.sampling, maxNewTokens: completion.ids.length });
    promptEnd.textContent = `${text.length > PROMPT_END ? "…" : ""}${visibleText(text.slice(-PROMPT_END))}`;
    const why =
      needsModel(inspection) ||
      (trace.source ? t("This model translates whole sentences; choose a model that writes on from a text.") : "");
    said.textContent =
      why ||
      (prompt.length === 1
        ? t("What the model writes after this token, one by one.")
        : t("What the model writes after these {0} tokens, one by one.", formatCount(prompt.length)));
    for (const part of [settings.node, generate]) part.hidden = why !== "";
    problem.textContent = "";
    completed.textContent = "";
    draw();
    if (why) return;
    const last = known?.recipes.at(-1);
    if (last) settings.write(last.settings);
    void (known && last ? recall(known) : restart());
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      current = next;
      const of = generation;
      const sameModel = of && sameRun(of.inspection, next);
      const isPrompt = of && sameModel && next.source.text === of.text && next.source.completion === undefined;
      if (isPrompt) return draw();
      // The step that is looked at stays so: it becomes the selected token.
      if (sameModel && openedText !== null && next.source.text === openedText) return look(branch, step);
      begin(next.base ?? next);
    },
  };
}

/** Of one model as it was at one step. */
const sameRun = (a: Inspection, b: Inspection): boolean =>
  a.trace.model.dir === b.trace.model.dir && a.trace.model.step === b.trace.model.step;

/** What was remembered, if it is of this run: of its prompt, or of a text that was opened in all views. */
function recalled(json: string, { trace, source }: Inspection): Remembered | null {
  if (json === "") return null;
  // Written by this view, and by no other.
  const known = JSON.parse(json) as Remembered;
  const { dir, step } = trace.model;
  if (known.dir !== dir || known.modelStep !== step) return null;
  if (known.text !== source.text && known.openedText !== source.text) return null;
  const isOther = source.completion && JSON.stringify(source.completion) !== JSON.stringify(known.completion);
  return isOther ? null : known;
}
