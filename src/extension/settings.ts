/** Settings as the code uses them: of the right type and inside their limits, whatever settings.json says. */

import * as vscode from "vscode";
import { type Settings, settingChoices, settingDefaults, settingLimits } from "./contributions";

/** The value of a setting, for a document where it may differ from one to the other. */
export function setting<Name extends keyof Settings>(name: Name, scope?: vscode.ConfigurationScope): Settings[Name] {
  const value: unknown = vscode.workspace.getConfiguration("decoderLab", scope).get(name);
  const fallback = settingDefaults[name];
  if (typeof value !== typeof fallback || value === null || Array.isArray(value) !== Array.isArray(fallback))
    return fallback;
  if (settingChoices[name]?.includes(String(value)) === false) return fallback;
  const limits: readonly [number, number] | undefined = settingLimits[name as keyof typeof settingLimits];
  const limited = limits && typeof value === "number" ? Math.min(Math.max(value, limits[0]), limits[1]) : value;
  // Of the default's type, which was compared above.
  return limited as Settings[Name];
}

export async function setSetting<Name extends keyof Settings>(name: Name, value: Settings[Name]): Promise<void> {
  await vscode.workspace.getConfiguration("decoderLab").update(name, value, vscode.ConfigurationTarget.Global);
}
