/**
 * The model as PyTorch prints it, as a tree: modules, their weights, and the values that they computed in a trace.
 */

import type { ModuleTree, TraceInfo } from "../../../src/protocol/engineApi";
import { formatShape } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { dimensionsOf } from "../../trace/layers/layout";

export interface ArchitectureNode {
  /** Path from the root. */
  readonly id: string;
  readonly kind: "module" | "weight" | "value";
  /** `(attn)` or `weight` as PyTorch prints it, or the trace name of a value. */
  readonly label: string;
  /** The class of a module with its arguments, or the dimensions of a value. */
  readonly detail: string;
  /** The name of a weight in the checkpoint, or of a value in the trace. */
  readonly name: string;
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly parameters: number;
  /** Fraction of the model's parameters. */
  readonly share: number;
  readonly bytes: number;
  /** Relative error from quantizing a weight; null if it is not quantized. */
  readonly relativeError: number | null;
  /** The layer that contains it; null outside of the layers. */
  readonly layer: number | null;
  readonly children: readonly ArchitectureNode[];
}

/** The tree of a model with the values of a trace, each under the module that computes it. */
export function architecture(tree: ModuleTree, values: TraceInfo["values"]): ArchitectureNode {
  const waiting = new Map(values.map((value) => [value.name, value]));
  const total = tree.parameters;
  const take = (names: readonly string[], parent: string, layer: number | null): ArchitectureNode[] =>
    names.flatMap((name) => {
      const value = waiting.get(name);
      waiting.delete(name);
      return value ? [valueNode(value, parent, layer)] : [];
    });

  const moduleNode = (module: ModuleTree, parent: string, path: readonly string[]): ArchitectureNode => {
    const id = `${parent}/${module.name}`;
    const ours = module.module ?? firstModule(module);
    const layer = layerOf(ours);
    const weights = module.tensors.map((tensor) => weightNode(tensor, id, total, layer));
    const children = module.children.map((child) => moduleNode(child, id, [...path, child.name]));
    // A block has the values that none of its modules computes: its input, and the sums of their outputs.
    const isBlock = /^\d+$/.test(module.name) && blockOf(ours) !== "";
    const own = module.module === undefined ? [] : valuesOf(module.module);
    const left = isBlock ? namesInBlock(blockOf(ours), [...waiting.keys()]) : [];
    return {
      id,
      kind: "module",
      label: module.name === "" ? module.kind : `(${module.name})`,
      detail: module.name === "" ? "" : module.kind,
      name: path.join("."),
      shape: null,
      dtype: [...new Set(module.tensors.map(({ dtype }) => dtype))].join(", "),
      parameters: module.parameters,
      share: total > 0 ? module.parameters / total : 0,
      bytes: module.bytes,
      relativeError: null,
      layer,
      children: [...weights, ...children, ...take(own, id, layer), ...take(left, id, layer)],
    };
  };
  const root = moduleNode(tree, "", []);
  // The root has the rest: ids and mask, and values that the modules of its family do not account for.
  return { ...root, children: [...root.children, ...take([...waiting.keys()], root.id, null)] };
}

type Tensor = ModuleTree["tensors"][number];

const weightNode = (
  { name, shape, dtype, bytes, relativeError }: Tensor,
  parent: string,
  total: number,
  layer: number | null,
): ArchitectureNode => {
  const parameters = shape.reduce((product, size) => product * size, 1);
  return {
    id: `${parent}:${name}`,
    kind: "weight",
    label: name.slice(name.lastIndexOf(".") + 1),
    detail: name,
    name,
    shape,
    dtype,
    parameters,
    share: total > 0 ? parameters / total : 0,
    bytes,
    relativeError: relativeError ?? null,
    layer,
    children: [],
  };
};

const valueNode = (
  { name, shape }: TraceInfo["values"][number],
  parent: string,
  layer: number | null,
): ArchitectureNode => ({
  id: `${parent}=${name}`,
  kind: "value",
  label: name.replace(/^(?:enc\.)?blocks\.\d+\./, ""),
  detail: dimensionsOf(name, shape).join(" × "),
  name,
  shape,
  dtype: "float32",
  parameters: 0,
  share: 0,
  bytes: 4 * shape.reduce((product, size) => product * size, 1),
  relativeError: null,
  layer,
  children: [],
});

/** The values that modules compute, by their names within a block or outside of the blocks. */
const COMPUTED: Readonly<Record<string, readonly string[]>> = {
  "embed.tokens": ["embed"],
  "embed.positions": ["posEmbed"],
  lnFinal: ["lnFinal"],
  head: ["logits"],
  q: ["attn.q"],
  k: ["attn.k"],
  v: ["attn.v"],
  qkv: ["attn.q", "attn.k", "attn.v"],
  o: ["attnOut"],
  proj: ["mlpOut"],
};

/** Trace names of the values that a module computes: `blocks.3.attn.q` for `blocks.3.q`. */
function valuesOf(module: string): string[] {
  const block = blockOf(module);
  const [stack = ""] = /^enc\./.exec(module) ?? [];
  const inside = module.slice(block === "" ? stack.length : block.length);
  return (COMPUTED[inside] ?? []).map((value) => (block === "" ? stack : block) + value);
}

/** `blocks.3.` for `blocks.3.q`; "" outside of the blocks. */
const blockOf = (module: string): string => /^(?:enc\.)?blocks\.\d+\./.exec(module)?.[0] ?? "";

const namesInBlock = (block: string, names: readonly string[]): string[] =>
  names.filter((name) => name.startsWith(block));

const layerOf = (module: string): number | null => {
  const number = /^blocks\.(\d+)\./.exec(module)?.[1];
  return number === undefined ? null : Number(number);
};

/** A module inside a container whose modules are all in one block; "" if they are in several blocks. */
const firstModule = (module: ModuleTree): string => {
  if (module.module !== undefined) return module.module;
  const inside = module.children.map(firstModule);
  const blocks = new Set(inside.map(blockOf));
  return blocks.size === 1 ? (inside[0] ?? "") : "";
};

export interface ShownRow {
  readonly node: ArchitectureNode;
  readonly level: number;
  readonly isOpen: boolean;
  /** Index among its siblings, from 1 as in `aria-posinset`. */
  readonly position: number;
  readonly siblings: number;
}

/** The rows that are shown: the expanded ones, or while searching, the matches and their ancestors. */
export function shownRows(root: ArchitectureNode, open: ReadonlySet<string>, search: string): ShownRow[] {
  const wanted = search.trim().toLowerCase();
  const matches = (node: ArchitectureNode): boolean =>
    [node.label, node.detail, node.name].some((text) => text.toLowerCase().includes(wanted));
  const isKept = (node: ArchitectureNode): boolean => wanted === "" || matches(node) || node.children.some(isKept);
  const rows = (nodes: readonly ArchitectureNode[], level: number): ShownRow[] =>
    nodes.filter(isKept).flatMap((node, i, kept) => {
      const isOpen = node.children.length > 0 && (wanted === "" ? open.has(node.id) : node.children.some(isKept));
      const inside = isOpen ? rows(node.children, level + 1) : [];
      return [{ node, level, isOpen, position: i + 1, siblings: kept.length }, ...inside];
    });
  return rows([root], 1);
}

/** Ids of the modules that are expanded at first: all outside of the blocks, and those of the first block. */
export function firstOpen(root: ArchitectureNode): Set<string> {
  const open = new Set<string>();
  const visit = (node: ArchitectureNode): void => {
    if (node.layer !== null && node.layer > 0) return;
    if (node.kind === "module") open.add(node.id);
    for (const child of node.children) visit(child);
  };
  visit(root);
  return open;
}

export type TreeAction =
  | { readonly kind: "focus" | "press"; readonly node: ArchitectureNode }
  | { readonly kind: "toggle"; readonly node: ArchitectureNode; readonly isOpen: boolean };

/** The action of a key in the tree, as in ARIA's treegrid pattern; null for other keys and at the ends. */
export function keyAction(rows: readonly ShownRow[], current: string, key: string): TreeAction | null {
  const at = rows.findIndex(({ node }) => node.id === current);
  const row = rows[at];
  if (!row) return null;
  const { node, level, isOpen } = row;
  const focus = (to: ShownRow | undefined): TreeAction | null => (to ? { kind: "focus", node: to.node } : null);
  switch (key) {
    case "ArrowDown":
      return focus(rows[at + 1]);
    case "ArrowUp":
      return focus(rows[at - 1]);
    case "Home":
      return focus(rows[0]);
    case "End":
      return focus(rows.at(-1));
    case "ArrowRight":
      return node.children.length > 0 && !isOpen ? { kind: "toggle", node, isOpen: true } : focus(rows[at + 1]);
    case "ArrowLeft":
      if (isOpen) return { kind: "toggle", node, isOpen: false };
      return focus(rows.slice(0, at).findLast((before) => before.level < level));
    case "Enter":
    case " ":
      return { kind: "press", node };
    default:
      return null;
  }
}

const flat = (node: ArchitectureNode): ArchitectureNode[] => [node, ...node.children.flatMap(flat)];

/** A table with one row per module, weight and value. */
export function architectureTable(root: ArchitectureNode): TableData {
  const nodes = flat(root);
  return {
    title: t("Modules of the model"),
    columns: ["kind", "name", "label", "detail", "shape", "dtype", "parameters", "share", "bytes"],
    rows: nodes.length,
    row: (i) => {
      const { kind, name, label, detail, shape, dtype, parameters, share, bytes } = nodes[i] as ArchitectureNode;
      return [kind, name, label, detail, shape ? formatShape(shape) : "", dtype, parameters, share, bytes];
    },
  };
}
