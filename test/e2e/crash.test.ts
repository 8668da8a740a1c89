/** Crashes of the engine are handled. */

import { expect, test } from "vitest";
import { inspectorView, lossAfter, press, startTraining, tinyCharacters, trainingView } from "./decoderLab.ts";
import { engineProcesses, isRunning } from "./processes.ts";
import { useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();

test("an engine that is killed during training is back within two seconds, and the user is told why", async () => {
  const workbench = window();
  const host = (await whenActive(workbench)).pid;
  await workbench.openFile("stories.txt");
  await startTraining(workbench, tinyCharacters);
  const view = await trainingView(workbench);
  // The first checkpoint is saved after 250 steps.
  await lossAfter(workbench, view, 260, 90_000);
  const [engine] = await engineProcesses(host);
  if (engine === undefined) throw new Error("the engine is not running");

  process.kill(engine, "SIGKILL");
  const killed = performance.now();
  await workbench.until("a new engine", async () => {
    const now = await engineProcesses(host);
    return now.length > 0 && !now.includes(engine);
  });
  const seconds = (performance.now() - killed) / 1000;
  console.log(`the engine was back after ${seconds.toFixed(2)} s`);
  expect(seconds).toBeLessThan(2);

  await view.locator(".problem").waitFor();
  expect(await view.locator(".problem").innerText()).toMatch(/engine/i);
  await workbench.notification(/engine/i).waitFor();
  expect((await whenActive(workbench)).pid).toBe(host);
  await workbench.clearNotifications();
});

test("the interrupted run resumes from its last checkpoint", async () => {
  const workbench = window();
  const view = await trainingView(workbench);
  await press(view, "Resume");
  await workbench.until(
    "the run to resume",
    async () => (await view.locator("vscode-button:visible", { hasText: "Stop" }).count()) > 0,
  );
  await press(view, "Stop");
  await workbench.notification(/stopped at step \d+/).waitFor();
  await workbench.clearNotifications();
});

test("an engine that is killed during an inspection answers again", async () => {
  const workbench = window();
  const host = (await whenActive(workbench)).pid;
  await workbench.openFile("stories.txt");
  await workbench.goTo(1, 5);
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  const inspector = await inspectorView(workbench);
  await inspector.locator(".token").first().waitFor();
  for (const engine of await engineProcesses(host)) process.kill(engine, "SIGKILL");
  await workbench.goTo(2, 5);
  const label = inspector.locator(".source", { hasText: "line 2" });
  await label.waitFor();
});

test("no process remains after the window closes", async () => {
  const workbench = window();
  const host = (await whenActive(workbench)).pid;
  const engines = await engineProcesses(host);
  expect(engines.length).toBeGreaterThan(0);
  const page = await workbench.page.context().newPage();
  await workbench.page.close();
  const end = Date.now() + 20_000;
  while (Date.now() < end && [host, ...engines].some(isRunning)) await page.waitForTimeout(100);
  expect([host, ...engines].filter(isRunning)).toEqual([]);
});
