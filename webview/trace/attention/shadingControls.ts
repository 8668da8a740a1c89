/** Switches the shading of the editor's text by attention; only the Model Explorer has it. */

import { el } from "../../base/dom";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import type { Shading } from "./layout";

export function createShadingControls(shading: Store<Shading>): HTMLElement {
  const toggle = checkbox(
    t("Shade the text in the editor by the selected token’s attention"),
    shading.get().on,
    (checked) => shading.set({ on: checked }),
  );
  const source = dropdown(t("Shade by"), (value) => shading.set({ mean: value === "mean" }));
  const note = el(
    "span",
    { class: "small muted" },
    t("Relative to the largest weight. “Ignore first token” applies here too."),
  );
  const draw = () => {
    const { on, mean } = shading.get();
    toggle.checked = on;
    source.node.hidden = note.hidden = !on;
    source.update(
      [
        { value: "head", label: t("selected head") },
        { value: "mean", label: t("mean of the layer’s heads") },
      ],
      mean ? "mean" : "head",
    );
  };
  shading.subscribe(draw);
  draw();
  return el("div", { class: "attention-shading" }, toggle, source.node, note);
}
