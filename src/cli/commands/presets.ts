import { PRESETS, type PresetInfo, presetInfo, presetNamed } from "../../engine";
import type { Command } from "../options";
import { print } from "../terminal";

export const presets: Command = {
  summary: "List the training presets, or show the settings of one",
  usage: "presets [NAME] [--json]",
  values: [],
  positional: "name",
  flags: ["json"],
  async run(options) {
    const name = options.text("name");
    const found = (name === undefined ? PRESETS : [presetNamed(name)]).map(presetInfo);
    if (options.has("json")) return print(JSON.stringify(name === undefined ? found : found[0]));
    for (const preset of found) print(name === undefined ? `${preset.name}\t${preset.description}` : details(preset));
  },
};

/** Formats a preset with all settings that `--set` accepts. */
function details({ title, description, expected, sample, settings, choices, schedules }: PresetInfo): string {
  const current = settings["train.schedule.kind"];
  return [
    title,
    description,
    ...(sample === null ? [] : [`Without --data, trains on the sample ${sample}.`]),
    "",
    ...expected,
    "",
    ...Object.entries(settings).map(([name, value]) => `  ${name}=${value}${otherChoices(choices[name], value)}`),
    "",
    ...Object.entries(schedules)
      .filter(([kind]) => kind !== current)
      .map(([, fields]) => `  ${assignments(fields)}`),
  ].join("\n");
}

const assignments = (settings: PresetInfo["settings"]) =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

/** The choices of a setting besides its current value. */
function otherChoices(words: readonly string[] | undefined, value: string | number | boolean): string {
  const others = (words ?? []).filter((word) => word !== value);
  return others.length > 0 ? `  (or ${others.join(", ")})` : "";
}
