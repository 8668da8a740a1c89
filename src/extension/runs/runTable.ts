/** The rows of the table of runs: what their records say, without their reports. */

import type { PresetInfo } from "../../protocol/engineApi";
import type { Facts, RunRow } from "../../protocol/webviewApi";
import type { LabServices } from "../labServices";
import { readRecord } from "./runReports";
import { orderedSettings, type SettingValue, settingLabel } from "./trainingChoices";

/** All runs of the library, the newest first. */
export async function listRuns({ engine, models }: LabServices): Promise<RunRow[]> {
  const trained = models.models.filter(({ preset, bundled }) => preset !== null && !bundled);
  // Without the engine, only the changed settings are missing.
  const presets = trained.length === 0 ? [] : await engine.call("presets", {}).catch(() => []);
  return Promise.all(
    trained.map(async ({ dir, name, preset, step, loss, valLoss, parameters }) => {
      const record = await readRecord(dir);
      const seconds = record?.facts.seconds;
      const known = presets.find((each) => each.name === preset);
      return {
        ...{ dir, name, preset: preset ?? "", step, loss, valLoss, parameters },
        seconds: typeof seconds === "number" ? seconds : null,
        changed: known && record ? changedSettings(known, record.settings) : "",
      };
    }),
  );
}

/** The settings of a run that differ from its preset's, such as "Layers 2 · Width (dModel) 32". */
export function changedSettings({ settings }: Pick<PresetInfo, "settings">, ofRun: Facts): string {
  const changed = Object.entries(ofRun).filter(
    (entry): entry is [string, SettingValue] =>
      entry[1] !== null && entry[0] in settings && settings[entry[0]] !== entry[1],
  );
  return orderedSettings(Object.fromEntries(changed))
    .map(([name, value]) => `${settingLabel(name)} ${value}`)
    .join(" · ");
}
