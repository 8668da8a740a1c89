/** How the model continues the prompt: it changes from checkpoint to checkpoint. */

import { el } from "../base/dom";
import { t } from "../base/strings";
import type { Inspection } from "../trace/inspection";

export interface Sample {
  readonly node: HTMLElement;
  readonly show: (inspection: Inspection) => void;
}

/** A checkpoint must be shown for this long, in ms, before it generates. */
const REST = 200;
const TOKENS = 40;

/** A greedy continuation. Hidden for translators, whose translation has a view of its own. */
export function createSample(): Sample {
  const text = el("span", { class: "sample-written mono" });
  const node = el("p", { class: "scrubber-sample small" }, el("span", { class: "muted" }, t("Continues with")), text);
  let current: Inspection | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let abort = new AbortController();

  const generate = async (inspection: Inspection) => {
    abort = new AbortController();
    const prompt = inspection.trace.tokens.map(({ id }) => id);
    try {
      const generated = await inspection.generationTrace(
        { prompt, maxNewTokens: TOKENS, temperature: 0, count: 1 },
        undefined,
        abort.signal,
      );
      if (inspection === current) text.textContent = generated.text === "" ? t("nothing") : `“${generated.text}”`;
    } catch (error) {
      if (inspection === current && !abort.signal.aborted) text.textContent = (error as Error).message;
    }
  };

  return {
    node,
    show(inspection) {
      current = inspection;
      clearTimeout(timer);
      abort.abort();
      node.hidden = inspection.trace.source !== undefined;
      if (!node.hidden) timer = setTimeout(() => void generate(inspection), REST);
    },
  };
}
