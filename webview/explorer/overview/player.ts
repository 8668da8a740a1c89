/** Plays the picture token by token when the user asks for it. */

import { t } from "../../base/strings";
import { button } from "../../base/toolkit";

/** Milliseconds in which the picture of one token is drawn, and for which it then stays. */
const DRAWING = 900;
const STAYING = 500;

interface Player {
  readonly node: HTMLElement;
  readonly stop: () => void;
  readonly isPlaying: () => boolean;
}

interface Steps {
  /** The token that the picture shows, and the number of tokens. */
  readonly at: () => { readonly position: number; readonly length: number };
  /** Selects a token; resolves once its numbers have arrived. */
  readonly go: (position: number) => Promise<void>;
  /** Draws the picture up to a part of its width. */
  readonly draw: (progress: number) => void;
}

/** Plays from the selected token to the last one; from the last one, it starts again at the first. */
export function createPlayer({ at, go, draw }: Steps): Player {
  /** Replaced by each start and stop, so that an earlier one ends. */
  let current: symbol | null = null;
  const node = button(t("Play"), () => (current ? stop() : void play()));
  const label = () => {
    node.textContent = current ? t("Pause") : t("Play");
  };
  const stop = () => {
    if (!current) return;
    current = null;
    label();
    draw(1);
  };
  const play = async () => {
    const own = Symbol("play");
    current = own;
    label();
    const start = at();
    for (
      let position = start.position === start.length - 1 ? 0 : start.position;
      position < at().length && current === own;
      position++
    ) {
      await go(position);
      if (current === own) await sweep(() => current === own, draw);
    }
    if (current === own) stop();
  };
  return { node, stop, isPlaying: () => current !== null };
}

/** Draws from left to right; at once if the user prefers reduced motion. */
async function sweep(isActive: () => boolean, draw: (progress: number) => void): Promise<void> {
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const start = performance.now();
  let passed = isStill ? DRAWING : 0;
  while (passed < DRAWING && isActive()) {
    draw(passed / DRAWING);
    await new Promise((done) => requestAnimationFrame(done));
    passed = performance.now() - start;
  }
  if (!isActive()) return;
  draw(1);
  await new Promise((done) => setTimeout(done, isStill ? DRAWING + STAYING : STAYING));
}
