/**
 * The model as PyTorch prints it, as rows that unfold: modules, the weights that they hold, and the values that they made
 * of this text.
 */

import type { ModuleTree, TraceInfo } from "../../../src/protocol/engineApi";
import { dimensionsOf } from "../../trace/layers/layout";

export interface ArchitectureNode {
  /** The path from the root. */
  readonly id: string;
  readonly kind: "module" | "weight" | "value";
  /** As PyTorch prints it: `(attn)`, `weight`; of a value its trace name. */
  readonly label: string;
  /** A module's class with its arguments; of a value what its dimensions count. */
  readonly detail: string;
  /** A weight's name in the checkpoint, or a value's in the trace. */
  readonly name: string;
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly parameters: number;
  /** Of the model's parameters. */
  readonly share: number;
  readonly bytes: number;
  /** What quantizing a weight cost, where it did. */
  readonly relativeError: number | null;
  /** The block that it is in. */
  readonly layer: number | null;
  readonly children: readonly ArchitectureNode[];
}

/** The tree of a model with the values of a run of it, each under the module that makes it. */
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
    // A block holds what none of its modules makes: what it was given, and what its parts gave together.
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
  // Of the whole model: ids and mask, and what a family's modules do not account for.
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

/** What our modules make, by their names inside a block or outside of all. */
const MADE: Readonly<Record<string, readonly string[]>> = {
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

/** The values that a module makes, by their trace names: of `blocks.3.q` it is `blocks.3.attn.q`. */
function valuesOf(module: string): string[] {
  const block = blockOf(module);
  const [stack = ""] = /^enc\./.exec(module) ?? [];
  const inside = module.slice(block === "" ? stack.length : block.length);
  return (MADE[inside] ?? []).map((value) => (block === "" ? stack : block) + value);
}

/** `blocks.3.` of `blocks.3.q`; empty outside of the blocks. */
const blockOf = (module: string): string => /^(?:enc\.)?blocks\.\d+\./.exec(module)?.[0] ?? "";

const namesInBlock = (block: string, names: readonly string[]): string[] =>
  names.filter((name) => name.startsWith(block));

const layerOf = (module: string): number | null => {
  const number = /^blocks\.(\d+)\./.exec(module)?.[1];
  return number === undefined ? null : Number(number);
};

/** Of a module that holds others, one of ours in it: it says in which block they are. */
const firstModule = (module: ModuleTree): string => {
  if (module.module !== undefined) return module.module;
  const inside = module.children.map(firstModule);
  // A list of blocks is in none of them.
  const blocks = new Set(inside.map(blockOf));
  return blocks.size === 1 ? (inside[0] ?? "") : "";
};

export interface ShownRow {
  readonly node: ArchitectureNode;
  readonly level: number;
  readonly isOpen: boolean;
  /** Counted from 1 among its siblings, as screen readers say it. */
  readonly position: number;
  readonly siblings: number;
}

/**
 * The rows that are shown: what is unfolded; while something is searched, everything that matches with what it is in.
 */
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

/** What is unfolded at first: down to the list of blocks, and the first of them. */
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
