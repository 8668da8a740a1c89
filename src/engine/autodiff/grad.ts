import { ShapeError } from "../errors";
import { constant, type Node, topoSort, zeros } from "../graph/node";
import { vjps } from "./vjps";

/** Returns the gradients of a scalar `loss` with respect to the nodes of `wrt`. */
export function grad(loss: Node, wrt: readonly Node[]): Node[] {
  if (loss.shape.length > 0) throw new ShapeError("grad", "the loss must be a scalar", { loss });
  if (wrt.some((x) => x.op === "reshape")) {
    // A reshape of a reshape skips the first one, so the loss may not depend on this node.
    throw new Error("grad: the loss may bypass a reshape; use the gradient of its input");
  }

  const order = topoSort([loss]);
  const needed = dependents(order, wrt);
  const readers = new Map<Node, Node[]>(order.map((node) => [node, []]));
  for (const node of order) for (const x of node.inputs as Node[]) readers.get(x)?.push(node);
  const grads = new Map<Node, Node>([[loss, constant(1)]]);
  for (const node of order.toReversed()) {
    const g = grads.get(node);
    // Rules build the gradients of all inputs, so nodes without needed inputs are skipped.
    if (!g || !(node.inputs as Node[]).some((x) => needed.has(x))) continue;
    backward(node, g, readers.get(node) as Node[]).forEach((gi, i) => {
      const x = node.inputs[i] as Node;
      if (gi && needed.has(x)) grads.set(x, grads.get(x)?.add(gi) ?? gi);
    });
  }
  return wrt.map((x) => grads.get(x) ?? zeros(x.shape));
}

/** The nodes through which `wrt` reaches the loss; only these need gradients. */
function dependents(order: readonly Node[], wrt: readonly Node[]): Set<Node> {
  const found = new Set<Node>(wrt);
  for (const node of order) if ((node.inputs as Node[]).some((x) => found.has(x))) found.add(node);
  return found;
}

type Rule = (g: Node, y: Node, readers: readonly Node[]) => readonly (Node | null)[];
// TypeScript cannot see that `node.op` selects the rule for this node's type.
const backward = (node: Node, g: Node, readers: readonly Node[]) => (vjps[node.op] as Rule)(g, node, readers);
