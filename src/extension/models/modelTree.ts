import * as vscode from "vscode";
import type { QueuedRun } from "../../protocol/webviewApi";
import { errorText, errorTextForLog } from "../errorText";
import { bytes, count, deviceName } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "./modelFolders";
import { type ModuleNode, moduleNode, problemNode } from "./moduleNodes";

type Node = Model | ModuleNode | QueuedRun;

const isModule = (node: Node): node is ModuleNode => "kind" in node;
const isQueued = (node: Node): node is QueuedRun => "id" in node && !("kind" in node);

/** The Models view: the queued training runs and the models, each with its modules. */
export class ModelTree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: vscode.Disposable;

  readonly onDidChangeTreeData = this.#changed.event;

  constructor(lab: LabServices) {
    this.#lab = lab;
    const changed = () => this.#changed.fire();
    this.#subscriptions = vscode.Disposable.from(
      lab.models.onDidChange(changed),
      lab.trainings.onDidChangeState(changed),
      lab.trainings.onDidChangeQueue(changed),
    );
  }

  async getChildren(parent?: Node): Promise<Node[]> {
    if (!parent) return [...this.#lab.trainings.queue.waiting, ...this.#lab.models.models];
    if (isQueued(parent)) return [];
    return isModule(parent) ? [...parent.children] : [await this.#describe(parent)];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    if (isQueued(node)) return this.#queuedItem(node);
    return isModule(node) ? moduleItem(node) : this.#modelItem(node);
  }

  /** Requested from the engine when a model is expanded. */
  async #describe({ dir }: Model): Promise<ModuleNode> {
    try {
      return moduleNode(await this.#lab.engine.call("describe", { dir }), dir);
    } catch (error) {
      this.#lab.log.warn(`describe: ${errorTextForLog(error)}`);
      return problemNode(errorText(error), dir);
    }
  }

  #queuedItem(run: QueuedRun): vscode.TreeItem {
    const { waiting, held } = this.#lab.trainings.queue;
    const item = new vscode.TreeItem(run.name);
    item.id = `queued ${run.id}`;
    item.contextValue = "queued";
    const queued = l10n.t("queued, position {0}", 1 + waiting.findIndex(({ id }) => id === run.id));
    item.description = [queued, run.about].filter(Boolean).join(" · ");
    item.tooltip = held ?? l10n.t("Starts when the runs before it are done.");
    item.iconPath = new vscode.ThemeIcon(held ? "debug-pause" : "clock");
    item.command = { command: "decoderLab.showTraining", title: l10n.t("Show Training") };
    item.accessibilityInformation = { label: `${run.name}, ${item.description}` };
    return item;
  }

  #modelItem(model: Model): vscode.TreeItem {
    const training = this.#lab.trainings.isTraining(model.dir);
    const active = this.#lab.models.active?.dir === model.dir;
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(model.name, training || model.problem ? None : Collapsed);
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
  const kind = model.bundled ? "bundled" : model.source === null ? "model" : "imported";
  return `${kind}${active ? "Active" : ""}`;
}

function describe(model: Model, active: boolean, training: boolean): string {
  const parts: string[] = [];
  if (training) parts.push(l10n.t("training"));
  else if (model.problem) return l10n.t("unusable");
  if (active) parts.push(l10n.t("active"));
  if (model.parameters !== null) parts.push(count(model.parameters));
  if (model.precision) parts.push(model.precision);
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
    [l10n.t("Family"), model.family],
    [l10n.t("Parameters"), model.parameters?.toLocaleString() ?? null],
    [l10n.t("Precision"), model.precision],
    [l10n.t("Size"), model.bytes === null ? null : bytes(model.bytes)],
    [
      l10n.t("Steps"),
      model.step === null ? null : model.steps === null ? `${model.step}` : `${model.step} / ${model.steps}`,
    ],
    [l10n.t("Training loss"), model.loss?.toFixed(4) ?? null],
    [l10n.t("Validation loss"), model.valLoss?.toFixed(4) ?? null],
    [l10n.t("Trained on"), model.device ? deviceName(model.device) : null],
    [l10n.t("Source"), model.source],
    [l10n.t("Revision"), model.revision],
    [
      l10n.t("Created"),
      model.bundled ? l10n.t("comes with the extension") : new Date(model.createdAt).toLocaleString(),
    ],
    [l10n.t("Folder"), model.dir],
  ];
  const text = new vscode.MarkdownString();
  text.appendText(model.name);
  for (const [label, value] of rows) {
    if (value !== null) text.appendMarkdown("  \n").appendText(`${label}: ${value}`);
  }
  return text;
}

function moduleItem({ kind, id, label, description, tooltip, children }: ModuleNode): vscode.TreeItem {
  const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
  // The class is the only child of a model, so it starts expanded.
  const state = children.length === 0 ? None : id.endsWith("#") ? Expanded : Collapsed;
  const item = new vscode.TreeItem(label, state);
  item.id = id;
  item.description = description;
  item.tooltip = tooltip.join("\n");
  item.iconPath = new vscode.ThemeIcon(MODULE_ICONS[kind]);
  item.accessibilityInformation = { label: tooltip.join(", ") };
  return item;
}

const MODULE_ICONS: { readonly [K in ModuleNode["kind"]]: string } = {
  module: "symbol-class",
  tensor: "symbol-array",
  note: "info",
  problem: "warning",
};

function icon(model: Model, active: boolean, training: boolean): vscode.ThemeIcon {
  if (training) return new vscode.ThemeIcon("loading~spin");
  if (model.problem) return new vscode.ThemeIcon("warning", new vscode.ThemeColor("list.warningForeground"));
  if (active) return new vscode.ThemeIcon("pass-filled", new vscode.ThemeColor("charts.green"));
  return new vscode.ThemeIcon(model.bundled ? "package" : model.source === null ? "circuit-board" : "cloud-download");
}
