/** Notices in place of a trace, with buttons for what to do next. */

import type { Action, InspectorEvents } from "../../src/protocol/webviewApi";
import { el } from "../base/dom";
import { t } from "../base/strings";
import { button } from "../base/toolkit";

type Act = (action: Action["id"]) => void;

const actionButton = ({ id, label }: Action, act: Act, isMain: boolean) =>
  button(label, () => act(id), isMain ? "primary" : "secondary");

/** An error with its buttons. The main one restarts the engine if it has exited, runs a text that works, or tries again. */
export function problemNotice(
  { message, action, suggestion }: InspectorEvents["problem"],
  act: Act,
  { retry, run }: { readonly retry: () => void; readonly run: (text: string) => void },
): Element[] {
  const restarts = action?.id === "restartEngine";
  const kind = restarts ? "secondary" : "primary";
  const again =
    suggestion === undefined
      ? button(t("Retry"), retry, kind)
      : button(t("Try “{0}”", suggestion), () => run(suggestion), kind);
  const other = action && actionButton(action, act, restarts);
  const buttons = restarts ? [other, again] : [again, other];
  return [
    el("div", { class: "problem", attrs: { role: "alert" } }, el("p", {}, message)),
    el("div", { class: "buttons" }, ...buttons),
  ];
}

/** An empty state with its reason and ways to start. */
export function emptyNotice({ reason, actions }: InspectorEvents["empty"], act: Act): Element {
  const buttons = actions.map((action, i) => actionButton(action, act, i === 0));
  return el("div", { class: "empty" }, el("p", {}, reason), el("div", { class: "buttons" }, ...buttons));
}

/** A note about the trace that is shown. */
export const noteNotice = (note: string): Element => el("p", { class: "small", attrs: { role: "status" } }, note);
