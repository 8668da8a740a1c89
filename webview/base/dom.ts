/**
 * Builds elements without markup strings: children are nodes or text, so text from a file or a model can never become
 * markup, and nothing needs `unsafe-inline` in the page's content security policy.
 */

type Child = Node | string | number | null | undefined | false;

interface Props {
  readonly class?: string;
  readonly title?: string;
  readonly id?: string;
  /** Attributes as they are written in HTML; `null` and `false` leave one out, `true` writes it empty. */
  readonly attrs?: Readonly<Record<string, string | number | boolean | null | undefined>>;
  readonly on?: { readonly [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };
}

/** Makes an element: `el("p", { class: "note" }, "text")`. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (props.class) node.className = props.class;
  if (props.title) node.title = props.title;
  if (props.id) node.id = props.id;
  for (const [name, value] of Object.entries(props.attrs ?? {})) setAttr(node, name, value);
  for (const [name, listener] of Object.entries(props.on ?? {})) node.addEventListener(name, listener as EventListener);
  append(node, children);
  return node;
}

/** Replaces what is in an element. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

export function setAttr(node: Element, name: string, value: string | number | boolean | null | undefined): void {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}

function append(parent: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

let lastId = 0;
/** An id that no other element of the page has. */
export const uniqueId = (prefix: string): string => `${prefix}-${++lastId}`;
