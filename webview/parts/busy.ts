/** Shows, in a view and to screen readers, that a part of it is being computed. */

import "./busy.css";
import { el, fill, setAttr } from "../base/dom";
import { t } from "../base/strings";

/** Writes a heading with "computing…" beside its title, or with `note` when the part is done. */
export function setBusy(part: HTMLElement, heading: HTMLElement, title: string, isBusy: boolean, note = ""): void {
  setAttr(part, "aria-busy", isBusy ? "true" : null);
  const text = isBusy ? t("computing…") : note;
  fill(heading, title, text !== "" && el("span", { class: "number" }, text));
}

/** While a part is `computing`, it shows its former content, grayed out and labeled; if it `failed`, it shows nothing. */
export function setPending(part: HTMLElement, state: "computing" | "done" | "failed"): void {
  part.classList.add("awaited");
  part.dataset.awaited = t("computing…");
  setAttr(part, "aria-busy", state === "computing" ? "true" : null);
  if (state !== "computing") part.classList.toggle("failed", state === "failed");
}
