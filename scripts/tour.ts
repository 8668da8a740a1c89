/** Drives the demo headlessly through everything a person would look at first, and photographs it in two themes. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  inspectorView,
  lossAfter,
  press,
  startTraining,
  tinyCharacters,
  trainingView,
} from "../test/e2e/decoderLab.ts";
import { appears, launchBrowser, type Theme, Workbench } from "../test/e2e/workbench.ts";
import { chromium } from "./chromium.ts";
import { startCodeServer } from "./codeServer.ts";
import { inRoot } from "./paths.ts";

const folder = inRoot("out", "tour");
const themes: readonly Theme[] = ["light", "dark"];

/** Writes out/tour/<theme>/<picture>.png with this VSIX installed. */
export async function run(vsix: string): Promise<void> {
  const browser = await launchBrowser(await chromium(console.log));
  const { server, close } = await startCodeServer({ folder: inRoot("samples"), extensions: [vsix] });
  try {
    await rm(folder, { recursive: true, force: true });
    const workbench = await Workbench.open(browser, server);
    await tour(workbench).catch(async (error) => {
      await mkdir(folder, { recursive: true });
      await workbench.screenshot(join(folder, "failed.png"));
      throw error;
    });
    await workbench.close();
  } finally {
    await browser.close();
    await close();
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
  await workbench.notification("was stopped").waitFor();
  await workbench.clearNotifications();
  await workbench.runCommand("View: Close All Editors");

  await workbench.openFile("stories.txt");
  await workbench.goTo(3, 40);
  await photograph(workbench, "3-models", () => workbench.openContainer("Decoder Lab"));
  // The model that comes with the extension has learned for longer than the tour lasts.
  await workbench.runCommand("Decoder Lab: Choose Active Model");
  await workbench.pick("Stories");
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  await workbench.widenSideBar(240);
  const inspector = await inspectorView(workbench);
  const typed = inspector.getByRole("textbox", { name: "Text to inspect" });
  await typed.fill("Tom was a clever frog.");
  await inspector.locator(".token").nth(21).waitFor();
  const head = inspector.getByRole("button", { name: "Layer 2, head 0", exact: true });
  await photograph(workbench, "4-inspector", async () => {
    await head.click();
    // Its pickers, below the title that stays at the top.
    await inspector.getByText("Rows are queries").evaluate((caption) => {
      caption.scrollIntoView({ block: "start" });
      caption.ownerDocument.scrollingElement?.scrollBy(0, -100);
    });
  });
  await photograph(workbench, "4-inspector-top", async () => {
    await typed.evaluate((field) => field.scrollIntoView());
  });
  await photograph(workbench, "5-hover", async () => {
    await workbench.hoverAt(3, 14);
  });
  await photograph(workbench, "6-ghost-text", async () => {
    // An empty line of its own below the story.
    await workbench.goTo(4, 1);
    await workbench.page.keyboard.press("ControlOrMeta+Enter");
    // A model has nothing to say after some of the words.
    for (const words of ["One sunny day,", " Tom", " went", " to the", " for", "est", " and"]) {
      await workbench.typeText(words);
      if (await appears(workbench.ghost.first(), 1500)) return;
    }
    throw new Error("the model completes nothing");
  });
}

/** One picture in each theme, after `prepare` has set the scene in it. */
async function photograph(workbench: Workbench, name: string, prepare?: () => Promise<void>): Promise<void> {
  for (const theme of themes) {
    await workbench.setTheme(theme);
    await prepare?.();
    // Webviews take the theme's colours a frame or two after the window.
    await workbench.page.waitForTimeout(500);
    await mkdir(join(folder, theme), { recursive: true });
    await workbench.screenshot(join(folder, theme, `${name}.png`));
    console.log(`${theme}: ${name}`);
  }
}
