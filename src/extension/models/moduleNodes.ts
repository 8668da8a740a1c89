/** The modules of a model in the Models view, labeled as by PyTorch's `print(model)`. */

import type { ModuleTree } from "../../protocol/engineApi";
import { bytes, count } from "../format";
import { l10n } from "../l10n";

export interface ModuleNode {
  readonly kind: "module" | "tensor" | "note" | "problem";
  /** Stable across refreshes of the view. */
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** One line each. */
  readonly tooltip: readonly string[];
  readonly children: readonly ModuleNode[];
}

/** The root node: the class of the model, with notes on its files. */
export function moduleNode(tree: ModuleTree, dir: string): ModuleNode {
  const root = nodeOf(tree, `${dir}#`);
  return { ...root, children: [...root.children, ...noteNodes(tree, root.id)] };
}

function noteNodes({ notes = [], ignored = [] }: ModuleTree, root: string): ModuleNode[] {
  const node = (id: string, label: string, description = "", children: readonly ModuleNode[] = []): ModuleNode => ({
    kind: "note",
    id: `${root}!${id}`,
    label,
    description,
    tooltip: [label, description].filter(Boolean),
    children,
  });
  const tensors = ignored.map(({ name, reason }) => node(`ignored:${name}`, name, reason ?? ""));
  return [
    ...notes.map((note, i) => node(`note:${i}`, note)),
    ...(tensors.length > 0 ? [node("ignored", l10n.t("Ignored tensors"), count(tensors.length), tensors)] : []),
  ];
}

function nodeOf(tree: ModuleTree, id: string): ModuleNode {
  const { name, kind, parameters, tensors, children } = tree;
  return {
    kind: "module",
    id,
    label: name === "" ? kind : `(${name})`,
    description: [name === "" ? "" : kind, parameters > 0 ? count(parameters) : ""].filter(Boolean).join(" · "),
    tooltip: [
      name === "" ? kind : `(${name}): ${kind}`,
      l10n.t("{0} parameters, {1}", parameters.toLocaleString(), bytes(tree.bytes)),
    ],
    children: [
      ...tensors.map((tensor) => tensorNode(tensor, id)),
      ...children.map((child) => nodeOf(child, `${id}/${child.name}`)),
    ],
  };
}

function tensorNode(tensor: ModuleTree["tensors"][number], parent: string): ModuleNode {
  const { name, shape, dtype, relativeError } = tensor;
  const parts = [`[${shape.join(", ")}] ${dtype}`, bytes(tensor.bytes)];
  const error =
    relativeError === undefined ? [] : [l10n.t("quantization error {0} %", (100 * relativeError).toPrecision(2))];
  return {
    kind: "tensor",
    id: `${parent}:${name}`,
    label: name.slice(name.lastIndexOf(".") + 1),
    description: [...parts, ...error].join(" · "),
    tooltip: [name, ...parts, ...error],
    children: [],
  };
}

/** Shown instead of the modules if they cannot be read. */
export const problemNode = (message: string, dir: string): ModuleNode => ({
  kind: "problem",
  id: `${dir}#problem`,
  label: message,
  description: "",
  tooltip: [message],
  children: [],
});
