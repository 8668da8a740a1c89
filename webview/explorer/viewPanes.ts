/** The tabs of the views, and the one or two views that are shown. A view is created when it is first opened. */

import { el, setAttr, uniqueId } from "../base/dom";
import type { Store } from "../base/store";
import { t } from "../base/strings";
import { needsModel } from "../trace/fromFile";
import type { Inspection, View, ViewContext } from "../trace/inspection";
import { createPane } from "./pane";
import { type ViewKind, viewKinds } from "./registry";

/** The views that are shown: `view`, and `beside` unless it is empty. */
export interface Layout {
  readonly view: string;
  readonly beside: string;
}

/** A view with its tab and its panel. */
interface Slot {
  readonly kind: ViewKind;
  readonly tab: HTMLElement;
  readonly panel: HTMLElement;
  /** Says why the view has nothing to show. */
  readonly missing: HTMLElement;
  view: View | null;
  /** The trace that the view shows. A hidden view is updated when it becomes visible. */
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
  /** The view that the next one opened will replace. */
  let active = "";
  const set = (next: Layout) => layout.set(next as Partial<L>);
  const isShown = (id: string) => [layout.get().view, layout.get().beside].includes(id);

  const nav = el("div", {
    class: "view-tabs",
    attrs: { role: "tablist", "aria-label": t("Views"), "aria-multiselectable": "true" },
  });
  const slots = kinds.map((kind, i): Slot => {
    const id = uniqueId("view");
    const key = keyOf(i);
    const tab = el(
      "button",
      {
        class: "view-tab",
        id: `${id}-tab`,
        title: key ? t("{0} ({1}; Shift+{1} opens it beside the other view)", kind.title(), key) : kind.title(),
        attrs: {
          type: "button",
          role: "tab",
          "aria-controls": id,
          "aria-keyshortcuts": key,
          "data-title": kind.title(),
        },
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
  nav.append(...slots.map(({ tab }) => tab));

  const split = el("button", { class: "action split", attrs: { type: "button" }, on: { click: () => toggleSplit() } });
  const panels = el("div", { class: "panes" }, ...slots.map(({ panel }) => panel));
  const node = el("div", { class: "views" }, el("nav", { attrs: { "aria-label": t("Views") } }, nav, split), panels);
  /** The second view before one was maximized. */
  let lastBeside = "";

  const open = (id: string, beside = false) => {
    if (!slots.some(({ kind }) => kind.id === id)) return;
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
    const known = slots.some(({ kind }) => kind.id === lastBeside) && lastBeside !== view;
    const other = known ? lastBeside : (slots.find(({ kind }) => kind.id !== view)?.kind.id ?? "");
    set({ view, beside: other });
  };

  const focusTab = (id: string) => {
    for (const { kind, tab } of slots) tab.tabIndex = kind.id === id ? 0 : -1;
  };

  const create = (slot: Slot): View => {
    const pane = createPane(slot.kind.title(), () => isShown(slot.kind.id));
    pane.tools.append(
      el(
        "button",
        {
          class: "action maximize",
          attrs: { type: "button" },
          on: {
            click: () => {
              maximize(slot.kind.id);
              // The button disappears.
              slot.tab.focus();
            },
          },
        },
        t("Maximize"),
      ),
    );
    const view = slot.kind.create({ ...context, section: () => pane });
    slot.panel.append(view.section.node, slot.missing);
    return view;
  };

  /** A narrow row of tabs scrolls. */
  const showOpenTabs = () => {
    for (const { kind, tab } of slots)
      if (isShown(kind.id)) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  new ResizeObserver(showOpenTabs).observe(nav);

  const draw = () => {
    const { view, beside } = layout.get();
    for (const slot of slots) {
      const { id } = slot.kind;
      const visible = isShown(id);
      slot.panel.hidden = !visible;
      setAttr(slot.tab, "aria-selected", String(visible));
      slot.panel.classList.toggle("beside", id === beside && id !== view);
      if (!visible) continue;
      slot.view ??= create(slot);
      if (inspection && slot.shown !== inspection) {
        slot.shown = inspection;
        const missing = slot.kind.needsModel ? needsModel(inspection) : "";
        slot.missing.textContent = missing;
        slot.view.section.body.hidden = missing !== "";
        if (missing === "") slot.view.show(inspection);
        else slot.view.section.summarize("");
      }
    }
    showOpenTabs();
    const isSplit = beside !== "";
    panels.classList.toggle("split", isSplit);
    split.textContent = isSplit ? t("One view") : t("Two views");
    setAttr(split, "aria-pressed", String(isSplit));
  };

  nav.addEventListener("keydown", (event) => {
    const at = slots.findIndex(({ tab }) => tab === document.activeElement);
    const to = moveTab(event.key, at, slots.length);
    if (to === null) return;
    event.preventDefault();
    const next = slots[to] as Slot;
    next.tab.focus();
    open(next.kind.id);
  });
  document.addEventListener("keydown", (event) => {
    const [target] = event.composedPath();
    if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const slot = slots[indexOfKey(event.code)];
    if (slot) open(slot.kind.id, event.shiftKey);
  });

  // The saved state may name a view that no longer exists.
  const remembered = layout.get();
  const known = (id: string) => slots.some(({ kind }) => kind.id === id);
  const view = known(remembered.view) ? remembered.view : (slots[0]?.kind.id ?? "");
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

/** The digit that opens a view: 1 to 9, then 0; further views have none. */
const keyOf = (index: number): string | null => (index < 10 ? String((index + 1) % 10) : null);

/** The index of the view that a physical key opens, with or without Shift; -1 for other keys. */
function indexOfKey(code: string): number {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  return digit === undefined ? -1 : (Number(digit) + 9) % 10;
}

/** The tab that a key moves to, wrapping around at the ends; null for other keys. */
function moveTab(key: string, from: number, count: number): number | null {
  if (from < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return (from + 1) % count;
  if (key === "ArrowLeft" || key === "ArrowUp") return (from + count - 1) % count;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : null;
}
