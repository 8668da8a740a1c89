import type * as vscode from "vscode";
import type { Activity } from "./activity";
import type { EngineClient } from "./engineClient";
import type { Hub } from "./hub";
import type { ModelLibrary } from "./modelLibrary";
import type { Selections } from "./selections";
import type { Trainings } from "./trainings";

/** What commands, providers and views share. Made once, in `extension.ts`. */
export interface Lab {
  readonly extensionUri: vscode.Uri;
  readonly log: vscode.LogOutputChannel;
  readonly engine: EngineClient;
  readonly hub: Hub;
  readonly models: ModelLibrary;
  readonly trainings: Trainings;
  readonly activity: Activity;
  readonly selections: Selections;
}
