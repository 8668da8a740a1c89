/** One row of the module tree, as a table row. */

import { el } from "../../base/dom";
import { formatBytes, formatCount, formatPercent, formatShape } from "../../base/format";
import { t } from "../../base/strings";
import type { Inspection } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import type { ArchitectureNode, ShownRow } from "./layout";

export function drawRow(
  { node, level, isOpen, position, siblings }: ShownRow,
  isCurrent: boolean,
  isOpened: boolean,
  inspection: Inspection | null,
): HTMLElement {
  const unfolds = node.children.length > 0 || node.kind === "weight";
  const expanded = node.kind === "weight" ? isOpened : isOpen;
  const name = el(
    "td",
    { class: `architecture-name ${node.kind}`, attrs: { role: "gridcell" } },
    el("span", { class: unfolds ? "chevron" : "no-chevron", attrs: { "aria-hidden": "true" } }),
    el("span", { class: "mono" }, node.label),
    node.kind === "weight" ? null : el("span", { class: "architecture-detail mono muted" }, node.detail),
  );
  name.style.paddingInlineStart = `${(level - 1) * 14}px`;
  const cell = (text: string, kind = "number", title = "") =>
    el("td", { class: kind, ...(title && { title }), attrs: { role: "gridcell" } }, text);
  const share = el("td", { class: "share", attrs: { role: "gridcell" } });
  if (node.parameters > 0)
    share.append(bar(node.share), el("span", { class: "share-text" }, formatPercent(node.share)));
  return el(
    "tr",
    {
      title: titleOf(node, inspection),
      attrs: {
        role: "row",
        tabindex: isCurrent ? 0 : -1,
        "aria-level": level,
        "aria-posinset": position,
        "aria-setsize": siblings,
        "aria-expanded": unfolds ? String(expanded) : null,
      },
    },
    name,
    cell(node.shape ? formatShape(node.shape) : ""),
    cell(node.dtype, "number muted"),
    cell(node.parameters > 0 ? formatCount(node.parameters) : ""),
    share,
    cell(node.bytes > 0 ? formatBytes(node.bytes) : "", "number", t("{0} bytes", formatCount(node.bytes))),
  );
}

function titleOf(node: ArchitectureNode, inspection: Inspection | null): string {
  if (node.kind === "module") return node.detail;
  const trace = node.kind === "value" && inspection ? `\n${traceText(inspection)}` : "";
  const error =
    node.relativeError === null ? "" : `\n${t("quantization error {0}", formatPercent(node.relativeError))}`;
  return `${node.name} ${node.shape ? formatShape(node.shape) : ""}\n${node.detail}${error}${trace}`;
}

function bar(share: number): HTMLElement {
  const inner = el("span", { class: "share-fill" });
  inner.style.width = `${100 * share}%`;
  return el("span", { class: "share-track", attrs: { "aria-hidden": "true" } }, inner);
}
