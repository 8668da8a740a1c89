import { ShapeError } from "../errors";
import { constant, type Node, topoSort, zeros } from "../graph/node";
import { vjps } from "./vjps";

/** The gradient of a scalar `loss` with respect to each node of `wrt`. */
export function grad(loss: Node, wrt: readonly Node[]): Node[] {
  if (loss.shape.length > 0) throw new ShapeError("grad", "the loss must be a scalar", { loss });
  if (wrt.some((x) => x.op === "reshape")) {
    // A reshape of it starts at its input, so that the loss may not depend on the node itself.
    throw new Error("grad: a reshape may be gone around; ask for the gradient of its input");
  }

  const order = topoSort([loss]);
  const needed = dependents(order, wrt);
  const grads = new Map<Node, Node>([[loss, constant(1)]]);
  for (const node of order.toReversed()) {
    const g = grads.get(node);
    // A rule builds the gradients of all inputs; one whose inputs are not needed would build them for nothing.
    if (!g || !(node.inputs as Node[]).some((x) => needed.has(x))) continue;
    backward(node, g).forEach((gi, i) => {
      const x = node.inputs[i] as Node;
      if (gi && needed.has(x)) grads.set(x, grads.get(x)?.add(gi) ?? gi);
    });
  }
  return wrt.map((x) => grads.get(x) ?? zeros(x.shape));
}

/** The nodes through which `wrt` reaches the loss; gradients of all others are not asked for. */
function dependents(order: readonly Node[], wrt: readonly Node[]): Set<Node> {
  const found = new Set<Node>(wrt);
  for (const node of order) if ((node.inputs as Node[]).some((x) => found.has(x))) found.add(node);
  return found;
}

type Rule = (g: Node, y: Node) => readonly (Node | null)[];
// The one cast: TypeScript cannot see that `node.op` picks the rule made for this node.
const backward = (node: Node, g: Node) => (vjps[node.op] as Rule)(g, node);
