/** The last question before a run: start, or change a setting first. */

import type { MemoryEstimate, SettingsInfo } from "../../protocol/engineApi";
import { RemoteError } from "../../protocol/rpc";
import { errorText } from "../errorText";
import { bytes, deviceName } from "../format";
import { l10n } from "../l10n";
import { setting } from "../settings";
import { pickSetting } from "./pickSetting";
import { type SettingValue, settingsWith } from "./trainingChoices";

export type Changed = Readonly<Record<string, SettingValue>>;

interface RunQuestions {
  /** Estimates the memory of the run, which reads its text. */
  readonly estimate: (changed: Changed, signal: AbortSignal) => Promise<MemoryEstimate>;
  /** Returns the settings of a learning rate that the user accepts. */
  readonly findRate?: (changed: Changed) => Promise<Changed | undefined>;
}

/**
 * Returns the changed settings; Enter starts with the defaults. Undefined when dismissed. Throws at once for a text that
 * cannot be used; settings that cannot be used are a warning beside the start, so that they can be changed.
 */
export async function pickRunSettings(
  title: string,
  info: SettingsInfo,
  { estimate, findRate }: RunQuestions,
): Promise<Changed | undefined> {
  const changed: Record<string, SettingValue> = {};
  const find = {
    label: `$(graph-line) ${l10n.t("Find a learning rate…")}`,
    description: l10n.t("tests increasing rates for a minute and shows the loss of each"),
    value: "find" as const,
  };
  for (;;) {
    const abort = new AbortController();
    const choices = memoryOf(estimate(changed, abort.signal)).then((memory) => [
      startItem(memory),
      ...(findRate ? [find] : []),
    ]);
    const settings = settingsWith(info, changed);
    const picked = await pickSetting(title, choices, { settings, words: info.choices }, changed).finally(() =>
      abort.abort(),
    );
    // Settings of a schedule that was replaced do not apply.
    const known = settingsWith(info, changed);
    for (const name of Object.keys(changed)) if (!(name in known)) delete changed[name];
    if (!picked) return undefined;
    if (picked === "start") return changed;
    if (picked === "find") Object.assign(changed, await findRate?.(changed));
  }
}

function startItem({ text, isPossible }: MemoryText) {
  const device = l10n.t("device: {0}", deviceName(setting("engine.device")));
  return {
    label: `$(${isPossible ? "play" : "warning"}) ${l10n.t("Start training")}`,
    description: isPossible ? `${device} · ${text}` : text,
    value: "start" as const,
  };
}

interface MemoryText {
  /** The memory, such as `about 45 MB of memory of 20 GB that are free`, or why the run cannot start. */
  readonly text: string;
  readonly isPossible: boolean;
}

/** Puts an estimate in words. Throws only for a text that no setting makes usable. */
export async function memoryOf(estimate: Promise<MemoryEstimate>): Promise<MemoryText> {
  try {
    const { fits, advice, neededBytes, freeBytes } = await estimate;
    const memory = l10n.t("about {0} of memory of {1} that are free", bytes(neededBytes), bytes(freeBytes));
    return { text: advice ?? memory, isPossible: fits };
  } catch (error) {
    if (error instanceof RemoteError && error.code === "config") return { text: errorText(error), isPossible: false };
    throw error;
  }
}
