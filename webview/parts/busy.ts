/** Says in place that a part of a view is computed: beside its title, and to screen readers. */

import "./busy.css";
import { el, fill, setAttr } from "../base/dom";
import { t } from "../base/strings";

/** `note` is what is said of the title once the part is there. */
export function tellBusy(part: HTMLElement, heading: HTMLElement, title: string, isBusy: boolean, note = ""): void {
  setAttr(part, "aria-busy", isBusy ? "true" : null);
  const said = isBusy ? t("computing…") : note;
  fill(heading, title, said !== "" && el("span", { class: "number" }, said));
}

/**
 * What a part shows: while what is chosen is `computed`, what was shown before stands there, pale and said to be old;
 * where it `failed`, nothing does.
 */
export function tellAwaited(part: HTMLElement, state: "computed" | "there" | "failed"): void {
  part.classList.add("awaited");
  part.dataset.awaited = t("computing…");
  setAttr(part, "aria-busy", state === "computed" ? "true" : null);
  if (state !== "computed") part.classList.toggle("failed", state === "failed");
}
