/** Fine-tuning in the window, and texts that are refused before further questions. */

import { expect, test } from "vitest";
import { lossAfter, modelRows, trainingView } from "./decoderLab.ts";
import { useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();

test("the bundled model is fine-tuned with adapters, after its memory was estimated", async () => {
  const workbench = window();
  await whenActive(workbench);
  await workbench.openFile("english-french.tsv");
  await workbench.runCommand("Decoder Lab: Fine-Tune Model");
  await workbench.pick("Stories");
  await workbench.pick("Active file");
  const memory = /about [\d.]+ MB of memory of [\d.]+ GB that are free/;
  const adapters = workbench.quickRow("Adapters (LoRA)");
  await adapters.waitFor();
  expect(await adapters.innerText()).toMatch(memory);
  expect(await workbench.quickRow("All parameters").innerText()).toMatch(memory);
  await adapters.click();
  await workbench.pick("Training steps");
  await workbench.answer("20");
  const start = workbench.quickRow("Start training");
  await start.waitFor();
  expect(await start.innerText()).toMatch(memory);
  await start.click();
  const view = await trainingView(workbench);
  await view.getByRole("heading", { name: "Stories on english-french.tsv" }).waitFor();
  await lossAfter(workbench, view, 20);
  await workbench.notification("finished training").waitFor();
  await workbench.clearNotifications();
  await (await modelRows(workbench)).filter({ hasText: "Stories on english-french.tsv" }).waitFor();
});

test("settings that do not fit a text are a warning beside the start", async () => {
  const workbench = window();
  await workbench.openFile("unicode.txt");
  await workbench.runCommand("Decoder Lab: Train Tiny GPT");
  await workbench.pick("Character GPT");
  await workbench.pick("Active file");
  const start = workbench.quickRow("Start training");
  await start.filter({ hasText: "Choose a longer text or a smaller train.blockSize." }).waitFor();
  await workbench.pick("Training context length");
  await workbench.answer("8");
  await start.filter({ hasText: "of memory" }).waitFor();
  await workbench.page.keyboard.press("Escape");
});

test("an empty text is refused at once", async () => {
  const workbench = window();
  await workbench.runCommand("File: New Untitled Text File");
  await workbench.runCommand("Decoder Lab: Train Tiny GPT");
  await workbench.pick("Character GPT");
  await workbench.pick("Active file");
  await workbench.notification("is empty").waitFor();
  await workbench.quickInput.waitFor({ state: "detached" });
});
