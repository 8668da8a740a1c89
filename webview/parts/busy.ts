/** Says in place that a part of a view is computed: beside its title, and to screen readers. */

import { el, fill, setAttr } from "../dom";
import { t } from "../strings";

/** `note` is what is said of the title once the part is there. */
export function tellBusy(part: HTMLElement, heading: HTMLElement, title: string, isBusy: boolean, note = ""): void {
  setAttr(part, "aria-busy", isBusy ? "true" : null);
  const said = isBusy ? t("computing…") : note;
  fill(heading, title, said !== "" && el("span", { class: "number" }, said));
}
