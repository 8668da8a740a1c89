/** The queue of runs, with buttons to start, move and remove each. */

import type { QueueChange, RunQueueState } from "../../../src/protocol/webviewApi";
import { el, fill } from "../../base/dom";
import { t } from "../../base/strings";
import { button } from "../../base/toolkit";

export interface QueueView {
  readonly node: HTMLElement;
  readonly show: (queue: RunQueueState) => void;
}

export function createQueueView(change: (id: number, change: QueueChange) => void, resume: () => void): QueueView {
  const list = el("ol", { class: "queue" });
  const reason = el("p", { attrs: { role: "status" } });
  const held = el("div", { class: "queue-held" }, reason, button(t("Resume queue"), resume, "primary"));
  const node = el(
    "section",
    { class: "panel", attrs: { "aria-label": t("Queue") } },
    el("h2", { class: "panel-title" }, t("Queue")),
    held,
    list,
  );
  const action = (id: number, name: string, label: string, kind: QueueChange) =>
    el(
      "button",
      {
        class: "action",
        attrs: { type: "button", "aria-label": `${label}: ${name}` },
        on: { click: () => change(id, kind) },
      },
      label,
    );
  let shown: RunQueueState | null = null;
  return {
    node,
    show(queue) {
      node.hidden = queue.waiting.length === 0;
      if (queue === shown) return;
      shown = queue;
      held.hidden = queue.held === null;
      reason.textContent = queue.held ?? "";
      fill(
        list,
        ...queue.waiting.map(({ id, name, preset, about }, i) =>
          el(
            "li",
            {},
            el("span", { class: "queue-name" }, name),
            el("span", { class: "muted" }, [t("preset {0}", preset), about].filter(Boolean).join(" · ")),
            action(id, name, t("Start now"), "now"),
            i > 0 && action(id, name, t("Move up"), "up"),
            i < queue.waiting.length - 1 && action(id, name, t("Move down"), "down"),
            action(id, name, t("Remove"), "remove"),
          ),
        ),
      );
    },
  };
}
