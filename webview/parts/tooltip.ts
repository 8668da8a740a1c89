/** A tooltip that appears at once beside a part of a picture. Screen readers get its text from the part's name. */

import "./tooltip.css";
import { el } from "../base/dom";

export interface Tooltip {
  readonly node: HTMLElement;
  readonly show: (text: string, beside: Element) => void;
  readonly hide: () => void;
}

const GAP = 6;

/** Creates a hidden tooltip; `node` belongs into the picture. */
export function createTooltip(): Tooltip {
  const node = el("div", { class: "tooltip", attrs: { role: "presentation", "aria-hidden": "true", hidden: true } });
  return {
    node,
    show(text, beside) {
      node.textContent = text;
      node.hidden = false;
      const { left, right, top, bottom } = beside.getBoundingClientRect();
      const { offsetWidth, offsetHeight } = node;
      const below = bottom + GAP;
      const y = below + offsetHeight <= window.innerHeight ? below : top - GAP - offsetHeight;
      const x = (left + right - offsetWidth) / 2;
      node.style.left = `${Math.max(GAP, Math.min(x, window.innerWidth - offsetWidth - GAP))}px`;
      node.style.top = `${Math.max(GAP, y)}px`;
    },
    hide() {
      node.hidden = true;
    },
  };
}
