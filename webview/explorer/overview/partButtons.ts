/** The parts of the picture as buttons over it: pointer, keyboard and screen readers use the same ones. */

import { el } from "../../base/dom";
import { createTooltip } from "../../parts/tooltip";
import { nextPart, type Part } from "./parts";

export interface PartButtons {
  readonly node: HTMLElement;
  readonly show: (parts: readonly Part[]) => void;
}

/** `point` is called for the part that the pointer or the focus is on, and with null when there is none. */
export function createPartButtons(
  label: string,
  open: (part: Part) => void,
  point: (part: Part | null) => void,
): PartButtons {
  const tooltip = createTooltip();
  const node = el("div", { class: "overview-parts", attrs: { role: "group", "aria-label": label } });
  let parts: readonly Part[] = [];
  let buttons: readonly HTMLButtonElement[] = [];
  /** The part that Tab reaches; arrow keys move it. */
  let stop = 0;

  const moveStop = (to: number) => {
    buttons[stop]?.setAttribute("tabindex", "-1");
    stop = to;
    buttons[stop]?.setAttribute("tabindex", "0");
  };
  const enter = (part: Part, button: HTMLElement) => {
    tooltip.show(part.text, button);
    point(part);
  };
  const leave = () => {
    tooltip.hide();
    point(null);
  };
  const buttonOf = (part: Part, index: number) => {
    const button = el("button", {
      class: "overview-part",
      attrs: { type: "button", tabindex: -1, "aria-label": part.text.replaceAll("\n", "; ") },
      on: {
        click: () => open(part),
        pointerenter: () => enter(part, button),
        pointerleave: leave,
        focus() {
          moveStop(index);
          if (button.matches(":focus-visible")) enter(part, button);
        },
        blur: leave,
      },
    });
    const { x, y, width, height } = part.box;
    button.style.left = `${x}px`;
    button.style.top = `${y}px`;
    button.style.width = `${width}px`;
    button.style.height = `${height}px`;
    return button;
  };
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return tooltip.hide();
    const from = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const boxes = parts.map(({ box }) => box);
    const to = nextPart(boxes, from, event.key);
    if (to === null) return;
    event.preventDefault();
    buttons[to]?.focus();
  });

  return {
    node,
    show(next) {
      const hadFocus = node.contains(document.activeElement);
      leave();
      parts = next;
      buttons = next.map(buttonOf);
      node.replaceChildren(...buttons, tooltip.node);
      moveStop(Math.min(stop, Math.max(0, buttons.length - 1)));
      if (hadFocus) buttons[stop]?.focus();
    },
  };
}
