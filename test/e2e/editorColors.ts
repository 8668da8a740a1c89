import type { Workbench } from "./workbench.ts";

/** The computed style of a decoration. */
export interface Drawn {
  readonly background: string;
  /** Borders above and below the text, such as `0px none` and `1px dotted`. */
  readonly above: string;
  readonly below: string;
}

/**
 * Returns what `read` finds in the decoration of each column in a line (1-based) of the active editor; undefined for
 * columns without one.
 */
export async function columnsOf<T>(
  { editor }: Workbench,
  line: number,
  read: (drawn: Drawn) => T | undefined,
): Promise<(T | undefined)[]> {
  const { length, decorations } = await editor.evaluate(decorationsOf, line);
  const columns: (T | undefined)[] = Array.from({ length });
  for (const { from, to, ...drawn } of decorations) {
    const value = read(drawn);
    if (value !== undefined) columns.fill(value, from, to);
  }
  return columns;
}

/** Runs in the page. The font is monospaced, so that the column follows from the position. */
function decorationsOf(editor: unknown, line: number) {
  const { getComputedStyle } = globalThis as unknown as PageGlobals;
  const all = (of: Element, selector: string) => [...of.querySelectorAll(selector)];
  const root = editor as Element;
  const number = all(root, ".line-numbers").find(({ textContent }) => textContent === String(line));
  const top = number?.parentElement.style.top;
  const text = all(root, ".view-line").find(({ style }) => style.top === top)?.firstElementChild;
  const overlay = all(root, ".view-overlays > div").find(({ style }) => style.top === top);
  if (!text || !overlay) return { length: 0, decorations: [] };
  const length = text.textContent.length;
  const width = text.getBoundingClientRect().width / length;
  return {
    length,
    decorations: all(overlay, ".cdr").map((each) => {
      const style = getComputedStyle(each);
      const from = Math.round(Number.parseFloat(each.style.left) / width);
      return {
        from,
        to: from + Math.round(Number.parseFloat(each.style.width) / width),
        background: style.backgroundColor,
        above: `${style.borderTopWidth} ${style.borderTopStyle}`,
        below: `${style.borderBottomWidth} ${style.borderBottomStyle}`,
      };
    }),
  };
}

// The part of the DOM that is used in the page. This folder is compiled without DOM types.
interface Element {
  readonly textContent: string;
  readonly style: Readonly<Record<"top" | "left" | "width", string>>;
  readonly parentElement: Element;
  readonly firstElementChild: Element;
  querySelectorAll(selector: string): Iterable<Element>;
  getBoundingClientRect(): { readonly width: number };
}
interface PageGlobals {
  getComputedStyle(element: Element): Readonly<Record<StyleName, string>>;
}
type StyleName = "backgroundColor" | "borderTopWidth" | "borderTopStyle" | "borderBottomWidth" | "borderBottomStyle";
