import { el } from "../base/dom";

/** A text area of one line. `submit` is called on Enter; Shift+Enter breaks the line. */
export function createPrompt(label: string, placeholder: string, submit?: () => void): HTMLTextAreaElement {
  const node = el("textarea", {
    class: "prompt",
    attrs: { rows: 1, spellcheck: "false", "aria-label": label, placeholder },
  });
  if (submit) {
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    });
  }
  return node;
}
