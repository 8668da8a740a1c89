/** Formats a module tree like PyTorch's `print(model)`. */

import { excerpt } from "../../text/untrusted";
import type { ModuleTree } from "../api/model";

/** Prints the tree with the parameters and types of each module, the total, the cost of quantization, and notes. */
export function printModules(tree: ModuleTree): string {
  const total = `${count(tree.parameters)} parameters, ${count(tree.bytes)} bytes`;
  return [...printed(tree), total, ...quantizationCost(tree), ...(tree.notes ?? []), ...ignoredList(tree)].join("\n");
}

function ignoredList({ ignored = [] }: ModuleTree): string[] {
  const lines = ignored
    .slice(0, MAX_IGNORED)
    .map(({ name, reason }) => `  ${excerpt(name)}${reason ? `  # ${reason}` : ""}`);
  const more = ignored.length - lines.length;
  return ignored.length === 0 ? [] : ["Ignored tensors:", ...lines, ...(more > 0 ? [`  and ${count(more)} more`] : [])];
}

const MAX_IGNORED = 200;

/** The range of relative errors over the matrices, and the change in perplexity. */
function quantizationCost(tree: ModuleTree): string[] {
  const errors = errorsOf(tree).sort((a, b) => a - b);
  const [least, most] = [errors[0], errors.at(-1)].map((error) => `${(100 * (error ?? 0)).toFixed(2)} %`);
  const { perplexity } = tree;
  return [
    ...(errors.length > 0 ? [`${errors.length} quantized matrices, relative error ${least} to ${most}`] : []),
    ...(perplexity
      ? [
          `perplexity on a sample of ${count(perplexity.tokens)} tokens: ${perplexity.before.toFixed(3)} before, ${perplexity.after.toFixed(3)} after`,
        ]
      : []),
  ];
}

const errorsOf = ({ tensors, children }: ModuleTree): number[] => [
  ...tensors.flatMap(({ relativeError }) => relativeError ?? []),
  ...children.flatMap(errorsOf),
];

const count = (n: number): string => n.toLocaleString("en");

function printed({ kind, tensors, parameters, children }: ModuleTree): string[] {
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))].join(", ");
  const note = parameters > 0 ? `  # ${count(parameters)}${dtypes && ` ${dtypes}`}` : "";
  if (children.length === 0) return [kind + note];
  const inside = grouped(children).flatMap(({ label, lines: [first, ...rest] }) => [`  (${label}${first}`, ...rest]);
  return [`${kind}(${note}`, ...inside, ")"];
}

/** Groups consecutive modules that print the same: `(0-23): 24 x OPTDecoderLayer(`. */
function grouped(children: readonly ModuleTree[]): { readonly label: string; readonly lines: readonly string[] }[] {
  const groups: { first: string; last: string; times: number; lines: readonly string[] }[] = [];
  for (const child of children) {
    const lines = printed(child);
    const group = groups.at(-1);
    const repeats = group && /^\d+$/.test(child.name) && group.lines.join("\n") === lines.join("\n");
    if (repeats) Object.assign(group, { last: child.name, times: group.times + 1 });
    else groups.push({ first: child.name, last: child.name, times: 1, lines });
  }
  return groups.map(({ first, last, times, lines: [head = "", ...rest] }) => ({
    label: times === 1 ? `${first}): ` : `${first}-${last}): ${times} x `,
    lines: [head, ...rest.map((line) => `  ${line}`)],
  }));
}
