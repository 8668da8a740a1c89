/** The last question before a run: start, or change a setting first. */

import type { MemoryEstimate, SettingsInfo } from "../../protocol/engineApi";
import { deviceName } from "../format";
import { l10n } from "../l10n";
import { setting } from "../settings";
import { type MemoryText, memoryOf } from "./memoryText";
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
