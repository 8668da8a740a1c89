/** How far an import is, as a notification says it: pure. */

import type { ImportProgress } from "../../protocol/engineApi";
import { bytes, duration } from "../format";
import { l10n } from "../l10n";

/** Bringing a model takes longer than quantizing it. */
const BRINGING = 80;

/** How much of the whole is done, of 100; null where this says nothing of it. Only weights count: all else is small. */
export function shareDone({ phase, file, bytes: done, totalBytes }: ImportProgress, quantizes: boolean): number | null {
  if (totalBytes === 0 || !/\.(safetensors|bin|gguf)$/.test(file)) return null;
  const share = Math.min(1, done / totalBytes);
  const bringing = quantizes ? BRINGING : 100;
  return phase === "quantize" ? bringing + share * (100 - bringing) : share * bringing;
}

/** `Downloading model.safetensors: 123 MB of 548 MB, 12.3 MB/s, 35 s left` */
export function progressText({ phase, file, bytes: done, totalBytes, ...speed }: ImportProgress): string {
  if (totalBytes === 0) return doing(phase, file);
  const parts = [l10n.t("{0} of {1}", bytes(done), bytes(totalBytes))];
  if (speed.bytesPerSecond > 0) parts.push(l10n.t("{0}/s", bytes(speed.bytesPerSecond)));
  if (speed.secondsLeft !== null) parts.push(l10n.t("{0} left", duration(speed.secondsLeft)));
  return `${doing(phase, file)}: ${parts.join(", ")}`;
}

function doing(phase: ImportProgress["phase"], file: string): string {
  switch (phase) {
    case "connect":
      return l10n.t("Looking for the model");
    case "download":
      return l10n.t("Downloading {0}", file);
    case "check":
      return l10n.t("Checking {0}", file);
    case "copy":
      return l10n.t("Copying {0}", file);
    case "convert":
      return l10n.t("Converting {0}", file);
    case "quantize":
      return l10n.t("Quantizing {0}", file);
    case "measure":
      return l10n.t("Measuring what quantizing cost");
  }
}
