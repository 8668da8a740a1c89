/** The trace to compare with, chosen by model, checkpoint and text. */

import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";

/** The step of a model that is not one of its checkpoints. */
export const LATEST = "latest";

export interface Choice {
  /** Folder of the model; null for the model of the trace that is shown. */
  readonly model: string | null;
  /** Training step of a checkpoint, or `LATEST`. */
  readonly step: string;
  /** "" for the same text. */
  readonly text: string;
}

/** Model folder and prompt of the other trace, and whether they differ from those of the trace that is shown. */
export function otherOf(
  own: { readonly dir: string; readonly text: string },
  choice: Choice,
  checkpoints: readonly CheckpointInfo[],
) {
  const checkpoint = checkpoints.find((each) => String(each.step) === choice.step);
  const dir = checkpoint?.dir ?? choice.model ?? own.dir;
  const text = choice.text === "" ? own.text : choice.text;
  return { dir, text, isOther: dir !== own.dir || text !== own.text };
}

/** The choices of the checkpoint picker, latest first. */
export const stepChoices = (checkpoints: readonly CheckpointInfo[]) => [
  { value: LATEST, label: t("latest") },
  ...[...checkpoints].reverse().map(({ step }) => ({ value: String(step), label: t("step {0}", formatCount(step)) })),
];
