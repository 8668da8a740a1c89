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

/** A name and a folder that are reserved for a new model. */
export interface Reservation {
  readonly name: string;
  readonly dir: string;
}

/** The models on this machine and the active one, kept up to date with the folders. */
export class ModelLibrary implements vscode.Disposable {
  readonly #state: vscode.Memento;
  readonly #bundledDir: string;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #watcher: vscode.FileSystemWatcher;
  readonly #reserved = new Set<Reservation>();
  #models: readonly Model[] = [];
  #refreshing: Promise<void> | undefined;

  /** The folder of all models but the bundled one. */
  readonly dir: string;
  readonly onDidChange = this.#changed.event;

  constructor(context: vscode.ExtensionContext) {
    this.#state = context.globalState;
    this.#bundledDir = join(context.extensionPath, "media", "model");
    this.dir = join(context.globalStorageUri.fsPath, "models");
    // Other windows also train, import, and delete models.
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

  /** Writes the record of an imported model. */
  async noteImport(dir: string, name: string, facts: ImportedFacts): Promise<void> {
    await noteImport(dir, name, facts);
    await this.refresh();
  }

  async delete(model: Model): Promise<void> {
    await rm(model.dir, { recursive: true, force: true });
    await this.refresh();
  }

  /** Reserves a unique name and folder for a new model, until they are released or the window closes. */
  reserve(wanted: string): Reservation {
    const existing = this.#models.flatMap(({ name, dir, bundled }) => (bundled ? [] : [{ name, dir }]));
    const taken = [...existing, ...this.#reserved];
    const name = nameFor(
      wanted,
      taken.map((each) => each.name),
    );
    const folder = folderFor(
      name,
      taken.map((each) => basename(each.dir)),
    );
    const reservation = { name, dir: join(this.dir, folder) };
    this.#reserved.add(reservation);
    return reservation;
  }

  /** Releases the reservation of a model that was not created after all. */
  release(reservation: Reservation): void {
    this.#reserved.delete(reservation);
  }

  dispose(): void {
    this.#changed.dispose();
    this.#watcher.dispose();
  }

  async #read(): Promise<void> {
    const [trained, bundled] = await Promise.all([listModels(this.dir), readModel(this.#bundledDir, true)]);
    // A source tree has no bundled model before its first build, which is not an error.
    this.#models = bundled.createdAt === 0 ? trained : [...trained, bundled];
    for (const each of this.#reserved) if (trained.some(({ dir }) => dir === each.dir)) this.#reserved.delete(each);
    this.#changed.fire();
  }
}
