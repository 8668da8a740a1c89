import { PRESETS, type PresetInfo, presetInfo, presetNamed } from "../../engine";
import type { Command } from "../options";

export const presets: Command = {
  summary: "List the training presets, or show the settings of one",
  usage: "presets [NAME] [--json]",
  values: [],
  positional: "name",
  flags: ["json"],
  async run(options) {
    const name = options.text("name");
    const found = (name === undefined ? PRESETS : [presetNamed(name)]).map(presetInfo);
    if (options.has("json")) return console.log(JSON.stringify(name === undefined ? found : found[0]));
    for (const preset of found)
      console.log(name === undefined ? `${preset.name}\t${preset.description}` : shown(preset));
  },
};

/** Formats a preset with all settings that `--set` accepts. */
function shown({ title, description, expected, sample, settings, choices, schedules }: PresetInfo): string {
  const own = settings["train.schedule.kind"];
  return [
    title,
    description,
    ...(sample === null ? [] : [`Sample text used without --data: ${sample}.`]),
    "",
    ...expected,
    "",
    ...Object.entries(settings).map(([name, value]) => `  ${name}=${value}${oneOf(choices[name], value)}`),
    "",
    ...Object.entries(schedules)
      .filter(([kind]) => kind !== own)
      .map(([, fields]) => `  ${written(fields)}`),
  ].join("\n");
}

const written = (settings: PresetInfo["settings"]) =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

/** The other choices of a setting. */
function oneOf(words: readonly string[] | undefined, now: string | number | boolean): string {
  const others = (words ?? []).filter((word) => word !== now);
  return others.length > 0 ? `  (or ${others.join(", ")})` : "";
}
