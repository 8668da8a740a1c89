import * as vscode from "vscode";
import { type Settings, settingChoices, settingDefaults, settingLimits } from "./contributions";

/**
 * Returns a setting, always with the right type and within its limits, whatever settings.json contains. `scope` is a
 * document for a setting that may depend on it.
 */
export function setting<Name extends keyof Settings>(name: Name, scope?: vscode.ConfigurationScope): Settings[Name] {
  const value: unknown = vscode.workspace.getConfiguration("decoderLab", scope).get(name);
  const fallback = settingDefaults[name];
  if (typeof value !== typeof fallback || value === null || Array.isArray(value) !== Array.isArray(fallback))
    return fallback;
  if (settingChoices[name]?.includes(String(value)) === false) return fallback;
  const limits: readonly [number, number] | undefined = settingLimits[name as keyof typeof settingLimits];
  const limited = limits && typeof value === "number" ? Math.min(Math.max(value, limits[0]), limits[1]) : value;
  // It has the type of the default, which was compared above.
  return limited as Settings[Name];
}

export async function setSetting<Name extends keyof Settings>(name: Name, value: Settings[Name]): Promise<void> {
  await vscode.workspace.getConfiguration("decoderLab").update(name, value, vscode.ConfigurationTarget.Global);
}
