/** The shell that the Model Explorer and the Layer Inspector share: how a page starts, its progress bar and typed prompts. */

import type { TraceInfo } from "../../src/protocol/engineApi";
import type { Client } from "../../src/protocol/rpc";
import type { InspectorHost } from "../../src/protocol/webviewApi";
import { el, setAttr } from "../base/dom";
import { t, useStrings } from "../base/strings";
import { attentionSize } from "./attention/layout";
import type { Selection } from "./inspection";

/** A listener for each of the host's events. */
export type Listeners<Events> = { readonly [E in keyof Events]: (value: Events[E]) => void };

/**
 * Mounts a page once the host has answered `ready` with its strings. The host sends events right after that answer, so
 * those that arrive before the page is mounted are queued.
 */
export async function startPage<Api extends InspectorHost, Events>(
  host: Client<Api, Events>,
  events: readonly (keyof Events & string)[],
  mount: (follows: boolean) => Listeners<Events>,
): Promise<void> {
  let page: Listeners<Events> | null = null;
  const queue: ((page: Listeners<Events>) => void)[] = [];
  for (const name of events) {
    host.on(name, (value) => {
      if (page) page[name](value);
      else queue.push((mounted) => mounted[name](value));
    });
  }
  // TypeScript does not resolve a method of a generic Api; `ready` is the one of InspectorHost.
  const { strings, follow } = await (host as unknown as Client<InspectorHost>).call("ready", {});
  useStrings(strings);
  page = mount(follow);
  for (const deliver of queue) deliver(page);
}

/** A bar that is shown while the model runs; `main` says so to screen readers. */
export function createProgress(main: HTMLElement) {
  const node = el("div", {
    class: "progress",
    attrs: { role: "progressbar", "aria-label": t("Running the model") },
  });
  node.hidden = true;
  return {
    node,
    /** Shows the bar alone, for work that replaces nothing on the page. */
    show(isShown: boolean) {
      node.hidden = !isShown;
    },
    busy(isBusy: boolean) {
      node.hidden = !isBusy;
      setAttr(main, "aria-busy", String(isBusy));
    },
  };
}

/** Calls `submit` when typing pauses for `pause` ms, and at once on Enter; in a text area Shift+Enter breaks the line. */
export function submitTyped(field: HTMLElement, pause: number, submit: () => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const submitNow = () => {
    clearTimeout(timer);
    timer = undefined;
    submit();
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(submitNow, pause);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submitNow();
  });
  return { isPending: () => timer !== undefined };
}

/** The selection moved to a token of another trace, with its layer and head limited to those of that trace. */
export function selectionIn(trace: TraceInfo, token: number, { layer, head }: Selection): Selection {
  const { layers, heads } = attentionSize(trace);
  return {
    token,
    layer: Math.min(layer, Math.max(0, layers - 1)),
    head: Math.min(head, Math.max(0, heads - 1)),
  };
}
