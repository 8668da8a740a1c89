/** Puts off what a hidden view would ask of the engine until it is looked at again. */

/** Runs at once while the node is seen, else once when it is seen next: however often it was called until then. */
export function whenSeen(node: Element, run: () => void): () => void {
  let isPutOff = false;
  const isSeen = () => node.clientWidth > 0;
  new ResizeObserver(() => {
    if (!isPutOff || !isSeen()) return;
    isPutOff = false;
    run();
  }).observe(node);
  return () => {
    if (isSeen()) return run();
    isPutOff = true;
  };
}
