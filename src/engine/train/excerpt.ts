/** A page of a run's training text, to show with the model's surprisal. */

import type { Excerpt } from "../api/run";
import { openCorpus } from "../data";
import { EngineError } from "../errors";
import { recordedRecipe } from "../presets/settings";
import { readRunRecord, runSource } from "./runFolder";

/** UTF-16 units per page: about one screen. */
const PAGE = 1500;

export async function trainingExcerpt(dir: string, page: number): Promise<Excerpt> {
  const record = await readRunRecord(dir);
  const { data } = recordedRecipe(record);
  const source = await runSource(dir, record);
  if (!source || data.kind !== "text") {
    throw new EngineError("data", `${record.name} was not trained on a text, so there is no page to show.`);
  }
  const corpus = await openCorpus(source, data);
  let kept = "";
  let before = 0;
  let ended = true;
  for await (const chunk of corpus.chunks()) {
    // Keeps the page before the requested one, in case the text ends there.
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
  // A surrogate pair across the end of a page belongs to that page.
  const begin = characterStart(kept, (shown - before) * PAGE);
  const end = characterStart(kept, (shown - before + 1) * PAGE);
  return {
    text: kept.slice(begin, end),
    page: shown,
    pages: ended ? last + 1 : Math.max(shown + 2, Math.ceil(corpus.size / PAGE)),
    source: corpus.name,
  };
}

/** The offset, or the next one if it is inside a surrogate pair. */
const characterStart = (text: string, offset: number): number =>
  /[\udc00-\udfff]/.test(text[offset] ?? "") ? offset + 1 : offset;
