/** The sampling settings, named as in VS Code's settings and on the command line. */

import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { type TextField, textField } from "../../base/toolkit";
import type { Settings } from "./layout";

type Limits = readonly [least: number, most: number, whole: boolean];

/** Built once the page's language is known. */
const fields = (): {
  readonly [Name in keyof Settings]: readonly [label: string, limits: Limits, fallback: number];
} => ({
  temperature: [t("Temperature"), [0, 100, false], 0],
  topK: [t("Top-k"), [0, 1_000_000, true], 0],
  topP: [t("Top-p"), [0.01, 1, false], 1],
  minP: [t("Min-p"), [0, 1, false], 0],
  repetitionPenalty: [t("Repetition penalty"), [0.01, 100, false], 1],
  seed: [t("Seed"), [0, 4294967295, true], 0],
  maxNewTokens: [t("New tokens"), [1, 512, true], 24],
});

export interface SettingFields {
  readonly node: HTMLElement;
  /** The settings, or a sentence about what is wrong with them. */
  readonly read: () => Settings | string;
  readonly write: (settings: Partial<Settings>) => void;
}

export function createSettings(): SettingFields {
  const known = fields();
  const names = Object.keys(known) as (keyof Settings)[];
  const inputs = Object.fromEntries(
    names.map((name) => {
      const [label, , fallback] = known[name];
      const input = textField(label, "");
      input.append(label);
      input.value = String(fallback);
      return [name, input];
    }),
    // The keys are exactly the names.
  ) as Record<keyof Settings, TextField>;

  return {
    node: el("div", { class: "sampling-fields" }, ...names.map((name) => inputs[name])),
    read() {
      const read: Partial<Record<keyof Settings, number>> = {};
      for (const name of names) {
        const [label, [least, most, whole]] = known[name];
        const value = Number(inputs[name].value.trim().replace(",", "."));
        const isGood = inputs[name].value.trim() !== "" && value >= least && value <= most;
        if (!isGood || (whole && !Number.isInteger(value))) {
          return t("{0} must be a {1} from {2} to {3}.", label, whole ? t("whole number") : t("number"), least, most);
        }
        read[name] = value;
      }
      // Every name was read.
      return read as Settings;
    },
    write(settings) {
      for (const name of names) {
        const value = settings[name];
        if (value !== undefined) inputs[name].value = String(value);
      }
    },
  };
}
