/** The Explorer's navigation and the one or two views that it shows. A view is made when it is first opened. */

import { el, setAttr, uniqueId } from "../base/dom";
import type { Store } from "../base/store";
import { t } from "../base/strings";
import { needsModel } from "../trace/fromFile";
import type { Inspection, View, ViewContext } from "../trace/inspection";
import { createPane } from "./pane";
import { type ViewKind, viewKinds } from "./registry";

/** Which views are shown: `view`, and `beside` if it is not empty. */
export interface Layout {
  readonly view: string;
  readonly beside: string;
}

interface Place {
  readonly kind: ViewKind;
  readonly tab: HTMLElement;
  readonly panel: HTMLElement;
  /** Why it has nothing to show. */
  readonly missing: HTMLElement;
  view: View | null;
  /** What the view shows; older than what it should where it was hidden since. */
  shown: Inspection | null;
}

export interface ViewPanes {
  readonly node: HTMLElement;
  readonly open: (id: string) => void;
  readonly show: (inspection: Inspection) => void;
}

export function createViewPanes<L extends Layout>(
  layout: Store<L>,
  context: Omit<ViewContext, "section">,
  kinds: readonly ViewKind[] = viewKinds,
): ViewPanes {
  let inspection: Inspection | null = null;
  /** The view that the next one replaces. */
  let active = "";
  const set = (next: Layout) => layout.set(next as Partial<L>);
  const isShown = (id: string) => [layout.get().view, layout.get().beside].includes(id);

  const nav = el("div", {
    class: "view-tabs",
    attrs: { role: "tablist", "aria-label": t("Views"), "aria-multiselectable": "true" },
  });
  const places = kinds.map((kind, i): Place => {
    const id = uniqueId("view");
    const key = keyOf(i);
    const tab = el(
      "button",
      {
        class: "view-tab",
        id: `${id}-tab`,
        title: key ? t("{0} (key {1}; with Shift beside the other)", kind.title(), key) : kind.title(),
        attrs: { type: "button", role: "tab", "aria-controls": id, "aria-keyshortcuts": key },
        on: { click: (event) => open(kind.id, event.shiftKey) },
      },
      kind.title(),
    );
    const panel = el("div", { class: "pane", id, attrs: { role: "tabpanel", "aria-labelledby": `${id}-tab` } });
    panel.addEventListener("focusin", () => {
      active = kind.id;
    });
    const missing = el("p", { class: "missing muted" });
    return { kind, tab, panel, missing, view: null, shown: null };
  });
  nav.append(...places.map(({ tab }) => tab));

  const split = el("button", { class: "action split", attrs: { type: "button" }, on: { click: () => toggleSplit() } });
  const panels = el("div", { class: "panes" }, ...places.map(({ panel }) => panel));
  const node = el("div", { class: "views" }, el("nav", { attrs: { "aria-label": t("Views") } }, nav, split), panels);
  /** What was beside before one view was maximized. */
  let lastBeside = "";

  const open = (id: string, beside = false) => {
    if (!places.some(({ kind }) => kind.id === id)) return;
    const now = layout.get();
    if (isShown(id)) {
      active = id;
      focusTab(id);
      return;
    }
    if (beside) set({ view: now.view, beside: id });
    else if (now.beside !== "" && active === now.beside) set({ view: now.view, beside: id });
    else set({ view: id, beside: now.beside });
    active = id;
    focusTab(id);
  };
  const maximize = (id: string) => {
    const { view, beside } = layout.get();
    lastBeside = id === view ? beside : view;
    set({ view: id, beside: "" });
  };
  const toggleSplit = () => {
    const { view, beside } = layout.get();
    if (beside !== "") return maximize(view);
    const known = places.some(({ kind }) => kind.id === lastBeside) && lastBeside !== view;
    const other = known ? lastBeside : (places.find(({ kind }) => kind.id !== view)?.kind.id ?? "");
    set({ view, beside: other });
  };

  const focusTab = (id: string) => {
    for (const { kind, tab } of places) tab.tabIndex = kind.id === id ? 0 : -1;
  };

  const make = (place: Place): View => {
    const pane = createPane(place.kind.title(), () => isShown(place.kind.id));
    pane.tools.append(
      el(
        "button",
        {
          class: "action maximize",
          attrs: { type: "button" },
          on: {
            click: () => {
              maximize(place.kind.id);
              // The button is gone then.
              place.tab.focus();
            },
          },
        },
        t("Maximize"),
      ),
    );
    const view = place.kind.create({ ...context, section: () => pane });
    place.panel.append(view.section.node, place.missing);
    return view;
  };

  const draw = () => {
    const { view, beside } = layout.get();
    for (const place of places) {
      const { id } = place.kind;
      const visible = isShown(id);
      place.panel.hidden = !visible;
      setAttr(place.tab, "aria-selected", String(visible));
      place.panel.classList.toggle("beside", id === beside && id !== view);
      if (!visible) continue;
      place.view ??= make(place);
      if (inspection && place.shown !== inspection) {
        place.shown = inspection;
        const missing = place.kind.needsModel ? needsModel(inspection) : "";
        place.missing.textContent = missing;
        place.view.section.body.hidden = missing !== "";
        if (missing === "") place.view.show(inspection);
        else place.view.section.summarize("");
      }
    }
    const isSplit = beside !== "";
    panels.classList.toggle("split", isSplit);
    split.textContent = isSplit ? t("One view") : t("Two views");
    setAttr(split, "aria-pressed", String(isSplit));
  };

  nav.addEventListener("keydown", (event) => {
    const at = places.findIndex(({ tab }) => tab === document.activeElement);
    const to = moveTab(event.key, at, places.length);
    if (to === null) return;
    event.preventDefault();
    focusTab(places[to]?.kind.id ?? "");
    places[to]?.tab.focus();
  });
  document.addEventListener("keydown", (event) => {
    const [target] = event.composedPath();
    if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const place = places[placeOfKey(event.code)];
    if (place) open(place.kind.id, event.shiftKey);
  });

  // What was remembered may name a view that is no more.
  const remembered = layout.get();
  const known = (id: string) => places.some(({ kind }) => kind.id === id);
  const view = known(remembered.view) ? remembered.view : (places[0]?.kind.id ?? "");
  const beside = known(remembered.beside) && remembered.beside !== view ? remembered.beside : "";
  set({ view, beside });
  active = view;
  focusTab(view);
  draw();
  layout.subscribe((now, before) => {
    if (now.view !== before.view || now.beside !== before.beside) draw();
  });

  return {
    node,
    open,
    show(next) {
      inspection = next;
      draw();
    },
  };
}

/** The digit that opens a view: 1 to 9, then 0; none for more. */
const keyOf = (place: number): string | null => (place < 10 ? String((place + 1) % 10) : null);

/** The view that a key opens, by its place on the keyboard, so that Shift does not change it; -1 for other keys. */
function placeOfKey(code: string): number {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  return digit === undefined ? -1 : (Number(digit) + 9) % 10;
}

/** The tab that a key moves to, from one to the other end; null for other keys. */
function moveTab(key: string, from: number, count: number): number | null {
  if (from < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return (from + 1) % count;
  if (key === "ArrowLeft" || key === "ArrowUp") return (from + count - 1) % count;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : null;
}
