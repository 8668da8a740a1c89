import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import type { ExplorerPanel } from "./explorerPanel";

/** Opens the Explorer: with the text of the active editor; from the Models view, with the model that was chosen there. */
export function openExplorer(lab: LabServices, explorer: ExplorerPanel) {
  // The title bar of an editor gives its document's address, which is that of the active editor.
  return async (given?: Model | object): Promise<void> => {
    if (given && "dir" in given && typeof given.dir === "string") await lab.models.activate(given.dir);
    explorer.show();
  };
}
