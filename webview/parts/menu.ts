/** A menu of actions at a point of the page, as VS Code's context menus. */

import "./menu.css";
import { el } from "../base/dom";
import { moveIndex } from "../charts/navigation";

export interface MenuItem {
  readonly label: string;
  readonly run: () => void;
}

/** Opens a menu whose top is at a point of the window; when it closes, the focus returns to where it was. */
export function openMenu(label: string, items: readonly MenuItem[], [x, y]: readonly [x: number, y: number]): void {
  const opener = document.activeElement;
  const buttons = items.map(({ label, run }) =>
    el(
      "button",
      {
        class: "menu-item",
        attrs: { type: "button", role: "menuitem", tabindex: -1 },
        on: {
          click() {
            close();
            run();
          },
        },
      },
      label,
    ),
  );
  const menu = el("div", { class: "menu", attrs: { role: "menu", "aria-label": label } }, ...buttons);
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    document.removeEventListener("pointerdown", closeOutside, true);
    const hadFocus = menu.contains(document.activeElement);
    menu.remove();
    if (hadFocus && opener instanceof HTMLElement) opener.focus({ preventScroll: true });
  };
  const closeOutside = ({ target }: Event) => {
    if (!(target instanceof Node && menu.contains(target))) close();
  };
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") return;
    event.preventDefault();
    // Keys of the page, such as those that open views, do not apply to the menu.
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") return close();
    const from = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const to = moveIndex(event.key, from, buttons.length);
    if (to !== null) buttons[to]?.focus();
  });
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && menu.contains(relatedTarget))) close();
  });
  document.addEventListener("pointerdown", closeOutside, true);
  // Inside the landmark of the page, where screen readers look for content.
  (document.querySelector("main") ?? document.body).append(menu);
  const { offsetWidth, offsetHeight } = menu;
  menu.style.left = `${Math.max(0, Math.min(x, window.innerWidth - offsetWidth))}px`;
  menu.style.top = `${Math.max(0, Math.min(y, window.innerHeight - offsetHeight))}px`;
  buttons[0]?.focus();
}
