/** One step of a generation: what the model and the sampler did, and the tokens to choose from. */

import { el, fill } from "../../base/dom";
import { formatCount, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { traceText } from "../../trace/provenance";
import { type Choice, choicesOf, type Step, writtenLabel } from "./layout";
import { type Prompt, REPORTED } from "./session";

/** Choices listed before more are requested. */
const LISTED = 10;

/** The provenance of a probability: the logits at the last position, over the whole vocabulary. */
export function describeChoice(prompt: Prompt, step: Step, index: number, id: number, probability: number): string {
  const position = prompt.ids.length - 1 + index;
  const { nCtx } = prompt.inspection.trace.model.config;
  // Past the context length the window moves over the text, and the engine does not report its position.
  const at = position < nCtx ? position : t("last");
  const value = `softmax(logits[0, ${at}])[${id}] = ${formatValue(probability)}`;
  const after = position === 0 ? t("after 1 token") : t("after {0} tokens", position + 1);
  return `${value}\n${t("entropy {0} bits", formatValue(step.entropyBits))}\n${after}, ${traceText(prompt.inspection)}`;
}

/** `pick` is called with the id of the token that is chosen instead. */
export function createStepChoices(pick: (token: number) => void) {
  const title = el("h3", { class: "subheading" });
  const facts = el("p", { class: "small" });
  const list = el("ol", { class: "bars choices", attrs: { "aria-label": t("Tokens to choose from") } });
  const readout = el("p", { class: "readout choice-readout", attrs: { "aria-hidden": "true" } });
  let listsAll = false;
  let shown: { readonly prompt: Prompt; readonly step: Step; readonly index: number } | null = null;
  const more = el("button", {
    class: "action",
    attrs: { type: "button" },
    on: {
      click: () => {
        listsAll = !listsAll;
        draw();
      },
    },
  });

  const draw = () => {
    if (!shown) return fill(list);
    const { prompt, step, index } = shown;
    const { vocabSize } = prompt.inspection.trace.model.config;
    const { kept, drawnWith } = step;
    title.textContent = t("Step {0}: “{1}”", index + 1, writtenLabel(step));
    facts.textContent = [
      t("Probability {0}, entropy {1} bits.", formatPercent(step.probability), formatValue(step.entropyBits)),
      t(
        "The sampler kept {0} of {1} tokens with a total probability of {2}.",
        formatCount(kept.tokens),
        formatCount(vocabSize),
        formatPercent(kept.mass),
      ),
      drawnWith === null
        ? t("You picked this token.")
        : kept.tokens === 1
          ? t("Only one token was left.")
          : t("It was sampled with probability {0}.", formatPercent(drawnWith)),
    ].join(" ");
    const listed = choicesOf(step, listsAll ? REPORTED : LISTED);
    const reported = Math.min(REPORTED, step.top.length);
    more.hidden = reported <= LISTED;
    more.textContent = t("Show {0} tokens", listsAll ? LISTED : reported);
    const focused = list.contains(document.activeElement)
      ? [...list.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement)
      : -1;
    const describe = (id: number, probability: number) => describeChoice(prompt, step, index, id, probability);
    fill(list, ...listed.map((choice) => drawChoice(choice, describe)), drawRest(listed, vocabSize));
    readout.textContent = describe(step.id, step.probability);
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
  };

  const drawChoice = (
    { id, label, probability, rank, isKept, isWritten }: Choice,
    describe: (id: number, probability: number) => string,
  ): HTMLElement => {
    const bar = el("span", { class: "bar-fill" });
    bar.style.width = `${100 * probability}%`;
    const provenance = describe(id, probability);
    const read = () => {
      readout.textContent = provenance;
    };
    const state = isWritten ? t("chosen") : isKept === false ? t("filtered") : "";
    const rankText = rank === null ? t("rank above {0}", REPORTED) : t("rank {0}", formatCount(rank));
    return el(
      "li",
      { class: `bar choice${isWritten ? " is-written" : ""}${isKept === false ? " is-cut" : ""}` },
      el(
        "button",
        {
          class: "bar-label mono action",
          title: isWritten ? provenance : t("Continue with “{0}” instead", label),
          attrs: { type: "button", "aria-label": `“${label}”, ${rankText}, ${formatValue(probability)} ${state}` },
          on: { click: () => pick(id), focus: read, mouseenter: read },
        },
        label,
      ),
      el("span", { class: "bar-note number" }, `#${id}`),
      el("span", { class: "bar-track", title: provenance, attrs: { "aria-hidden": "true" } }, bar),
      el("span", { class: "bar-value number", title: provenance }, formatPercent(probability)),
      el("span", { class: "choice-state small" }, state),
    );
  };

  return {
    nodes: [title, facts, list, more, readout],
    show(prompt: Prompt | null, step: Step | undefined, index: number) {
      shown = prompt && step ? { prompt, step, index } : null;
      draw();
    },
  };
}

/** A bar for the tokens that are not listed; none if all are. */
function drawRest(listed: readonly Choice[], vocabSize: number): HTMLElement | false {
  if (listed.length >= vocabSize) return false;
  const rest = Math.max(0, 1 - listed.reduce((sum, { probability }) => sum + probability, 0));
  const bar = el("span", { class: "bar-fill rest" });
  bar.style.width = `${100 * rest}%`;
  return el(
    "li",
    { class: "bar choice rest" },
    el("span", { class: "bar-label" }, t("{0} others", formatCount(vocabSize - listed.length))),
    el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, bar),
    el("span", { class: "bar-value number" }, formatPercent(rest)),
    el("span", { class: "choice-state small" }),
  );
}
