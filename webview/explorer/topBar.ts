/** The bar above the views: the model, the prompt, and facts about the trace that is shown. */

import type { TraceInfo } from "../../src/protocol/engineApi";
import type { InspectedSource } from "../../src/protocol/webviewApi";
import { el, fill } from "../base/dom";
import { deviceName, formatCount, formatMilliseconds, formatParameters, formatShort } from "../base/format";
import { t } from "../base/strings";
import { checkbox } from "../base/toolkit";
import type { Inspection } from "../trace/inspection";
import { submitTyped } from "../trace/shell";
import { tokensText } from "../trace/tokensText";
import { createPrompt } from "./prompt";

/** A typed prompt is traced after this pause, in ms. */
const TYPING_PAUSE = 500;

interface TopBarActions {
  readonly run: (text: string) => void;
  readonly follow: (follow: boolean) => void;
  readonly chooseModel: () => void;
}

export function createTopBar(text: string, follows: boolean, actions: TopBarActions) {
  const model = el(
    "button",
    {
      class: "model-button",
      title: t("Select a model"),
      attrs: { type: "button" },
      on: { click: actions.chooseModel },
    },
    t("Select a model"),
  );
  const prompt = createPrompt(t("Prompt"), t("Type a prompt…"));
  prompt.value = text;
  submitTyped(prompt, TYPING_PAUSE, () => actions.run(prompt.value));
  const follow = checkbox(t("Follow editor"), follows, actions.follow);
  const facts = el("p", { class: "facts small muted" });
  const from = el("span", { class: "source" });
  const buttons = el("div", { class: "buttons" });
  return {
    node: el(
      "header",
      { class: "top-bar" },
      el("div", { class: "run-row" }, model, prompt, follow),
      el("div", { class: "facts-row" }, facts, from, buttons),
    ),
    buttons,
    follow: (on: boolean) => {
      follow.checked = on;
    },
    source({ kind, label, text, truncated }: InspectedSource) {
      // Text that the user is typing is newer than this one.
      if (document.activeElement !== prompt) prompt.value = text;
      from.textContent = truncated ? t("{0} (end of text)", label) : label;
      from.title = label;
      if (kind === "typed") follow.checked = false;
    },
    focus: () => prompt.focus(),
    /** Clears the facts of a trace that is no longer shown. `name` is the model whose trace failed, if known. */
    clear(name: string | null) {
      model.textContent = name ?? t("Select a model");
      model.title = t("Select a model");
      facts.textContent = "";
      from.textContent = "";
    },
    describe({ trace, source }: Inspection) {
      model.textContent = trace.model.name;
      const { device, milliseconds } = trace;
      const { parameters, precision, step, parity } = trace.model;
      const parts = [
        t("{0} parameters", formatParameters(parameters)),
        precision,
        step > 0 && t("step {0}", formatCount(step)),
        deviceName(device),
        tokensText(trace, source),
        formatMilliseconds(milliseconds),
      ].filter((part) => typeof part === "string");
      // A low page has no room for the facts.
      model.title = [t("Select a model"), ...parts].join("\n");
      fill(facts, parts.join(" · "), parity && ` · `, parity && parityFact(parity));
    },
  };
}

/** How close the engine is known to come to another implementation. */
function parityFact({ maxDifference, of }: NonNullable<TraceInfo["model"]["parity"]>): Element {
  const title = t(
    "Largest difference from {0} in any value, from embeddings to logits, in tests with tiny models of this family.",
    of,
  );
  return el("span", { class: "explained", title }, t("within {0} of {1}", formatShort(maxDifference), of));
}
