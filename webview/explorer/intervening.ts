/** Runs the prompt with the active interventions, one forward pass at a time. */

import type { Intervention } from "../../src/protocol/traceApi";
import type { ExplorerTools, Inspection } from "../trace/inspection";
import type { ActiveIntervention } from "../trace/interventionHistory";

/** `wanted` returns the trace and the interventions of the moment; null for none. */
export function createIntervening(
  { alongside, release }: Pick<ExplorerTools, "alongside" | "release">,
  wanted: () => { readonly base: Inspection; readonly list: readonly ActiveIntervention[] } | null,
  report: {
    readonly running: () => void;
    readonly done: (intervened: Inspection) => void;
    readonly failed: (reason: unknown) => void;
    /** Called after each pass, also one whose result nobody wants any more. */
    readonly ended: () => void;
  },
) {
  /** The trace that is changed, and the traces that its patches come from. */
  let patched: Inspection | null = null;
  const sources = new Map<string, Inspection>();
  let isRunning = false;

  const keepSources = (texts: ReadonlySet<string>) => {
    for (const [text, source] of sources) {
      if (texts.has(text)) continue;
      sources.delete(text);
      release(source);
    }
  };

  const intervene = async (base: Inspection, list: readonly ActiveIntervention[]): Promise<Inspection> => {
    const texts = new Set(list.flatMap((each) => (each.kind === "patch" ? [each.from.trace] : [])));
    keepSources(patched === base ? texts : new Set());
    patched = base;
    for (const text of texts) {
      if (!sources.has(text)) sources.set(text, await alongside(base.trace.model.dir, text));
    }
    return base.intervened(
      list.map(
        (each): Intervention =>
          each.kind === "scale"
            ? each
            : { ...each, from: { ...each.from, trace: (sources.get(each.from.trace) as Inspection).trace.trace } },
      ),
    );
  };

  return async function run(): Promise<void> {
    const now = wanted();
    // A pass that is running is followed by one with what is wanted then.
    if (!now || isRunning) return;
    const isWanted = () => wanted()?.base === now.base && wanted()?.list === now.list;
    isRunning = true;
    report.running();
    try {
      const intervened = await intervene(now.base, now.list);
      if (isWanted()) report.done(intervened);
      else release(intervened);
    } catch (reason) {
      if (isWanted()) report.failed(reason);
    } finally {
      isRunning = false;
      report.ended();
    }
    if (!isWanted()) await run();
  };
}
