/** What the model goes on with after the text: at each checkpoint something else. */

import { el } from "../base/dom";
import { t } from "../base/strings";
import type { Inspection } from "../trace/inspection";

export interface Sample {
  readonly node: HTMLElement;
  readonly show: (inspection: Inspection) => void;
}

/** A step must be looked at for so long before it writes. */
const REST = 200;
const TOKENS = 40;

/** Tokens are the most likely each time; of a translator its translation is a view of its own. */
export function createSample(): Sample {
  const written = el("span", { class: "sample-written mono" });
  const node = el("p", { class: "scrubber-sample small" }, el("span", { class: "muted" }, t("Goes on with")), written);
  let current: Inspection | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let abort = new AbortController();

  const write = async (asked: Inspection) => {
    abort = new AbortController();
    const prompt = asked.trace.tokens.map(({ id }) => id);
    try {
      const { text } = await asked.generationTrace(
        { prompt, maxNewTokens: TOKENS, temperature: 0, count: 1 },
        undefined,
        abort.signal,
      );
      if (asked === current) written.textContent = text === "" ? t("nothing") : `“${text}”`;
    } catch (error) {
      if (asked === current && !abort.signal.aborted) written.textContent = (error as Error).message;
    }
  };

  return {
    node,
    show(inspection) {
      current = inspection;
      clearTimeout(timer);
      abort.abort();
      node.hidden = inspection.trace.source !== undefined;
      if (!node.hidden) timer = setTimeout(() => void write(inspection), REST);
    },
  };
}
