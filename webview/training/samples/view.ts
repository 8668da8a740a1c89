/** Texts that the model generated during training, the newest first. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el, fill } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";

export interface SamplesView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot) => void;
}

export function createSamplesView(): SamplesView {
  const list = el("div", { class: "samples" });
  const node = el(
    "section",
    { class: "panel samples-panel", attrs: { "aria-label": t("Samples") } },
    el("h2", { class: "panel-title" }, t("Samples")),
    list,
  );
  let shown = "";
  return {
    node,
    show({ dir, samples }) {
      // The list grows in place.
      const key = JSON.stringify([dir, samples.length, samples.at(-1)?.step]);
      if (key === shown) return;
      shown = key;
      const newest = [...samples].reverse();
      fill(
        list,
        ...(newest.length === 0 ? [el("p", { class: "muted" }, t("No samples yet."))] : []),
        ...newest.map(({ step, text }) =>
          el(
            "article",
            { class: "sample" },
            el("h3", { class: "sample-step number" }, t("step {0}", formatCount(step))),
            el("pre", { class: "sample-text" }, text),
          ),
        ),
      );
    },
  };
}
