/** Defers the requests of a hidden view until it is visible again. */

/** Returns a function that calls `run` now if the node is visible, else once when it becomes visible. */
export function whenSeen(node: Element, run: () => void): () => void {
  let isDeferred = false;
  const isSeen = () => node.clientWidth > 0;
  new ResizeObserver(() => {
    if (!isDeferred || !isSeen()) return;
    isDeferred = false;
    run();
  }).observe(node);
  return () => {
    if (isSeen()) return run();
    isDeferred = true;
  };
}
