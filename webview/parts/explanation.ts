/** Sentences that explain a picture. Once the user has read and closed them, an info button opens them again. */

import "./explanation.css";
import { el, setAttr, uniqueId } from "../base/dom";
import type { Store } from "../base/store";
import { t } from "../base/strings";

/** Ids of the explanations that are closed, separated by spaces. */
export interface ReadExplanations {
  readonly read: string;
}

export interface Explanation {
  readonly node: HTMLElement;
  readonly say: (text: string) => void;
}

/** Creates an explanation that `memory` keeps closed under its id. */
export function createExplanation(id: string, memory: Store<ReadExplanations> | undefined, text = ""): Explanation {
  const paragraph = el("p", { class: "small muted", id: uniqueId("explanation") }, text);
  const known = () => (memory?.get().read ?? "").split(" ").filter((each) => each !== "");
  let isOpen = !known().includes(id);
  const button = el(
    "button",
    {
      class: "info-button",
      title: t("Explanation"),
      attrs: { type: "button", "aria-label": t("Explanation"), "aria-controls": paragraph.id },
      on: {
        click() {
          isOpen = !isOpen;
          const others = known().filter((each) => each !== id);
          memory?.set({ read: [...others, ...(isOpen ? [] : [id])].join(" ") });
          draw();
        },
      },
    },
    "i",
  );
  const draw = () => {
    paragraph.hidden = !isOpen;
    setAttr(button, "aria-expanded", String(isOpen));
  };
  draw();
  return {
    node: el("div", { class: "explanation" }, memory && button, paragraph),
    say(text) {
      paragraph.textContent = text;
    },
  };
}
