/** Interventions and the parts of a model in words. */

import type { Intervention, Part, PatchedValue } from "../../src/protocol/traceApi";
import { t } from "../base/strings";

/** Characters of a text that a patch comes from. */
const MAX_TEXT = 24;

/** Text such as `layer 1, head 2 ablated` or `layer 0 MLP × 0.5`. */
export function interventionText(intervention: Intervention<number | string>): string {
  const [on, change] =
    intervention.kind === "scale"
      ? [partText(intervention.part), changeText(intervention)]
      : [t("{0} at {1}", partText(intervention.value), intervention.position), changeText(intervention)];
  return `${on} ${change}`;
}

/** The change that an intervention makes to its part, such as `ablated`, `× 0.5` or `patched from “the cat” at 2`. */
export function changeText(intervention: Intervention<number | string>): string {
  if (intervention.kind === "scale") {
    const { factor } = intervention;
    return factor === 0 ? t("ablated") : `× ${Number(factor.toPrecision(3))}`;
  }
  const { trace, position } = intervention.from;
  if (typeof trace === "number") return t("patched from trace {0} at {1}", trace, position);
  const text = trace.replace(/\s+/g, " ");
  return t("patched from “{0}” at {1}", text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text, position);
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
