import * as vscode from "vscode";
import { count, deviceName } from "../format";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import type { Model } from "../models";

/** The Models view: what is there, which is active, and what a run is doing. */
export class ModelTree implements vscode.TreeDataProvider<Model>, vscode.Disposable {
  readonly #lab: Lab;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: vscode.Disposable;

  readonly onDidChangeTreeData = this.#changed.event;

  constructor(lab: Lab) {
    this.#lab = lab;
    const changed = () => this.#changed.fire();
    this.#subscriptions = vscode.Disposable.from(
      lab.models.onDidChange(changed),
      lab.trainings.onDidChangeState(changed),
    );
  }

  getChildren(parent?: Model): Model[] {
    return parent ? [] : [...this.#lab.models.models];
  }

  getTreeItem(model: Model): vscode.TreeItem {
    const training = this.#lab.trainings.isTraining(model.dir);
    const active = this.#lab.models.active?.dir === model.dir;
    const item = new vscode.TreeItem(model.name);
    item.id = model.dir;
    item.contextValue = contextValue(model, active, training);
    item.description = describe(model, active, training);
    item.tooltip = tooltip(model, active, training);
    item.iconPath = icon(model, active, training);
    if (training) item.command = { command: "decoderLab.showTraining", title: l10n.t("Show Training") };
    item.accessibilityInformation = { label: `${model.name}, ${item.description}` };
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
    this.#subscriptions.dispose();
  }
}

function contextValue(model: Model, active: boolean, training: boolean): string {
  if (training) return "training";
  if (model.problem) return "broken";
  return `${model.bundled ? "bundled" : "model"}${active ? "Active" : ""}`;
}

function describe(model: Model, active: boolean, training: boolean): string {
  const parts: string[] = [];
  if (training) parts.push(l10n.t("training"));
  else if (model.problem) return l10n.t("cannot be used");
  if (active) parts.push(l10n.t("active"));
  if (model.parameters !== null) parts.push(count(model.parameters));
  const loss = model.valLoss ?? model.loss;
  if (loss !== null) parts.push(l10n.t("loss {0}", loss.toFixed(2)));
  if (model.device) parts.push(deviceName(model.device));
  return parts.join(" · ");
}

function tooltip(model: Model, active: boolean, training: boolean): vscode.MarkdownString {
  const rows: [string, string | null][] = [
    [l10n.t("State"), training ? l10n.t("training") : active ? l10n.t("active") : null],
    [l10n.t("Problem"), training ? null : model.problem],
    [l10n.t("Preset"), model.preset],
    [l10n.t("Parameters"), model.parameters?.toLocaleString() ?? null],
    [
      l10n.t("Steps"),
      model.step === null ? null : model.steps === null ? `${model.step}` : `${model.step} / ${model.steps}`,
    ],
    [l10n.t("Training loss"), model.loss?.toFixed(4) ?? null],
    [l10n.t("Validation loss"), model.valLoss?.toFixed(4) ?? null],
    [l10n.t("Trained on"), model.device ? deviceName(model.device) : null],
    [l10n.t("Made"), model.bundled ? l10n.t("comes with the extension") : new Date(model.createdAt).toLocaleString()],
    [l10n.t("Folder"), model.dir],
  ];
  const text = new vscode.MarkdownString();
  text.appendText(model.name);
  for (const [label, value] of rows) {
    if (value !== null) text.appendMarkdown("  \n").appendText(`${label}: ${value}`);
  }
  return text;
}

function icon(model: Model, active: boolean, training: boolean): vscode.ThemeIcon {
  if (training) return new vscode.ThemeIcon("loading~spin");
  if (model.problem) return new vscode.ThemeIcon("warning", new vscode.ThemeColor("list.warningForeground"));
  if (active) return new vscode.ThemeIcon("pass-filled", new vscode.ThemeColor("charts.green"));
  return new vscode.ThemeIcon(model.bundled ? "package" : "circuit-board");
}
