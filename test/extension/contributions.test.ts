import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  commandIds,
  contextKeys,
  settingChoices,
  settingDefaults,
  settingLimits,
  traceEditorType,
  trainingPanelType,
  viewIds,
} from "../../src/extension/contributions";
import { STEPS } from "../../src/extension/surprisal/shading";

interface Property {
  readonly default: unknown;
  readonly scope: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}
const json = (file: string) => JSON.parse(readFileSync(file, "utf8"));
const manifest = json("package.json");
const { contributes } = manifest;
const properties: Record<string, Property> = Object.assign(
  {},
  ...contributes.configuration.map((group: { properties: object }) => group.properties),
);
const named = (names: readonly string[]) => names.map((name) => `decoderLab.${name}`).sort();

describe("package.json and the code agree on", () => {
  test("the commands", () => {
    const declared = contributes.commands.map((each: { command: string }) => each.command).sort();
    expect(declared).toEqual(Object.values(commandIds).flat().sort());
  });

  test("the views", () => {
    const declared = contributes.views.decoderLab.map((view: { id: string }) => view.id).sort();
    expect(declared).toEqual(Object.values(viewIds).sort());
  });

  test("the settings and their defaults", () => {
    expect(Object.keys(properties).sort()).toEqual(named(Object.keys(settingDefaults)));
    for (const [name, value] of Object.entries(settingDefaults)) {
      expect(properties[`decoderLab.${name}`]?.default, name).toEqual(value);
    }
  });

  test("the limits of every number", () => {
    const limits = Object.entries(settingLimits).map(([name, range]) => [`decoderLab.${name}`, range] as const);
    for (const [name, [minimum, maximum]] of limits) expect(properties[name], name).toMatchObject({ minimum, maximum });
    const numbers = Object.entries(properties).filter(([, { default: value }]) => typeof value === "number");
    expect(numbers.map(([name]) => name).sort()).toEqual(limits.map(([name]) => name).sort());
  });

  test("the values of every setting with a fixed set of them", () => {
    const enums = Object.entries(properties).flatMap(([name, { enum: values }]) => (values ? [[name, values]] : []));
    expect(Object.fromEntries(enums)).toEqual(
      Object.fromEntries(Object.entries(settingChoices).map(([name, values]) => [`decoderLab.${name}`, values])),
    );
  });

  test("the editor of trace files", () => {
    const files = { filenamePattern: "*.dltrace" };
    expect(contributes.customEditors).toMatchObject([{ viewType: traceEditorType, selector: [files] }]);
  });

  test("the colors of the surprisal lens, one for each of its steps", () => {
    const steps = STEPS.map((_, i) => `decoderLab.surprisal${i + 1}`);
    expect(contributes.colors.map(({ id }: { id: string }) => id)).toEqual([...steps, "decoderLab.surprisalLine"]);
  });

  test("the panel that VS Code restores", () => {
    expect(manifest.activationEvents).toContain(`onWebviewPanel:${trainingPanelType}`);
  });
});

/** Commands of VS Code in the walkthrough. */
const editorCommands = ["workbench.action.files.newUntitledFile", "editor.action.inlineSuggest.commit"];

test("every command in a menu, a view or the walkthrough exists", () => {
  const used = [...JSON.stringify(contributes).matchAll(/"command":"([^"]+)"/g)].map((match) => match[1]);
  const texts = readFileSync("package.nls.json", "utf8");
  const linked = [...texts.matchAll(/command:(?:toSide:)?([\w.]+)/g)].map((match) => match[1]);
  const events = [...JSON.stringify(contributes.walkthroughs).matchAll(/onCommand:([\w.]+)/g)].map((match) => match[1]);
  const steps = [...JSON.stringify(contributes.walkthroughs).matchAll(/onContext:([\w.]+)/g)].map((match) => match[1]);
  for (const key of steps) expect(Object.values(contextKeys)).toContain(key);
  const known = [...Object.values(commandIds).flat(), ...editorCommands];
  for (const id of [...used, ...linked, ...events]) expect(known).toContain(id);
});

test("package.nls.json has exactly the texts of package.json", () => {
  const used = [...JSON.stringify(manifest).matchAll(/"%([^"%]+)%"/g)].map((match) => match[1]);
  expect(new Set(used)).toEqual(new Set(Object.keys(json("package.nls.json"))));
});

test("settings for a program, a device, or a server have machine scope and are restricted in untrusted workspaces", () => {
  const restricted = manifest.capabilities.untrustedWorkspaces.restrictedConfigurations;
  expect(restricted.sort()).toEqual(named(["engine.device", "engine.runtime", "hub.endpoint"]));
  for (const name of restricted) expect(properties[name]?.scope).toBe("machine");
});

test("modules that are tested without VS Code do not import it", () => {
  const testable = [
    "complete/cachedCompletion",
    "complete/eligibility",
    "complete/promptWindow",
    "complete/shownCompletion",
    "complete/trimCompletion",
    "models/modelFolders",
    "engine/supervision",
    "engine/engineClient",
    "runs/trainingRun",
    "contributions",
    "format",
    "l10n",
  ];
  for (const name of testable)
    expect(readFileSync(`src/extension/${name}.ts`, "utf8"), name).not.toMatch(/from "vscode"/);
});
