/** A page of the text that a run learns from, for whoever wants to see what the model makes of it. */

import type { Excerpt } from "../api/run";
import { openCorpus } from "../data";
import { EngineError } from "../errors";
import { recordedRecipe } from "../presets/settings";
import { readRunRecord, runSource } from "./runFolder";

/** UTF-16 units of a page: about a screen. */
const PAGE = 1500;

export async function trainingExcerpt(dir: string, page: number): Promise<Excerpt> {
  const record = await readRunRecord(dir);
  const { data } = recordedRecipe(record);
  const source = await runSource(dir, record);
  if (!source || data.kind !== "text") {
    throw new EngineError(
      "data",
      `${record.name} makes its examples as it learns, or learns from pairs; there is no text to show.`,
    );
  }
  const corpus = await openCorpus(source, data);
  let kept = "";
  let before = 0;
  let ended = true;
  for await (const chunk of corpus.chunks()) {
    // Held from the page before the one that is wanted on, in case the text ends there.
    kept += chunk;
    const spare = Math.floor(kept.length / PAGE) - 1;
    const drop = Math.max(0, Math.min(spare, page - before)) * PAGE;
    kept = kept.slice(drop);
    before += drop / PAGE;
    if (before === page && kept.length > PAGE) {
      ended = false;
      break;
    }
  }
  const last = before + Math.max(0, Math.ceil(kept.length / PAGE) - 1);
  const shown = Math.min(page, last);
  // A character of two units that a page ends in is on that page, whole.
  const begin = characterStart(kept, (shown - before) * PAGE);
  const end = characterStart(kept, (shown - before + 1) * PAGE);
  return {
    text: kept.slice(begin, end),
    page: shown,
    pages: ended ? last + 1 : Math.max(shown + 2, Math.ceil(corpus.size / PAGE)),
    source: corpus.name,
  };
}

/** The offset, or the next where it is inside a character. */
const characterStart = (text: string, offset: number): number =>
  /[\udc00-\udfff]/.test(text[offset] ?? "") ? offset + 1 : offset;
