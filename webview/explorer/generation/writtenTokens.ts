/** The generated tokens after the end of the prompt, with a slider over the steps. */

import { el, fill, setAttr } from "../../base/dom";
import { t } from "../../base/strings";
import { moveToken } from "../../trace/tokens/chips";
import { visibleText } from "../../trace/tokens/layout";
import { type Step, writtenLabel } from "./layout";

/** Characters of the prompt's end that are shown before the generated tokens. */
const PROMPT_END = 60;

/** `look` is called with the index of a step. */
export function createWrittenTokens(look: (step: number) => void, describe: (step: Step, index: number) => string) {
  let shown = 0;
  let count = 0;
  const promptEnd = el("span", { class: "mono muted written-prompt" });
  const list = el("div", {
    class: "written-tokens",
    attrs: { role: "listbox", "aria-label": t("Generated tokens"), "aria-orientation": "horizontal" },
  });
  const slider = el("input", {
    class: "slider step-slider",
    attrs: { type: "range", min: 1, step: 1, "aria-label": t("Step") },
    on: { input: () => look(Number(slider.value) - 1) },
  });
  const position = el("span", { class: "small number" });
  list.addEventListener("click", ({ target }) => {
    const chip = target instanceof Element ? target.closest<HTMLElement>("[data-step]") : null;
    if (chip) look(Number(chip.dataset.step));
  });
  list.addEventListener("keydown", (event) => {
    const to = moveToken(event.key, shown, count);
    if (to === null) return;
    event.preventDefault();
    look(to);
  });

  const drawToken = (step: Step, index: number): HTMLElement => {
    const isShown = index === shown;
    const chip = el(
      "span",
      {
        class: `strip-token written-token mono${step.drawnWith === null ? " picked" : ""}`,
        title: describe(step, index),
        attrs: { role: "option", "aria-selected": String(isShown), tabindex: isShown ? 0 : -1 },
      },
      writtenLabel(step),
    );
    chip.dataset.step = String(index);
    chip.style.setProperty("--probability", String(step.probability));
    return chip;
  };

  return {
    nodes: [el("div", { class: "written" }, promptEnd, list), el("div", { class: "step-row" }, slider, position)],
    prompt(text: string) {
      promptEnd.textContent = `${text.length > PROMPT_END ? "…" : ""}${visibleText(text.slice(-PROMPT_END))}`;
    },
    show(steps: readonly Step[], index: number) {
      [shown, count] = [index, steps.length];
      const focused = list.contains(document.activeElement);
      fill(list, ...steps.map(drawToken));
      const chip = list.children[index];
      if (focused && chip instanceof HTMLElement) chip.focus({ preventScroll: true });
      setAttr(slider, "max", Math.max(1, count));
      slider.value = String(index + 1);
      const step = steps[index];
      const text = step ? t("step {0} of {1}", index + 1, count) : "";
      position.textContent = text;
      setAttr(slider, "aria-valuetext", step ? `${text}: “${writtenLabel(step)}”` : text);
    },
  };
}
