/**
 * Builds elements without markup strings. Children are nodes or text, so text from a file or a model never becomes
 * markup, and the page's content security policy works without `unsafe-inline`.
 */

type Child = Node | string | number | null | undefined | false;

interface Props {
  readonly class?: string;
  readonly title?: string;
  readonly id?: string;
  /** HTML attributes: `null` and `false` leave one out, `true` writes it without a value. */
  readonly attrs?: Readonly<Record<string, string | number | boolean | null | undefined>>;
  readonly on?: { readonly [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };
}

/** Creates an element: `el("p", { class: "note" }, "text")`. */
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

/** Replaces the content of an element. */
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
/** Returns an id that is unique on the page. */
export const uniqueId = (prefix: string): string => `${prefix}-${++lastId}`;
