/** The models of this machine and which of them is active, kept up to date with the folders. */

import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import * as vscode from "vscode";
import {
  chooseActive,
  folderFor,
  type ImportedFacts,
  listModels,
  type Model,
  nameFor,
  noteImport,
  readModel,
  renameModel,
} from "./modelFolders";

const ACTIVE = "activeModel";

export interface Place {
  readonly name: string;
  readonly dir: string;
}

export class ModelLibrary implements vscode.Disposable {
  readonly #state: vscode.Memento;
  readonly #bundledDir: string;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #watcher: vscode.FileSystemWatcher;
  /** For models that are still to be made. */
  readonly #promised = new Set<Place>();
  #models: readonly Model[] = [];
  #refreshing: Promise<void> | undefined;

  /** Where models are, but for the one that comes with the extension. */
  readonly dir: string;
  readonly onDidChange = this.#changed.event;

  constructor(context: vscode.ExtensionContext) {
    this.#state = context.globalState;
    this.#bundledDir = join(context.extensionPath, "media", "model");
    this.dir = join(context.globalStorageUri.fsPath, "models");
    // Other windows train, import and delete too.
    const records = new vscode.RelativePattern(context.globalStorageUri, "models/*/{training,source}.json");
    this.#watcher = vscode.workspace.createFileSystemWatcher(records);
    const refresh = () => void this.refresh();
    this.#watcher.onDidCreate(refresh);
    this.#watcher.onDidChange(refresh);
    this.#watcher.onDidDelete(refresh);
  }

  get models(): readonly Model[] {
    return this.#models;
  }

  get active(): Model | undefined {
    return chooseActive(this.#models, this.#state.get<string>(ACTIVE));
  }

  /** Reads the folders again. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async activate(dir: string): Promise<void> {
    await this.#state.update(ACTIVE, dir);
    this.#changed.fire();
  }

  async rename(model: Model, name: string): Promise<void> {
    await renameModel(model.dir, name);
    await this.refresh();
  }

  /** An imported model is there, under this name. */
  async noteImport(dir: string, name: string, facts: ImportedFacts): Promise<void> {
    await noteImport(dir, name, facts);
    await this.refresh();
  }

  async delete(model: Model): Promise<void> {
    await rm(model.dir, { recursive: true, force: true });
    await this.refresh();
  }

  /** A name and a folder that no model has yet, and no other gets until they are given back or this window ends. */
  place(wanted: string): Place {
    const there = this.#models.flatMap(({ name, dir, bundled }) => (bundled ? [] : [{ name, dir }]));
    const taken = [...there, ...this.#promised];
    const name = nameFor(
      wanted,
      taken.map((place) => place.name),
    );
    const folder = folderFor(
      name,
      taken.map((place) => basename(place.dir)),
    );
    const place = { name, dir: join(this.dir, folder) };
    this.#promised.add(place);
    return place;
  }

  /** Of what was to be a model and did not become one. */
  giveBack(place: Place): void {
    this.#promised.delete(place);
  }

  dispose(): void {
    this.#changed.dispose();
    this.#watcher.dispose();
  }

  async #read(): Promise<void> {
    const [trained, bundled] = await Promise.all([listModels(this.dir), readModel(this.#bundledDir, true)]);
    // A source tree before its first build has no bundled model; that is not a broken one.
    this.#models = bundled.createdAt === 0 ? trained : [...trained, bundled];
    for (const place of this.#promised) if (trained.some(({ dir }) => dir === place.dir)) this.#promised.delete(place);
    this.#changed.fire();
  }
}
