import * as vscode from "vscode";
import type { FoundModel, ImportParams, ModelInfo } from "../../protocol/engineApi";
import { isCanceled, RemoteError } from "../../protocol/rpc";
import { errorText, errorTextForLog } from "../errorText";
import { bytes, count } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import {
  fileSource,
  folderSource,
  foundText,
  hubSource,
  type ImportSource,
  importedName,
  precisions,
  typedModel,
} from "./importChoices";
import { progressText, shareDone } from "./importProgress";
import { offerModel } from "./offerModel";

/** Asks for a model and a precision, and imports the model with progress in a notification. */
export function importModel(lab: LabServices) {
  return async (): Promise<void> => {
    const source = await pickSource(lab);
    if (!source) return;
    const precision = source.isQuantized ? { quantize: undefined } : await pickPrecision(source);
    if (precision) await runImport(lab, source, precision.quantize);
  };
}

export const setHubToken = (lab: LabServices) => async (): Promise<void> => {
  await askForToken(lab);
};

/** Returns false when dismissed. */
async function askForToken({ hub }: LabServices): Promise<boolean> {
  const token = await vscode.window.showInputBox({
    title: l10n.t("Hugging Face Token"),
    prompt: l10n.t(
      "Needed for gated and private models. Stored in the editor’s secret storage; leave empty to remove it.",
    ),
    placeHolder: "hf_…",
    password: true,
    ignoreFocusOut: true,
    validateInput: (text) =>
      /^[\x21-\x7e]*$/.test(text.trim())
        ? undefined
        : l10n.t("That does not look like a Hugging Face token. Copy it again from your account settings."),
  });
  if (token === undefined) return false;
  await hub.setToken(token.trim());
  return true;
}

interface SourceItem extends vscode.QuickPickItem {
  /** Missing for items that only show a message. Returns undefined when dismissed. */
  readonly choose?: () => Promise<ImportSource | undefined>;
  /** The search failed, and choosing the item repeats it. */
  readonly isFailure?: true;
}

/** Delay after typing before the search starts, in milliseconds. */
const SEARCH_DELAY = 300;

async function pickSource(lab: LabServices): Promise<ImportSource | undefined> {
  const pick = vscode.window.createQuickPick<SourceItem>();
  pick.title = l10n.t("Import Model: Choose a Model");
  pick.placeholder = l10n.t("Search Hugging Face, or enter a name such as facebook/opt-125m");
  const { offline } = await lab.hub.access();
  let timer: NodeJS.Timeout | undefined;
  let searching: AbortController | undefined;
  let found: readonly SourceItem[] = [];

  const show = () => {
    pick.items = [...typedItems(pick.value, found), ...found, ...localItems(lab)];
  };
  /** While nothing is found, the first item says why, so that Enter does not choose a folder instead. */
  const say = (label: string) => {
    found = [{ label, alwaysShow: true }];
    show();
  };
  const search = async (query: string) => {
    const abort = new AbortController();
    searching = abort;
    pick.busy = true;
    say(l10n.t("Searching…"));
    const items = await searchItems(lab, query, abort.signal);
    if (abort.signal.aborted) return;
    pick.busy = false;
    found = items;
    show();
  };
  const forget = () => {
    clearTimeout(timer);
    searching?.abort();
    pick.busy = false;
  };
  pick.onDidChangeValue((value) => {
    forget();
    const query = value.trim();
    if (query === "") {
      found = [];
      show();
    } else if (offline) {
      say(l10n.t("The search is off, because the setting decoderLab.hub.offline is on."));
    } else {
      say(l10n.t("Searching…"));
      timer = setTimeout(() => void search(query), SEARCH_DELAY);
    }
  });

  show();
  const chosen = await new Promise<SourceItem | undefined>((resolve) => {
    pick.onDidAccept(() => {
      const item = pick.selectedItems[0];
      if (item?.isFailure) void search(pick.value.trim());
      else if (item?.choose) resolve(item);
    });
    pick.onDidHide(() => resolve(undefined));
    pick.show();
  });
  forget();
  pick.dispose();
  return chosen?.choose?.();
}

/** A full name can be imported without a search. */
function typedItems(text: string, found: readonly SourceItem[]): SourceItem[] {
  const name = typedModel(text);
  if (name === null || found.some(({ label }) => label === name)) return [];
  const choose = async () => hubSource(name, null);
  return [{ label: name, description: l10n.t("as typed"), alwaysShow: true, choose }];
}

async function searchItems({ engine, hub }: LabServices, query: string, signal: AbortSignal): Promise<SourceItem[]> {
  try {
    const found = await engine.call("searchHub", { query, access: await hub.access() }, { signal });
    if (found.length > 0) return found.map(foundItem);
    return [{ label: l10n.t("No supported model has “{0}” in its name.", query), alwaysShow: true }];
  } catch (error) {
    const detail = l10n.t("Press Enter to try again.");
    return [{ label: `$(warning) ${errorText(error)}`, detail, alwaysShow: true, isFailure: true }];
  }
}

const foundItem = (found: FoundModel): SourceItem => ({
  label: found.id,
  description: foundText(found),
  alwaysShow: true,
  choose: async () => hubSource(found.id, found.parameters ?? null),
});

const localItems = ({ engine }: LabServices): SourceItem[] => [
  { label: l10n.t("Local"), kind: vscode.QuickPickItemKind.Separator },
  {
    label: `$(folder) ${l10n.t("Choose a folder…")}`,
    description: l10n.t("config.json, weights, and a tokenizer"),
    alwaysShow: true,
    choose: async () => {
      const dir = await chooseOnDisk({ canSelectFolders: true, canSelectFiles: false });
      return dir === undefined ? undefined : folderSource(dir, await engine.call("describe", { dir }));
    },
  },
  {
    label: `$(file) ${l10n.t("Choose a GGUF file…")}`,
    alwaysShow: true,
    choose: async () => {
      const file = await chooseOnDisk({ filters: { GGUF: ["gguf"] } });
      return file === undefined ? undefined : fileSource(file, await engine.call("checkGguf", { path: file }));
    },
  },
];

async function chooseOnDisk(options: vscode.OpenDialogOptions): Promise<string | undefined> {
  const uris = await vscode.window.showOpenDialog({
    title: l10n.t("Import Model"),
    openLabel: l10n.t("Import"),
    ...options,
  });
  const uri = uris?.[0];
  if (uri && uri.scheme !== "file")
    throw new Error(l10n.t("This file is not on the machine that runs the engine. Choose a local one."));
  return uri?.fsPath;
}

const pickPrecision = (source: ImportSource) =>
  vscode.window.showQuickPick(precisions(source), {
    title: l10n.t("Import {0}: Choose a Precision", source.name),
    placeHolder: l10n.t("Precision of the weights"),
  });

/** Imports a model, and tries again if the user provides a missing token. */
async function runImport(lab: LabServices, source: ImportSource, quantize: ImportParams["quantize"]): Promise<void> {
  await lab.models.refresh();
  const reservation = lab.models.reserve(importedName(source.name, quantize));
  const { name, dir } = reservation;
  try {
    const params = { source: source.source, out: dir, quantize, access: await lab.hub.access() };
    const info = await withProgress(lab, name, params);
    await lab.models.noteImport(dir, name, info);
    for (const note of info.notes ?? []) lab.log.info(`import of ${name}: ${note}`);
    void offerNext(lab, dir, name, info);
  } catch (error) {
    lab.models.release(reservation);
    if (isCanceled(error)) return notifyOfCancellation(source);
    if (!source.isRemote || !(error instanceof RemoteError)) throw error;
    lab.log.error(`import: ${errorTextForLog(error)}`);
    if (error.code === "hub") {
      const retry = l10n.t("Retry");
      const chosen = await vscode.window.showErrorMessage(error.message, retry);
      return chosen === retry ? runImport(lab, source, quantize) : undefined;
    }
    if (!wantsToken(error)) throw error;
    const setToken = l10n.t("Set Token");
    const chosen = await vscode.window.showErrorMessage(error.message, setToken);
    if (chosen === setToken && (await askForToken(lab))) await runImport(lab, source, quantize);
  }
}

function withProgress({ engine }: LabServices, name: string, params: ImportParams): Promise<ModelInfo> {
  const location = vscode.ProgressLocation.Notification;
  const options = { location, title: l10n.t("Importing {0}", name), cancellable: true };
  // Converts the Thenable of VS Code to a promise.
  return Promise.resolve(
    vscode.window.withProgress(options, async (progress, token) => {
      const abort = new AbortController();
      const subscription = token.onCancellationRequested(() => abort.abort());
      let shown = 0;
      try {
        return await engine.call("importModel", params, {
          signal: abort.signal,
          onProgress: (now) => {
            const share = Math.max(shown, shareDone(now, params.quantize !== undefined) ?? 0);
            progress.report({ message: progressText(now), increment: share - shown });
            shown = share;
          },
        });
      } finally {
        subscription.dispose();
      }
    }),
  );
}

/** Without a token, Hugging Face reports private models as not found. */
const wantsToken = ({ code }: RemoteError): boolean => code === "hubAccess" || code === "notFound";

function notifyOfCancellation({ name, isRemote }: ImportSource): void {
  void vscode.window.showInformationMessage(
    isRemote
      ? l10n.t("The import of {0} was canceled. Import it again to resume the download.", name)
      : l10n.t("The import of {0} was canceled.", name),
  );
}

async function offerNext(
  lab: LabServices,
  dir: string,
  name: string,
  { parameters, bytes: size, notes = [] }: ModelInfo,
): Promise<void> {
  const showLog = l10n.t("Show Log");
  const message = l10n.t("“{0}” is imported ({1} parameters, {2}).", name, count(parameters), bytes(size));
  const noted = notes.length === 0 ? [] : [l10n.t("See the log for {0} notes on its files.", notes.length)];
  const others = notes.length === 0 ? [] : [showLog];
  const chosen = await offerModel(lab, [message, ...noted].join(" "), dir, ...others);
  if (chosen === showLog) lab.log.show();
}
