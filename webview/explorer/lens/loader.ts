/** The logit lens of one trace, loaded in tiles of positions as they come into view. It knows no page. */

import type { Inspection } from "../../trace/inspection";
import { columnsOf, type LensCell, missingTiles } from "./layout";

/** Tokens of each cell. */
const TOP = 10;

export interface TrackedToken {
  readonly id: number;
  readonly label: string;
}

export interface LoaderHooks {
  /** A tile was loaded. */
  readonly loaded: () => void;
  /** A tile failed; `isEmpty` if none has been loaded. */
  readonly failed: (error: unknown, isEmpty: boolean) => void;
}

export class LensLoader {
  depths: readonly string[] = [];
  convention = "";
  /** Replaced by `reset`, so that outdated answers are recognized. */
  #columns = new Map<number, readonly LensCell[]>();
  readonly #hooks: LoaderHooks;
  #inspection: Inspection | null = null;
  #tracked: TrackedToken | null = null;

  constructor(hooks: LoaderHooks) {
    this.#hooks = hooks;
  }

  /** Cells by position, one per depth. */
  get columns(): ReadonlyMap<number, readonly LensCell[]> {
    return this.#columns;
  }

  /** Discards everything; `load` then reads another trace, or tracks another token. */
  reset(inspection: Inspection, tracked: TrackedToken | null): void {
    if (inspection !== this.#inspection) this.depths = [];
    this.#inspection = inspection;
    this.#tracked = tracked;
    this.#columns = new Map();
  }

  /** Loads the missing tiles with positions in [first, end), one after the other. */
  async load(first: number, end: number): Promise<void> {
    const inspection = this.#inspection;
    const columns = this.#columns;
    if (!inspection) return;
    const token = this.#tracked?.id;
    const { length } = inspection.trace.tokens;
    for (const positions of missingTiles(first, end, length, (position) => columns.has(position))) {
      if (columns.has(positions[0])) continue;
      try {
        const lens = await inspection.ask("lens", { positions, count: TOP, ...(token !== undefined && { token }) });
        if (columns !== this.#columns) return;
        this.depths = lens.depths;
        this.convention = lens.convention;
        for (const [position, cells] of columnsOf(lens)) columns.set(position, cells);
        this.#hooks.loaded();
      } catch (error) {
        if (columns !== this.#columns) return;
        this.#hooks.failed(error, columns.size === 0);
      }
    }
  }
}
