/** Sets of prompts by name, within a limit. */

import type { PromptSet } from "../../protocol/webviewApi";
import { l10n } from "../l10n";

/** Characters of all sets: VS Code reads the state of a workspace at each start. */
const MAX_CHARACTERS = 500_000;

/** The sets with a new or changed one, sorted by name. */
export function withSet(sets: readonly PromptSet[], set: PromptSet): PromptSet[] {
  const next = [...sets.filter(({ name }) => name !== set.name), set];
  const characters = next.reduce((sum, { prompts }) => sum + prompts.join("").length, 0);
  if (characters > MAX_CHARACTERS) {
    throw new Error(
      l10n.t(
        "The prompt sets of a workspace can have 500,000 characters. Delete a set, or save this one as CSV instead.",
      ),
    );
  }
  return next.sort((a, b) => a.name.localeCompare(b.name));
}
