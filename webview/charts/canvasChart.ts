/** The parts that all charts on a canvas share: a focusable box that scrolls, pointer and keyboard, and a readout. */

import { el, setAttr, uniqueId } from "../base/dom";
import { onThemeChange } from "../base/theme";
import type { Point } from "./pen";

/** A chart; `Target` is what the pointer or the keyboard is on, such as a cell or a row. */
interface CanvasChartOptions<Target> {
  /** Read by screen readers, such as "heatmap". */
  readonly kind: string;
  /** Returns whether there is something to draw; until then, nothing else is called. */
  readonly hasData: () => boolean;
  /** Sizes the box for the width of the page, and draws. */
  readonly layout: () => void;
  /** Draws what is scrolled into view. */
  readonly draw: () => void;
  /** Draws again when only the target has changed. */
  readonly drawTarget?: () => void;
  /** The target at a point of the box; null beside all targets. */
  readonly targetAt: (x: number, y: number) => Target | null;
  /** Target at which the keyboard starts. */
  readonly start: () => Target | null;
  /** Target that a key moves to; null for keys that do not move. */
  readonly move: (from: Target, event: KeyboardEvent) => Target | null;
  readonly scrollTo?: (target: Target) => void;
  readonly describe: (target: Target) => string;
  /** Draws the target and what is near it in a larger size; returns false where the chart is large enough. */
  readonly magnify?: (canvas: HTMLCanvasElement, target: Target) => boolean;
  /** Called for a target that is clicked or chosen with Enter or Space. */
  readonly pick: (target: Target) => void;
  /** For targets that are controls in a grid: screen readers get each cell with its position. */
  readonly grid?: TargetGrid<Target>;
}

interface TargetGrid<Target> {
  readonly size: () => { readonly rows: number; readonly cols: number };
  readonly cell: (target: Target) => { readonly row: number; readonly col: number };
  /** Called for a right-click, the menu key and Shift+F10. */
  readonly menu: (target: Target) => void;
}

export interface CanvasChart<Target> {
  readonly node: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly scroller: HTMLElement;
  readonly legend: HTMLElement;
  readonly target: () => Target | null;
  /** Shows other data, under its accessible name. */
  readonly show: (name: string) => void;
  /** Sizes the content, and the part of it that is in view. */
  readonly resize: (content: Size, view: Size) => void;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

export function createCanvasChart<Target>(options: CanvasChartOptions<Target>): CanvasChart<Target> {
  const canvas = el("canvas", { class: "heatmap-canvas" });
  const spacer = el("div", { class: "heatmap-spacer" }, canvas);
  const { grid } = options;
  const roles = grid ? { role: "grid" } : { role: "application", "aria-roledescription": options.kind };
  const scroller = el("div", { class: "heatmap-scroller", attrs: { tabindex: 0, ...roles } }, spacer);
  const spoken = grid && createSpokenCell(scroller, grid);
  const legend = el("div", { class: "legend" });
  const readout = el("div", { class: "readout", attrs: { "aria-hidden": "true" } });
  const status = el("div", { class: "visually-hidden", attrs: { role: "status" } });
  const tip = createTip();
  const foot = el("div", { class: "heatmap-foot" }, legend, readout);
  const node = el("div", { class: "heatmap" }, scroller, foot, tip.node, status);
  let target: Target | null = null;

  const isReady = () => options.hasData() && node.clientWidth > 0;
  const draw = () => {
    if (isReady()) options.draw();
  };
  const layout = () => {
    if (isReady()) options.layout();
  };
  /** Describes a target below the chart, or in a tooltip where the pointer is. */
  const describe = (next: Target | null, at?: Point): string => {
    target = next;
    const text = next === null ? "" : options.describe(next);
    readout.textContent = at ? "" : text;
    const isMagnified = next !== null && at !== undefined && (options.magnify?.(tip.lens, next) ?? false);
    tip.show(at ? text : "", isMagnified, at);
    // The legend and the readout share a line, so that nothing moves.
    legend.hidden = readout.textContent !== "";
    return text;
  };
  const point = (next: Target | null, announce = false, at?: Point) => {
    if (!announce && JSON.stringify(next) === JSON.stringify(target)) return tip.move(at);
    const text = describe(next, at);
    if (announce && spoken && next !== null) spoken.show(next, text);
    else if (announce) status.textContent = text;
    if (isReady()) (options.drawTarget ?? options.draw)();
  };

  scroller.addEventListener("scroll", () => requestAnimationFrame(draw));
  scroller.addEventListener("pointermove", ({ clientX, clientY }) => {
    if (!isReady()) return;
    const { left, top } = scroller.getBoundingClientRect();
    point(options.targetAt(clientX - left, clientY - top), false, [clientX, clientY]);
  });
  scroller.addEventListener("pointerleave", () => point(null));
  scroller.addEventListener("blur", () => point(null));
  scroller.addEventListener("click", () => target !== null && options.pick(target));
  scroller.addEventListener("focus", () => {
    if (isReady() && target === null && scroller.matches(":focus-visible")) point(options.start(), true);
  });
  scroller.addEventListener("keydown", (event) => {
    const from = isReady() ? (target ?? options.start()) : null;
    if (from === null) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return options.pick(from);
    }
    const to = options.move(from, event);
    if (to === null) return;
    event.preventDefault();
    options.scrollTo?.(to);
    point(to, true);
  });
  if (grid) {
    scroller.addEventListener("contextmenu", (event) => {
      const at = isReady() ? (target ?? options.start()) : null;
      if (at === null) return;
      event.preventDefault();
      grid.menu(at);
    });
  }
  new ResizeObserver(layout).observe(node);
  onThemeChange(layout);

  return {
    node,
    canvas,
    scroller,
    legend,
    target: () => target,
    show(name) {
      // The cell that was just changed is described with its new state.
      const kept = spoken && target !== null && isReady() ? target : null;
      const text = describe(kept);
      if (spoken && kept !== null) spoken.show(kept, text);
      setAttr(scroller, "aria-label", name);
      layout();
    },
    resize(content, view) {
      spacer.style.width = `${content.width}px`;
      spacer.style.height = `${content.height}px`;
      scroller.style.width = `${view.width}px`;
      scroller.style.height = `${view.height}px`;
    },
  };
}

/** Space between the pointer and its tooltip, and between the tooltip and the edges of the page, in pixels. */
const TIP_SPACE = 14;

/**
 * A description beside the pointer, always inside the page. Screen readers get the same from the keyboard. It is a
 * popover, because a fixed box is placed in, and cut by, an ancestor that is a container.
 */
function createTip() {
  const text = el("div", {});
  const lens = el("canvas");
  const node = el("div", { class: "tip", attrs: { popover: "manual", "aria-hidden": "true" } }, lens, text);
  let isOpen = false;
  const move = (at?: Point) => {
    if (!at || !isOpen) return;
    const { width, height } = node.getBoundingClientRect();
    const [x, y] = at;
    const right = window.innerWidth - width - TIP_SPACE;
    const isBelow = y + TIP_SPACE + height < window.innerHeight;
    node.style.left = `${Math.max(0, Math.min(x + TIP_SPACE, right))}px`;
    node.style.top = `${Math.max(0, isBelow ? y + TIP_SPACE : y - TIP_SPACE - height)}px`;
  };
  return {
    node,
    lens,
    move,
    show(content: string, isMagnified: boolean, at?: Point) {
      text.textContent = content;
      lens.hidden = !isMagnified;
      if (isOpen !== (content !== "")) node.togglePopover();
      isOpen = content !== "";
      move(at);
    },
  };
}

/** The cell of a grid that the keyboard is on, for screen readers: the cells themselves are only drawn. */
function createSpokenCell<Target>(scroller: HTMLElement, { size, cell }: TargetGrid<Target>) {
  const node = el("span", { id: uniqueId("cell"), attrs: { role: "gridcell" } });
  const row = el("span", { class: "visually-hidden", attrs: { role: "row" } }, node);
  scroller.append(row);
  return {
    show(target: Target, text: string) {
      const { rows, cols } = size();
      const at = cell(target);
      setAttr(scroller, "aria-rowcount", rows);
      setAttr(scroller, "aria-colcount", cols);
      setAttr(scroller, "aria-activedescendant", node.id);
      setAttr(row, "aria-rowindex", at.row + 1);
      setAttr(node, "aria-colindex", at.col + 1);
      node.textContent = text;
    },
  };
}

let barSize: number | undefined;

/** Width of a chart's scroll bar in pixels; 0 where scroll bars overlay the content. */
export function scrollBarSize(): number {
  // Measuring forces a layout of the page, so it happens once.
  barSize ??= measureScrollBar();
  return barSize;
}

function measureScrollBar(): number {
  const probe = el("div", { class: "heatmap-scroller" });
  probe.style.cssText = "position: absolute; visibility: hidden; width: 50px; overflow: scroll";
  document.body.append(probe);
  const size = probe.offsetWidth - probe.clientWidth;
  probe.remove();
  return size;
}
