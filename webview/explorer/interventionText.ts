/** The active interventions as chips, each with a button that removes it. */

import type { Intervention, Part, PatchedValue } from "../../src/protocol/traceApi";
import { el, fill } from "../base/dom";
import { t } from "../base/strings";
import type { ExplorerTools } from "../trace/inspection";

export function createInterventionChips(interventions: ExplorerTools["interventions"]): HTMLElement {
  const list = el("ul", { class: "chips" });
  const node = el(
    "div",
    { class: "interventions", attrs: { role: "group", "aria-label": t("Active interventions") } },
    el("span", { class: "small" }, t("Interventions:")),
    list,
    el(
      "button",
      { class: "action", attrs: { type: "button" }, on: { click: () => interventions.set({ list: [] }) } },
      t("Remove all"),
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

/** Text such as `layer 1, head 2 ablated` or `layer 0 MLP × 0.5`. */
export function interventionText(intervention: Intervention): string {
  if (intervention.kind === "patch") {
    const { value, position, from } = intervention;
    return t("{0} at {1} from trace {2} at {3}", partText(value), position, from.trace, from.position);
  }
  const { part, factor } = intervention;
  return factor === 0 ? t("{0} ablated", partText(part)) : `${partText(part)} × ${factor}`;
}

/** Text such as `layer 1, head 2`, `encoder layer 1 MLP` (translators) or `enc.blocks.1.residPost` (values). */
export function partText(part: Part | PatchedValue): string {
  const layer = layerText(part);
  switch (part.kind) {
    case "head":
      return t("{0}, head {1}", layer, part.head);
    case "crossHead":
      return t("{0}, cross-attention head {1}", layer, part.head);
    case "layer":
      return layer;
    case "attention":
      return t("{0} attention", layer);
    case "cross":
      return t("{0} cross-attention", layer);
    case "mlp":
      return t("{0} MLP", layer);
    default:
      return `${part.stack === "encoder" ? "enc." : ""}blocks.${part.layer}.${part.kind}`;
  }
}

/** Text such as `layer 1`, or `encoder layer 1` for translators. */
function layerText({ stack, layer }: Pick<Part, "stack" | "layer">): string {
  if (stack === undefined) return t("layer {0}", layer);
  return stack === "encoder" ? t("encoder layer {0}", layer) : t("decoder layer {0}", layer);
}

export function interventionChip(intervention: Intervention, remove: () => void): HTMLElement {
  const text = interventionText(intervention);
  return el(
    "li",
    { class: "chip" },
    text,
    el(
      "button",
      {
        class: "chip-remove",
        title: t("Remove"),
        attrs: { type: "button", "aria-label": t("Remove {0}", text) },
        on: { click: remove },
      },
      "×",
    ),
  );
}
