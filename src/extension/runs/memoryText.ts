/** The memory of a run before it starts, in words. Does not depend on VS Code. */

import type { MemoryEstimate } from "../../protocol/engineApi";
import { RemoteError } from "../../protocol/rpc";
import { errorText } from "../errorText";
import { bytes } from "../format";
import { l10n } from "../l10n";

export interface MemoryText {
  /** The memory, such as `about 45 MB of memory of 20 GB that are free`, or why the run cannot start. */
  readonly text: string;
  readonly isPossible: boolean;
}

/** A long text is not waited for: reading a gigabyte takes a minute, and training reads it with progress. */
const PATIENCE_MS = 2000;

/** Puts an estimate in words. Throws only for a text that no setting makes usable. */
export async function memoryOf(estimate: Promise<MemoryEstimate>, patience = PATIENCE_MS): Promise<MemoryText> {
  const late = new Promise<null>((resolve) => setTimeout(resolve, patience, null));
  try {
    const found = await Promise.race([estimate, late]);
    if (found === null) return { text: l10n.t("memory not estimated yet"), isPossible: true };
    const { fits, advice, neededBytes, freeBytes } = found;
    const memory = l10n.t("about {0} of memory of {1} that are free", bytes(neededBytes), bytes(freeBytes));
    return { text: advice ?? memory, isPossible: fits };
  } catch (error) {
    if (error instanceof RemoteError && error.code === "config") return { text: errorText(error), isPossible: false };
    throw error;
  }
}
