import { join } from "node:path";
import * as vscode from "vscode";
import { completionCommands, InlineCompletion } from "./complete/inlineCompletion";
import { Snooze } from "./complete/snooze";
import { whyThisCompletion } from "./complete/whyThisCompletion";
import { explorerPanelType, traceEditorType, trainingPanelType, viewIds } from "./contributions";
import { EngineActivity } from "./engine/engineActivity";
import { EngineClient } from "./engine/engineClient";
import { engineCommands, notifyOfCrash, restartWithSettings } from "./engine/engineCommands";
import { StatusItem } from "./engine/statusItem";
import { exploreCommands } from "./explore/exploreCommands";
import { ExplorerPanels } from "./explore/explorerPanels";
import { InspectorView } from "./explore/inspectorView";
import { Selections } from "./explore/selections";
import { TokenHover, textSchemes } from "./explore/tokenHover";
import { TraceEditor } from "./explore/traceEditor";
import { greet, openWalkthrough } from "./getStarted";
import { l10n } from "./l10n";
import type { LabServices } from "./labServices";
import { Hub } from "./models/hub";
import { modelCommands } from "./models/modelCommands";
import { ModelLibrary } from "./models/modelLibrary";
import { ModelTree } from "./models/modelTree";
import { registerCommands } from "./registerCommands";
import { createTrainingPanel, runCommands } from "./runs/commands";
import { Trainings } from "./runs/trainings";
import { setting } from "./settings";
import { SurprisalLens } from "./surprisal/surprisalLens";

let engine: EngineClient | undefined;

/** Registers everything and starts nothing: the engine starts with the first call. */
export function activate(context: vscode.ExtensionContext): void {
  const startTime = performance.now();
  l10n.use(vscode.l10n.t);
  const log = vscode.window.createOutputChannel("Decoder Lab", { log: true });

  engine = new EngineClient({
    script: join(context.extensionPath, "dist", "engine.js"),
    runtime: () => setting("engine.runtime").trim() || undefined,
    device: () => setting("engine.device"),
    unloadAfter: () => setting("engine.unloadAfterMinutes"),
    modelsDir: () => models.dir,
    log,
    onState: (state) => {
      status.update();
      if (state.kind === "running") for (const view of [inspector, explorers, traces, surprisal]) view.engineStarted();
      void notifyOfCrash(state);
    },
  });
  const models = new ModelLibrary(context);
  const trainings = new Trainings(engine, models);
  const activity = new EngineActivity(() => status.update());
  const hub = new Hub(context.secrets);
  const selections = new Selections();
  const { extensionUri, workspaceState } = context;
  const snooze = new Snooze();
  const lab: LabServices = {
    extensionUri,
    workspaceState,
    log,
    engine,
    hub,
    models,
    trainings,
    activity,
    selections,
    snooze,
  };

  const status = new StatusItem(lab);
  const tree = new ModelTree(lab);
  const inspector = new InspectorView(lab);
  const explorers = new ExplorerPanels(lab);
  const traces = new TraceEditor(lab);
  const panel = createTrainingPanel(lab);
  const completions = new InlineCompletion(lab);
  const hover = new TokenHover(lab, completions);
  const surprisal = new SurprisalLens(lab);
  const texts = textSchemes.map((scheme) => ({ scheme }));

  context.subscriptions.push(
    log,
    selections,
    snooze,
    models,
    trainings,
    status,
    tree,
    inspector,
    explorers,
    panel,
    hover,
    surprisal,
    registerCommands(
      {
        ...engineCommands(lab),
        ...modelCommands(lab, () => inspector.reveal()),
        ...runCommands(lab, panel),
        ...exploreCommands(lab, explorers, inspector),
        "decoderLab.toggleSurprisal": () => surprisal.toggle(),
        ...completionCommands(lab),
        "decoderLab.getStarted": () => openWalkthrough(context),
        "decoderLab.whyThisCompletion": whyThisCompletion(lab, completions, explorers),
      },
      log,
    ),
    vscode.window.registerTreeDataProvider(viewIds.models, tree),
    vscode.window.registerWebviewViewProvider(viewIds.inspector, inspector),
    vscode.window.registerWebviewPanelSerializer(trainingPanelType, panel),
    vscode.window.registerWebviewPanelSerializer(explorerPanelType, explorers),
    vscode.window.registerCustomEditorProvider(traceEditorType, traces),
    vscode.languages.registerHoverProvider(texts, hover),
    vscode.languages.registerHoverProvider(texts, surprisal),
    vscode.languages.registerInlineCompletionItemProvider({ pattern: "**" }, completions),
    models.onDidChange(() => status.update()),
    snooze.onDidChange(() => status.update()),
    trainings.onDidReport(() => status.update()),
    trainings.onDidChangeState(() => status.update()),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("decoderLab.engine")) void restartWithSettings(lab);
    }),
  );
  models.refresh().catch((error: unknown) => log.error(`models: ${error}`));
  greet(context).catch((error: unknown) => log.error(`walkthrough: ${error}`));
  log.info(`activated in ${(performance.now() - startTime).toFixed(1)} ms`);
}

/** Waits for the engine to exit, so that no process is left behind. */
export async function deactivate(): Promise<void> {
  await engine?.dispose();
}
