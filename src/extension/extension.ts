import { basename, join } from "node:path";
import * as vscode from "vscode";
import { InlineCompletion } from "./complete/inlineCompletion";
import { whyThisCompletion } from "./complete/whyThisCompletion";
import { type Commands, explorerPanelType, traceEditorType, trainingPanelType, viewIds } from "./contributions";
import { EngineActivity } from "./engine/engineActivity";
import { EngineClient, type EngineState } from "./engine/engineClient";
import { chooseDevice, restartEngine, showMenu, toggleCompletions } from "./engine/engineCommands";
import { StatusItem } from "./engine/statusItem";
import { ExplorerPanel } from "./explore/explorerPanel";
import { exploreToken } from "./explore/exploreToken";
import { InspectorView } from "./explore/inspectorView";
import { openExplorer } from "./explore/openExplorer";
import { Selections } from "./explore/selections";
import { TokenHover, textSchemes } from "./explore/tokenHover";
import { TraceEditor } from "./explore/traceEditor";
import { l10n } from "./l10n";
import type { LabServices } from "./labServices";
import { Hub } from "./models/hub";
import { importModel, setHubToken } from "./models/importModel";
import {
  activateModel,
  chooseModel,
  copyModuleTree,
  deleteModel,
  inspectModel,
  renameModel,
  resumeRun,
  resumeTraining,
  revealModel,
} from "./models/modelCommands";
import { ModelLibrary } from "./models/modelLibrary";
import { ModelTree } from "./models/modelTree";
import { registerCommand, showingErrors } from "./registerCommand";
import { changeQueue } from "./runs/queueCommands";
import { branchFrom, branchTraining, chooseCompared, exportProject, openRunRecord } from "./runs/runCommands";
import { TrainingPanel } from "./runs/trainingPanel";
import { Trainings } from "./runs/trainings";
import { trainTinyGpt } from "./runs/trainTinyGpt";
import { setting } from "./settings";
import { SurprisalLens } from "./surprisal/surprisalLens";

let engine: EngineClient | undefined;

/** Registers everything; starts nothing. The engine starts when it is first asked. */
export function activate(context: vscode.ExtensionContext): void {
  const began = performance.now();
  l10n.use(vscode.l10n.t);
  const log = vscode.window.createOutputChannel("Decoder Lab", { log: true });

  engine = new EngineClient({
    script: join(context.extensionPath, "dist", "engine.js"),
    runtime: () => setting("engine.runtime").trim() || undefined,
    device: () => setting("engine.device"),
    log,
    onState: (state) => {
      status.update();
      if (state.kind === "running") {
        inspector.engineStarted();
        explorer.engineStarted();
        traces.engineStarted();
        surprisal.engineStarted();
      }
      void tellState(state);
    },
  });
  const models = new ModelLibrary(context);
  const trainings = new Trainings(engine, models);
  const activity = new EngineActivity(() => status.update());
  const hub = new Hub(context.secrets);
  const selections = new Selections();
  const lab: LabServices = {
    extensionUri: context.extensionUri,
    log,
    engine,
    hub,
    models,
    trainings,
    activity,
    selections,
  };

  const status = new StatusItem(lab);
  const tree = new ModelTree(lab);
  const inspector = new InspectorView(lab);
  const explorer = new ExplorerPanel(lab);
  const traces = new TraceEditor(lab);
  const panel: TrainingPanel = new TrainingPanel(lab, {
    resume: (dir) => void showingErrors("resume", () => resumeRun(lab, panel, dir), log),
    branch: (run, checkpoint) => void showingErrors("branch", () => branchFrom(lab, panel, run, checkpoint), log),
    exportProject: (dir) => void showingErrors("export", () => exportProject(lab)({ dir, name: basename(dir) }), log),
    chooseCompared: (dir, chosen) => chooseCompared(lab, dir, chosen),
  });
  const completions = new InlineCompletion(lab);
  const hover = new TokenHover(lab, completions);
  const surprisal = new SurprisalLens(lab);
  const texts = textSchemes.map((scheme) => ({ scheme }));
  const command = <Id extends keyof Commands>(id: Id, run: Commands[Id]) => registerCommand(id, run, log);

  context.subscriptions.push(
    log,
    selections,
    models,
    trainings,
    status,
    tree,
    inspector,
    explorer,
    panel,
    hover,
    surprisal,
    command("decoderLab.trainTinyGpt", trainTinyGpt(lab, panel)),
    command("decoderLab.importModel", importModel(lab)),
    command("decoderLab.setHubToken", setHubToken(lab)),
    command("decoderLab.showTraining", async () => panel.show()),
    command("decoderLab.pauseTraining", async () =>
      trainings.current?.pause(trainings.current.state.phase !== "paused"),
    ),
    command("decoderLab.stopTraining", async () => trainings.current?.stop()),
    command("decoderLab.resumeTraining", resumeTraining(lab, panel)),
    command("decoderLab.openRunRecord", openRunRecord(lab, panel)),
    command("decoderLab.branchTraining", branchTraining(lab, panel)),
    command("decoderLab.exportProject", exportProject(lab)),
    command("decoderLab.runQueuedNow", changeQueue(lab, "now")),
    command("decoderLab.moveQueuedUp", changeQueue(lab, "up")),
    command("decoderLab.moveQueuedDown", changeQueue(lab, "down")),
    command("decoderLab.removeQueued", changeQueue(lab, "remove")),
    command("decoderLab.goOnWithQueue", async () => trainings.goOn()),
    command("decoderLab.chooseModel", chooseModel(lab)),
    command("decoderLab.activateModel", activateModel(lab)),
    command("decoderLab.inspectModel", inspectModel(lab, inspector)),
    command("decoderLab.renameModel", renameModel(lab)),
    command("decoderLab.deleteModel", deleteModel(lab)),
    command("decoderLab.revealModel", revealModel(lab)),
    command("decoderLab.copyModuleTree", copyModuleTree(lab)),
    command("decoderLab.refreshModels", () => models.refresh()),
    command("decoderLab.inspectSelection", () => inspector.reveal()),
    command("decoderLab.openExplorer", openExplorer(lab, explorer)),
    command("decoderLab.exploreInspected", async () => explorer.show(inspector.text)),
    command("decoderLab.toggleAttentionShading", async () => explorer.toggleShading()),
    command("decoderLab.whyThisCompletion", whyThisCompletion(lab, completions, explorer)),
    command("decoderLab.exploreTokens", async () => explorer.show(null, "tokens")),
    command("decoderLab.exploreNextToken", async () => explorer.show(null, "nextToken")),
    command("decoderLab.exploreAttention", async () => explorer.show(null, "attention")),
    command("decoderLab.exploreToken", exploreToken(explorer)),
    command("decoderLab.toggleSurprisal", () => surprisal.toggle()),
    command("decoderLab.toggleCompletions", toggleCompletions()),
    command("decoderLab.chooseDevice", chooseDevice(lab)),
    command("decoderLab.restartEngine", restartEngine(lab)),
    command("decoderLab.showLog", async () => log.show()),
    command("decoderLab.showMenu", showMenu(lab)),
    vscode.window.registerTreeDataProvider(viewIds.models, tree),
    vscode.window.registerWebviewViewProvider(viewIds.inspector, inspector),
    vscode.window.registerWebviewPanelSerializer(trainingPanelType, panel),
    vscode.window.registerWebviewPanelSerializer(explorerPanelType, explorer),
    vscode.window.registerCustomEditorProvider(traceEditorType, traces),
    vscode.languages.registerHoverProvider(texts, hover),
    vscode.languages.registerHoverProvider(texts, surprisal),
    vscode.languages.registerInlineCompletionItemProvider({ pattern: "**" }, completions),
    models.onDidChange(() => status.update()),
    trainings.onDidReport(() => status.update()),
    trainings.onDidChangeState(() => status.update()),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("decoderLab.engine")) void restartWithSettings(lab);
    }),
  );
  models.refresh().catch((error: unknown) => log.error(`models: ${error}`));
  log.info(`activated in ${(performance.now() - began).toFixed(1)} ms`);
}

/** Waits until the engine has ended, so that no process is left behind. */
export async function deactivate(): Promise<void> {
  await engine?.dispose();
}

/** The new device or runtime is for the next start; a run that goes on is not interrupted for it. */
async function restartWithSettings({ engine: running, trainings }: LabServices): Promise<void> {
  if (running.state.kind === "idle") return;
  if (trainings.current?.active) {
    void vscode.window.showInformationMessage(
      l10n.t("The new engine settings apply after “Restart Engine”; a model is training."),
    );
    return;
  }
  await running.restart();
}

/** A crash is told when something has changed for the user: another device, or no engine any more. */
async function tellState(state: EngineState): Promise<void> {
  if (state.kind === "restarting" && state.fallsBack) void vscode.window.showWarningMessage(state.message);
  if (state.kind !== "stopped") return;
  const [restart, showLog] = [l10n.t("Restart Engine"), l10n.t("Show Log")];
  const chosen = await vscode.window.showErrorMessage(state.message, restart, showLog);
  if (chosen === restart) await vscode.commands.executeCommand("decoderLab.restartEngine");
  if (chosen === showLog) await vscode.commands.executeCommand("decoderLab.showLog");
}
