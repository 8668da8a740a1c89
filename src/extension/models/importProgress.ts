/** The progress of an import as a notification shows it. */

import type { ImportProgress } from "../../protocol/engineApi";
import { bytes, duration } from "../format";
import { l10n } from "../l10n";

/** Share of the download when the weights are quantized too, which is faster; in percent. */
const DOWNLOAD_SHARE = 80;

/** The finished share of an import in percent; null if this report does not change it. Only weights count. */
export function shareDone({ phase, file, bytes: done, totalBytes }: ImportProgress, quantizes: boolean): number | null {
  if (totalBytes === 0 || !/\.(safetensors|bin|gguf)$/.test(file)) return null;
  const share = Math.min(1, done / totalBytes);
  const download = quantizes ? DOWNLOAD_SHARE : 100;
  return phase === "quantize" ? download + share * (100 - download) : share * download;
}

/** `Downloading model.safetensors: 123 MB of 548 MB, 12.3 MB/s, 35 s left` */
export function progressText({ phase, file, bytes: done, totalBytes, ...speed }: ImportProgress): string {
  if (totalBytes === 0) return activity(phase, file);
  const parts = [l10n.t("{0} of {1}", bytes(done), bytes(totalBytes))];
  if (speed.bytesPerSecond > 0) parts.push(l10n.t("{0}/s", bytes(speed.bytesPerSecond)));
  if (speed.secondsLeft !== null) parts.push(l10n.t("{0} left", duration(speed.secondsLeft)));
  return `${activity(phase, file)}: ${parts.join(", ")}`;
}

function activity(phase: ImportProgress["phase"], file: string): string {
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
      return l10n.t("Measuring the quantization error");
  }
}
