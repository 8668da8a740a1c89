/** The controls that choose the trace to compare with: model, checkpoint and text. */

import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { button, dropdown, progressRing } from "../../base/toolkit";
import type { ExplorerTools, Inspection } from "../../trace/inspection";
import { createPrompt } from "../prompt";
import { type Choice, LATEST, otherOf, stepChoices } from "./choice";

/** `changed` is called with true if the user pressed Compare or Enter, and with false after another choice. */
export function createOtherPicker(tools: ExplorerTools, changed: (isSubmitted: boolean) => void) {
  let current: Inspection | null = null;
  let choice: Omit<Choice, "text"> = { model: null, step: LATEST };
  let checkpoints: readonly CheckpointInfo[] = [];

  const modelPicker = dropdown(t("Model to compare with"), (value) => {
    choice = { model: value === "" ? null : value, step: LATEST };
    void listCheckpoints().then(() => changed(false));
  });
  const stepPicker = dropdown(t("Checkpoint to compare with"), (step) => {
    choice = { ...choice, step };
    changed(false);
  });
  const text = createPrompt(t("Text to compare with"), t("Same text; type another to compare…"), () => changed(true));
  const busy = progressRing(t("Tracing the other text"));
  busy.hidden = true;

  const listCheckpoints = async () => {
    const of = current;
    if (!of) return;
    const dir = choice.model ?? of.trace.model.dir;
    checkpoints = [];
    try {
      const listed = await of.checkpoints(dir);
      if (current !== of || (choice.model ?? of.trace.model.dir) !== dir) return;
      checkpoints = listed;
    } catch {
      // A folder whose checkpoints cannot be read has none to choose.
    }
    if (!checkpoints.some((each) => String(each.step) === choice.step)) choice = { ...choice, step: LATEST };
    stepPicker.node.hidden = checkpoints.length === 0;
    stepPicker.update(stepChoices(checkpoints), choice.step);
  };

  return {
    node: el(
      "div",
      { class: "pair-controls" },
      modelPicker.node,
      stepPicker.node,
      text,
      button(t("Compare"), () => changed(true), "primary"),
      busy,
    ),
    setBusy(isBusy: boolean) {
      busy.hidden = !isBusy;
    },
    /** The model and text to compare a trace with. */
    other: ({ trace, source }: Inspection) =>
      otherOf({ dir: trace.model.dir, text: source.text }, { ...choice, text: text.value }, checkpoints),
    /** Lists the models and checkpoints for a trace. A choice that is not listed any more is dropped. */
    async show(next: Inspection): Promise<void> {
      current = next;
      // Without a list, only the model itself can be chosen.
      const models = await tools.models().catch(() => []);
      if (current !== next) return;
      const others = models.filter(({ dir }) => dir !== next.trace.model.dir);
      if (!others.some(({ dir }) => dir === choice.model)) choice = { ...choice, model: null };
      modelPicker.update(
        [{ value: "", label: t("this model") }, ...others.map(({ dir, name }) => ({ value: dir, label: name }))],
        choice.model ?? "",
      );
      await listCheckpoints();
    },
  };
}
