import type * as vscode from "vscode";
import type { Snooze } from "./complete/snooze";
import type { EngineActivity } from "./engine/engineActivity";
import type { EngineClient } from "./engine/engineClient";
import type { Selections } from "./explore/selections";
import type { Hub } from "./models/hub";
import type { ModelLibrary } from "./models/modelLibrary";
import type { Trainings } from "./runs/trainings";

/** The services that commands, providers, and views share. extension.ts creates the only instance. */
export interface LabServices {
  readonly extensionUri: vscode.Uri;
  /** State of the workspace, such as sets of prompts. */
  readonly workspaceState: vscode.Memento;
  readonly log: vscode.LogOutputChannel;
  readonly engine: EngineClient;
  readonly hub: Hub;
  readonly models: ModelLibrary;
  readonly trainings: Trainings;
  readonly activity: EngineActivity;
  readonly selections: Selections;
  readonly snooze: Snooze;
}
