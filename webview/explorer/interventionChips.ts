/** What is changed in the run that is shown, as chips that take each change back. */

import type { Intervention, Part, PatchedValue } from "../../src/protocol/traceApi";
import { el, fill } from "../base/dom";
import { t } from "../base/strings";
import type { ExplorerTools } from "../trace/inspection";

export function createInterventionChips(interventions: ExplorerTools["interventions"]): HTMLElement {
  const list = el("ul", { class: "chips" });
  const node = el(
    "div",
    { class: "interventions", attrs: { role: "group", "aria-label": t("Interventions in force") } },
    el("span", { class: "small" }, t("Changed:")),
    list,
    el(
      "button",
      { class: "action", attrs: { type: "button" }, on: { click: () => interventions.set({ list: [] }) } },
      t("Undo all"),
    ),
  );
  const draw = () => {
    const { list: now } = interventions.get();
    node.hidden = now.length === 0;
    fill(
      list,
      ...now.map((each) => {
        const remove = () => interventions.set({ list: interventions.get().list.filter((other) => other !== each) });
        return interventionChip(each, remove);
      }),
    );
  };
  interventions.subscribe(draw);
  draw();
  return node;
}

/** Reads as `layer 1, head 2 off`, or as `layer 0 MLP × 0.5`. */
export function interventionText(intervention: Intervention): string {
  if (intervention.kind === "patch") {
    const { value, position, from } = intervention;
    return t("{0} at {1} from run {2} at {3}", placeText(value), position, from.trace, from.position);
  }
  const { part, factor } = intervention;
  return factor === 0 ? t("{0} off", placeText(part)) : `${placeText(part)} × ${factor}`;
}

/** Reads as `layer 1, head 2`; of a translator as `encoder layer 1 MLP`, and of values as `enc.blocks.1.residPost`. */
export function placeText(place: Part | PatchedValue): string {
  const layer = layerText(place);
  switch (place.kind) {
    case "head":
      return t("{0}, head {1}", layer, place.head);
    case "crossHead":
      return t("{0}, head {1} to the source", layer, place.head);
    case "layer":
      return layer;
    case "attention":
      return t("{0} attention", layer);
    case "cross":
      return t("{0} attention to the source", layer);
    case "mlp":
      return t("{0} MLP", layer);
    default:
      return `${place.stack === "encoder" ? "enc." : ""}blocks.${place.layer}.${place.kind}`;
  }
}

/** Reads as `layer 1`; of a translator, as `encoder layer 1`. */
function layerText({ stack, layer }: Pick<Part, "stack" | "layer">): string {
  if (stack === undefined) return t("layer {0}", layer);
  return stack === "encoder" ? t("encoder layer {0}", layer) : t("decoder layer {0}", layer);
}

/** A change that can be undone by itself. */
export function interventionChip(change: Intervention, undo: () => void): HTMLElement {
  const text = interventionText(change);
  return el(
    "li",
    { class: "chip" },
    text,
    el(
      "button",
      {
        class: "chip-remove",
        title: t("Undo"),
        attrs: { type: "button", "aria-label": t("Undo {0}", text) },
        on: { click: undo },
      },
      "×",
    ),
  );
}
