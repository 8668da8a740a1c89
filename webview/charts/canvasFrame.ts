/** What pictures on a canvas share: it scrolls in a focusable box, and below it stands what the user points at. */

import { el } from "../base/dom";

/** `kind` is what screen readers call the picture, such as "heatmap". */
export function createCanvasFrame(kind: string) {
  const canvas = el("canvas", { class: "heatmap-canvas" });
  const spacer = el("div", { class: "heatmap-spacer" }, canvas);
  const scroller = el(
    "div",
    { class: "heatmap-scroller", attrs: { tabindex: 0, role: "application", "aria-roledescription": kind } },
    spacer,
  );
  const readout = el("div", { class: "readout", attrs: { "aria-hidden": "true" } });
  const foot = el("div", { class: "heatmap-foot" }, readout);
  const spoken = el("div", { class: "visually-hidden", attrs: { role: "status" } });
  const node = el("div", { class: "heatmap" }, scroller, foot, spoken);
  return { canvas, spacer, scroller, readout, foot, spoken, node };
}

let barSize: number | undefined;

/** How wide the scroll bar of a picture is; 0 where scroll bars lie over what they scroll. */
export function scrollBarSize(): number {
  // Measuring lays the page out, and pictures ask at every change.
  barSize ??= measuredBar();
  return barSize;
}

function measuredBar(): number {
  const probe = el("div", { class: "heatmap-scroller" });
  probe.style.cssText = "position: absolute; visibility: hidden; width: 50px; overflow: scroll";
  document.body.append(probe);
  const size = probe.offsetWidth - probe.clientWidth;
  probe.remove();
  return size;
}
