import type { ModuleTree } from "../api/model";
/** A module tree as PyTorch's `print(model)` writes it. */

/** With each module's parameters, how they are stored, and a last line with those of all. */
export function printModules(tree: ModuleTree): string {
  const total = `${count(tree.parameters)} parameters, ${count(tree.bytes)} bytes`;
  return [...printed(tree), total, ...quantizationCost(tree)].join("\n");
}

/** What quantizing cost, from the least of the matrices to the most. */
function quantizationCost(tree: ModuleTree): string[] {
  const errors = errorsOf(tree).sort((a, b) => a - b);
  const [least, most] = [errors[0], errors.at(-1)].map((error) => `${(100 * (error ?? 0)).toFixed(2)} %`);
  const { perplexity } = tree;
  return [
    ...(errors.length > 0 ? [`${errors.length} quantized matrices, relative error ${least} to ${most}`] : []),
    ...(perplexity
      ? [
          `perplexity on a sample of ${count(perplexity.tokens)} tokens: ${perplexity.before.toFixed(3)} before, ${perplexity.after.toFixed(3)} now`,
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
  const inside = alike(children).flatMap(({ label, lines: [first, ...rest] }) => [`  (${label}${first}`, ...rest]);
  return [`${kind}(${note}`, ...inside, ")"];
}

/** Modules one after the other that print the same are one: `(0-23): 24 x OPTDecoderLayer(`. */
function alike(children: readonly ModuleTree[]): { readonly label: string; readonly lines: readonly string[] }[] {
  const runs: { first: string; last: string; times: number; lines: readonly string[] }[] = [];
  for (const child of children) {
    const lines = printed(child);
    const run = runs.at(-1);
    const repeats = run && /^\d+$/.test(child.name) && run.lines.join("\n") === lines.join("\n");
    if (repeats) Object.assign(run, { last: child.name, times: run.times + 1 });
    else runs.push({ first: child.name, last: child.name, times: 1, lines });
  }
  return runs.map(({ first, last, times, lines: [head = "", ...rest] }) => ({
    label: times === 1 ? `${first}): ` : `${first}-${last}): ${times} x `,
    lines: [head, ...rest.map((line) => `  ${line}`)],
  }));
}
