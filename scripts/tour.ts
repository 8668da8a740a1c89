/** Drives the demo headlessly through its main features and takes screenshots in all themes and several window sizes. */

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import {
  importFolder,
  inspectorView,
  lossAfter,
  modelRows,
  press,
  startTraining,
  tinyCharacters,
  trainingView,
  useModel,
} from "../test/e2e/decoderLab.ts";
import { appears, launchBrowser, setMachineSettings, type Theme, Workbench } from "../test/e2e/workbench.ts";
import { type HubServer, startHub } from "../test/helpers/hubServer.ts";
import { pretrainedFiles, writePretrained } from "../test/helpers/pretrained.ts";
import { testData } from "../test/helpers/testData.ts";
import { chromium } from "./chromium.ts";
import { startCodeServer } from "./codeServer.ts";
import { Failure, inRoot } from "./paths.ts";

const folder = inRoot("out", "tour");
const themes: readonly Theme[] = ["light", "dark", "high contrast", "high contrast light"];
/** Sizes of the window in CSS pixels. Zoom leaves fewer of them. */
const sizes = {
  "1440 x 900": { width: 1440, height: 900 },
  "960 x 600": { width: 960, height: 600 },
  "960 x 600 at 150 %": { width: 640, height: 400 },
};
type Size = keyof typeof sizes;
const usualSize: Size = "1440 x 900";

const parts = {
  first: tour,
  imports: tourOfImports,
  checkpoints: tourOfCheckpoints,
  comparison: tourOfComparison,
  translator: tourOfTranslator,
  explorer: tourOfExplorer,
};

/** Writes out/tour/<size>/<theme>/<picture>.png with this VSIX installed: of the named parts of the tour, or of all. */
export async function run(vsix: string, only: readonly string[]): Promise<void> {
  const chosen = only.length > 0 ? only : Object.keys(parts);
  const unknown = chosen.find((name) => !Object.hasOwn(parts, name));
  if (unknown) throw new Failure(`The tour has no part "${unknown}". Its parts are ${Object.keys(parts).join(", ")}.`);
  const browser = await launchBrowser(await chromium(console.log));
  const home = await mkdtemp(join(tmpdir(), "dlab-tour-"));
  const env = { HF_HOME: join(home, "hf"), HF_TOKEN: "", HF_ENDPOINT: "" };
  const { server, close } = await startCodeServer({ folder: inRoot("samples"), extensions: [vsix], env });
  const hub = await startSmallHub();
  try {
    if (only.length === 0) await rm(folder, { recursive: true, force: true });
    await setMachineSettings(server, { "decoderLab.hub.endpoint": hub.endpoint });
    const workbench = await Workbench.open(browser, server);
    const everything = async () => {
      for (const name of chosen) await parts[name as keyof typeof parts](workbench, hub, home);
    };
    await everything().catch(async (error) => {
      await mkdir(folder, { recursive: true });
      await workbench.screenshot(join(folder, "failed.png"));
      throw error;
    });
    await workbench.close();
  } finally {
    await browser.close();
    await close();
    await hub.close();
    await rm(home, { recursive: true, force: true });
  }
  console.log(`The pictures are in ${folder}`);
}

async function tour(workbench: Workbench): Promise<void> {
  await workbench.openFile("stories.txt");
  await photograph(workbench, "1-palette", () => workbench.openPalette("Decoder Lab: Train Tiny GPT"));

  await startTraining(workbench, {
    ...tinyCharacters,
    settings: { ...tinyCharacters.settings, "Training steps": 5000 },
  });
  const training = await trainingView(workbench);
  await lossAfter(workbench, training, 400, 120_000);
  await photograph(workbench, "2-training");
  await press(training, "Stop");
  await workbench.notification(/stopped at step \d+/).waitFor();
  await workbench.clearNotifications();
  await workbench.runCommand("View: Close All Editors");

  await workbench.openFile("stories.txt");
  await workbench.goTo(3, 40);
  await photograph(workbench, "3-models", () => workbench.openContainer("Decoder Lab"));
  // The bundled model was trained for longer than the tour takes.
  await workbench.runCommand("Decoder Lab: Choose Active Model");
  await workbench.pick("Stories");
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  await workbench.widenSideBar(240);
  const inspector = await inspectorView(workbench);
  const typed = inspector.getByRole("textbox", { name: "Prompt" });
  await typed.fill("Tom was a clever frog.");
  await inspector.locator(".token").nth(5).waitFor();
  const head = inspector.getByRole("button", { name: "Layer 2, head 0", exact: true });
  await photograph(workbench, "4-inspector", async () => {
    await head.click();
    // Shows the controls below the sticky title.
    await inspector.getByRole("combobox", { name: "Layer", exact: true }).evaluate((picker) => {
      picker.scrollIntoView({ block: "start" });
      picker.ownerDocument.scrollingElement?.scrollBy(0, -100);
    });
  });
  await photograph(workbench, "4-inspector-top", async () => {
    await typed.evaluate((field) => field.scrollIntoView());
  });
  await photograph(workbench, "5-hover", async () => {
    await workbench.hoverAt(3, 14);
  });
  await photograph(workbench, "6-ghost-text", async () => {
    // A new empty line below the story.
    await workbench.goTo(4, 1);
    await workbench.page.keyboard.press("ControlOrMeta+Enter");
    // The model completes only some of the words.
    for (const words of ["One sunny day,", " Tom", " went", " to the", " for", "est", " and"]) {
      await workbench.typeText(words);
      if (await appears(workbench.ghost.first(), 1500)) return;
    }
    throw new Error("the model completed none of the words");
  });
}

/** A local hub with a few models. */
async function startSmallHub(): Promise<HubServer> {
  const files = await pretrainedFiles();
  const listed = { ...files, "config.json": String(files["config.json"]) };
  const models = ["lab/tiny-llama", "lab/tiny-llama-chat", "people/tiny-llama-of-stories"];
  return startHub(...models.map((id, i) => ({ id, files: listed, downloads: 12_345 >> (3 * i), parameters: 21_856 })));
}

async function tourOfImports(workbench: Workbench, hub: HubServer, home: string): Promise<void> {
  await workbench.clearNotifications();
  await photograph(workbench, "7-import-search", async () => {
    await workbench.runCommand("Decoder Lab: Import Model");
    await workbench.quickInput.fill("tiny-llama");
    await workbench.quickRow("people/tiny-llama-of-stories").waitFor();
  });
  await photograph(workbench, "8-import-precision", async () => {
    await workbench.runCommand("Decoder Lab: Import Model");
    await workbench.quickInput.fill("tiny-llama");
    await workbench.pick("people/tiny-llama-of-stories");
    await workbench.quickRow("4-bit").waitFor();
  });
  hub.trouble = ({ host }) => (host === "cdn" ? { kind: "stall", after: 3000 } : undefined);
  await workbench.pick("As stored");
  const progress = workbench.notification("Importing");
  await progress.filter({ hasText: "Downloading" }).waitFor();
  // Waits for the animation of the notification.
  await workbench.page.waitForTimeout(1000);
  await picture(workbench, "9-import-progress");
  await progress.hover();
  await progress.getByRole("button", { name: "Cancel" }).click();
  await workbench.notification("was canceled").waitFor();
  await workbench.clearNotifications();
  hub.trouble = () => undefined;

  const stories = testData("stories260K");
  if (!stories) await writePretrained(join(home, "tiny-llama"));
  await importFolder(workbench, stories ?? join(home, "tiny-llama"), "8-bit");
  await picture(workbench, "9-imported");
  await workbench.clearNotifications();
  const rows = await modelRows(workbench);
  const open = async (label: string) => {
    await rows.filter({ hasText: label }).first().click();
    await workbench.page.keyboard.press("ArrowRight");
  };
  // Gives all of the side bar to the tree.
  const inspectorHeader = workbench.page.locator(".sidebar .pane-header", { hasText: "Layer Inspector" });
  await inspectorHeader.click();
  await open("(8-bit)");
  for (const label of ["(model)", "(layers)", "(0)", "(self_attn)", "(k_proj)"]) {
    await rows.filter({ hasText: label }).first().waitFor();
    await open(label);
  }
  await photograph(workbench, "10-module-tree");
  await inspectorHeader.click();
  const inspector = await inspectorView(workbench);
  await inspector.getByRole("textbox", { name: "Prompt" }).fill("Tom was a clever frog.");
  await inspector.locator(".model-name", { hasText: "8-bit" }).waitFor();
  await inspector.locator(".token").nth(5).waitFor();
  await photograph(workbench, "11-shared-keys", async () => {
    const keys = inspector.getByRole("button", { name: "attn.k", exact: true });
    if ((await keys.getAttribute("aria-expanded")) !== "true") await keys.click();
    await keys.evaluate((row) => row.scrollIntoView({ block: "center" }));
  });
  await photograph(workbench, "12-next-token", async () => {
    const search = inspector.getByRole("textbox", { name: "Rank of a token" });
    await search.fill("e");
    await search.evaluate((field) => field.scrollIntoView({ block: "end" }));
    await inspector
      .getByText(/^rank \d/)
      .first()
      .waitFor();
  });
}

/** A model at two steps of its training. */
async function tourOfCheckpoints(workbench: Workbench): Promise<void> {
  await workbench.openFile("stories.txt");
  await startTraining(workbench, {
    ...tinyCharacters,
    settings: { ...tinyCharacters.settings, "Training steps": 750 },
  });
  await lossAfter(workbench, await trainingView(workbench), 750, 600_000);
  await useModel(workbench, "finished training");
  await workbench.clearNotifications();
  await workbench.openFile("stories.txt");
  await workbench.openContainer("Decoder Lab");
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  await widened(workbench);
  const inspector = await inspectorView(workbench);
  await inspector.getByRole("textbox", { name: "Prompt" }).fill("Tom was a clever frog.");
  await inspector.locator(".token").nth(5).waitFor();
  const slider = inspector.getByRole("slider", { name: "Checkpoint" });
  const said = inspector.locator(".scrubber-said");
  await inspector.getByRole("button", { name: "Layer 1, head 0", exact: true }).click();
  for (const [name, key] of [
    ["13-checkpoint-first", "Home"],
    ["13-checkpoint-last", "End"],
  ] as const) {
    await photograph(workbench, name, async () => {
      await slider.press(key);
      await said.filter({ hasText: key === "Home" ? /^step 0/ : /^step 750/ }).waitFor();
      await showAttention(inspector);
    });
  }
}

/** Two runs in the queue and compared, a branch of the second one, and the search for a learning rate. */
async function tourOfComparison(workbench: Workbench): Promise<void> {
  await workbench.runCommand("View: Close All Editors");
  await workbench.openFile("stories.txt");
  const train = async (width: number) => {
    const settings = { ...tinyCharacters.settings, "Training steps": 5000, "Width (dModel)": width };
    await startTraining(workbench, { ...tinyCharacters, settings });
  };
  await train(64);
  const training = await trainingView(workbench);
  await lossAfter(workbench, training, 300, 300_000);
  const first = await training.getByRole("heading", { level: 1 }).innerText();
  await workbench.openFile("stories.txt");
  await train(32);
  const queue = training.getByRole("region", { name: "Queue" });
  // The number in its name depends on earlier parts of the tour, which trained on the same text.
  const second = await queue.locator(".queue-name").first().innerText();
  await photograph(workbench, "13-queue");
  await workbench.clearNotifications();
  await queue.getByRole("button", { name: /^Start now/ }).click();
  await workbench.page.getByRole("button", { name: "Stop It and Start This Run" }).click();
  await training.getByRole("heading", { name: second, exact: true }).waitFor();
  await lossAfter(workbench, training, 300, 300_000);
  await training.getByRole("checkbox", { name: `Compare with ${first}`, exact: true }).check();
  await training.getByRole("list", { name: "Compared runs" }).getByRole("listitem").nth(1).waitFor();
  await workbench.clearNotifications();
  await photograph(workbench, "13-runs-compared", async () => {
    await training.evaluate("scrollTo(0, 0)");
  });
  await press(training, "Stop");
  await workbench.notification(/stopped at step \d+/).waitFor();
  await workbench.clearNotifications();

  const branch = training.getByRole("button", { name: /^Branch from here… step/ }).first();
  if (!(await branch.isVisible())) await training.getByRole("button", { name: /^Checkpoints/ }).click();
  await branch.click();
  await workbench.pick("Branch from step");
  await training
    .getByText(/from step \d/)
    .first()
    .waitFor();
  await press(training, "Stop");
  await workbench.notification(/stopped at step \d+/).waitFor();
  await workbench.clearNotifications();

  await workbench.openFile("stories.txt");
  await workbench.runCommand("Decoder Lab: Train Tiny GPT");
  await workbench.pick(tinyCharacters.preset);
  await workbench.pick("Active file");
  await workbench.pick("Find a learning rate…");
  await workbench.quickRow("Use ").waitFor({ timeout: 180_000 });
  await picture(workbench, "13-learning-rate");
  await workbench.page.keyboard.press("Escape");
  await workbench.quickRow("Start training").waitFor();
  await workbench.page.keyboard.press("Escape");
}

/** The attention of a translator. */
async function tourOfTranslator(workbench: Workbench): Promise<void> {
  await workbench.openFile("english-french.tsv");
  await startTraining(workbench, {
    preset: "Translator",
    text: "Active file",
    settings: { "Training steps": 1000, "Batch size": 32 },
  });
  const view = await trainingView(workbench);
  // The view showed another run before.
  await view.getByRole("heading", { name: "english-french.tsv" }).waitFor();
  await lossAfter(workbench, view, 1000, 600_000);
  await useModel(workbench, "finished training");
  await workbench.clearNotifications();
  await workbench.openFile("english-french.tsv");
  await workbench.openContainer("Decoder Lab");
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  await widened(workbench);
  const inspector = await inspectorView(workbench);
  await inspector.getByRole("textbox", { name: "Prompt" }).fill("a dog does not look for the beautiful frog");
  await inspector.getByText("typed text").waitFor();
  await inspector.getByRole("listbox", { name: "Tokens of the source" }).waitFor();
  await photograph(workbench, "14-translator", async () => {
    await inspector.evaluate("scrollTo(0, 0)");
  });
  await photograph(workbench, "14-cross-attention", async () => {
    await inspector.getByRole("button", { name: "Layer 1, head 0", exact: true }).click();
    await showAttention(inspector);
  });
}

/** Every view of the Model Explorer with the bundled model. */
async function tourOfExplorer(workbench: Workbench): Promise<void> {
  // Reverts text of other parts, because closing the editor would ask to save it.
  await workbench.openFile("stories.txt");
  await workbench.runCommand("File: Revert File");
  await workbench.runCommand("View: Close All Editors");
  await workbench.runCommand("Decoder Lab: Choose Active Model");
  await workbench.pick("Stories");
  await workbench.runCommand("Decoder Lab: Open Model Explorer");
  const explorer = await workbench.webview("Model Explorer");
  // Makes space for the views.
  await workbench.runCommand("View: Toggle Primary Side Bar Visibility");
  await explorer.locator(".strip-token").nth(12).click();
  const tabs = explorer.getByRole("tablist", { name: "Views" }).getByRole("tab");
  const views = await tabs.allInnerTexts();
  const open = (view: string) => tabs.filter({ hasText: view }).first().click();
  // Two views compare with a second trace: with an ablated head, and of another text.
  await open("Compare");
  const other = explorer.getByRole("textbox", { name: "Text to compare with" });
  await other.fill('Tim was a clever fox. Then Tim met his friend Mia, a cat. "Why are you sad?" asked');
  await other.press("Enter");
  await open("Prompts");
  const prompts = ["Once upon a time", "The fox saw a", "One day, the little cat"];
  await explorer.getByRole("textbox", { name: "Prompts, one per line" }).fill(prompts.join("\n"));
  await explorer.getByRole("button", { name: "Run", exact: true }).click();
  for (const view of views) {
    await open(view);
    const parts = explorer.locator(".pane:visible .heatmap-scroller").first();
    if (view === "Interventions") {
      await parts.press("Home");
      await parts.press("Enter");
      await explorer.getByRole("button", { name: "Sweep" }).click();
      await explorer.getByText("forward passes done").waitFor();
    }
    const drawn = () => explorer.locator(".pane:visible [aria-busy='true']").first().waitFor({ state: "detached" });
    await photograph(workbench, `15-explorer-${view.toLowerCase().replaceAll(" ", "-")}`, drawn);
    // An ablated head changes all views.
    if (view === "Interventions") await parts.press("Control+z");
  }
  await workbench.runCommand("View: Toggle Primary Side Bar Visibility");
  await workbench.openFile("stories.txt");
  await workbench.runCommand("Decoder Lab: Toggle Surprisal Lens");
  await workbench.page.locator(".view-overlays [class*='ced-']").nth(8).waitFor();
  await photograph(workbench, "16-surprisal-lens");
  await workbench.runCommand("Decoder Lab: Toggle Surprisal Lens");
}

/** Widens the side bar, if necessary. */
async function widened(workbench: Workbench): Promise<void> {
  const box = await workbench.page.locator(".part.sidebar").boundingBox();
  if (box && box.width < 450) await workbench.widenSideBar(240);
}

/** Scrolls to the controls of the attention view, below the sticky scrubber and title. */
const showAttention = (inspector: Frame): Promise<void> =>
  inspector.getByRole("combobox", { name: "Layer", exact: true }).evaluate((picker) => {
    picker.scrollIntoView({ block: "start" });
    picker.ownerDocument.scrollingElement?.scrollBy(0, -190);
  });

/** Takes a screenshot per theme and size, each after `prepare`. */
async function photograph(workbench: Workbench, name: string, prepare?: () => Promise<void>): Promise<void> {
  for (const size of Object.keys(sizes) as Size[]) {
    await workbench.page.setViewportSize(sizes[size]);
    for (const theme of themes) {
      await workbench.setTheme(theme);
      await prepare?.();
      // Webviews get the colors of the theme a frame or two after the window.
      await workbench.page.waitForTimeout(500);
      await picture(workbench, name, theme, size);
    }
  }
  await workbench.page.setViewportSize(sizes[usualSize]);
}

async function picture(
  workbench: Workbench,
  name: string,
  theme: Theme = "dark",
  size: Size = usualSize,
): Promise<void> {
  await mkdir(join(folder, size, theme), { recursive: true });
  await workbench.screenshot(join(folder, size, theme, `${name}.png`));
  console.log(`${size}, ${theme}: ${name}`);
}
