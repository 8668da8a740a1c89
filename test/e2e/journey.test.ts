/** The path of a new user in the README: from no model to one that completes text. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import {
  figure,
  inspectorView,
  lossAfter,
  modelRows,
  press,
  startTraining,
  tinyCharacters,
  trainingView,
  useModel,
} from "./decoderLab.ts";
import { engineProcesses } from "./processes.ts";
import { probeHost, useWorkbench, whenActive } from "./window.ts";

const window = useWorkbench();
const file = "stories.txt";
/** A run of a second. */
const queued = { preset: "Adder", settings: { "Training steps": 5 } };

test("training from the palette shows a falling loss, and the extension host never stalls", async () => {
  const workbench = window();
  await whenActive(workbench);
  await workbench.openFile(file);
  await startTraining(workbench, tinyCharacters);
  const view = await trainingView(workbench);
  await lossAfter(workbench, view, 1);
  await probeHost(workbench);
  const late = await lossAfter(workbench, view, 300, 90_000);
  const { worstTurn, worstStall } = await probeHost(workbench);

  const uniformLoss = Math.log(new Set(await readFile(join(inject("workspace"), file), "utf8")).size);
  console.log(`loss ${late} after 300 steps, ${uniformLoss.toFixed(3)} for a uniform distribution`);
  console.log(`longest turn of the host ${worstTurn.toFixed(1)} ms, longest stall ${worstStall.toFixed(1)} ms`);
  expect(late).toBeLessThan(0.75 * uniformLoss);
  expect(worstTurn).toBeLessThan(50);
  expect(await figure(view, "Speed")).toBeGreaterThan(0);
  expect(await view.locator("canvas").count()).toBeGreaterThan(0);
});

test("further runs wait in the queue until their turn or their removal", async () => {
  const workbench = window();
  const view = await trainingView(workbench);
  // The run keeps its turn, and the window has the CPU.
  await press(view, "Pause");
  await view.locator("vscode-button:visible", { hasText: "Resume" }).waitFor();
  const waiting = view.getByRole("region", { name: "Queue" }).getByRole("listitem");
  for (const place of [1, 2]) {
    await startTraining(workbench, queued);
    await workbench.notification(`is number ${place} in the queue`).waitFor();
  }
  const names = [queued.preset, `${queued.preset} 2`];
  expect(await waiting.locator(".queue-name").allInnerTexts()).toEqual(names);
  await view.getByRole("button", { name: `Remove: ${names[1]}`, exact: true }).click();
  await waiting.nth(1).waitFor({ state: "detached" });
  expect(await waiting.locator(".queue-name").allInnerTexts()).toEqual(names.slice(0, 1));
  await view.getByRole("heading", { name: file }).waitFor();
  await workbench.clearNotifications();
});

test("stopping saves the model, and the Models view lists it", async () => {
  const workbench = window();
  const view = await trainingView(workbench);
  await press(view, "Stop");
  await useModel(workbench, /stopped at step \d+\. Its model is saved/);
  await workbench.clearNotifications();
  const row = (await modelRows(workbench)).filter({ hasText: file });
  await row.waitFor();
  expect(await row.innerText()).toMatch(/active.*loss \d+\.\d+/s);
});

test("the queued run is trained next, and the removed one is not", async () => {
  const workbench = window();
  const trained = (await modelRows(workbench)).filter({ hasText: queued.preset });
  await trained
    .filter({ hasText: /loss \d+\.\d+/ })
    .filter({ hasNotText: "training" })
    .waitFor();
  const view = await trainingView(workbench);
  await view.getByText("done", { exact: true }).waitFor();
  expect(await trained.count()).toBe(1);
  expect(await view.getByRole("region", { name: "Queue" }).count()).toBe(0);
});

test("the inspector shows the tokens, shapes, and attention of the current line", async () => {
  const workbench = window();
  await workbench.openFile(file);
  await workbench.goTo(1, 5);
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  const inspector = await inspectorView(workbench);
  await inspector.locator(".token").first().waitFor();

  const tokens = await inspector.locator(".token .token-text").allInnerTexts();
  expect(tokens.length).toBeGreaterThan(10);
  // Only the end of a line longer than the context length is inspected.
  const [line] = (await readFile(join(inject("workspace"), file), "utf8")).split("\n");
  expect(line?.endsWith(tokens.join("").replaceAll("·", " "))).toBe(true);
  for (const id of await inspector.locator(".token .token-id").allInnerTexts()) expect(id).toMatch(/^\d+$/);
  // 1 text, its tokens, width 64
  await inspector
    .getByText(new RegExp(`1\\s*[×,]\\s*${tokens.length}\\s*[×,]\\s*64`))
    .first()
    .waitFor();
  await inspector.locator(".head-button").first().waitFor();
  expect(await inspector.locator(".head-button").count()).toBe(2 * 2);
});

test("the hover of a character shows the id and bytes of its token", async () => {
  const workbench = window();
  await workbench.openFile(file);
  const text = await workbench.hoverAt(1, 1);
  expect(text).toMatch(/id \d+, token 0 of the document/);
  expect(text).toContain("bytes 4F"); // O
  expect(text).toContain("line 1:1 to 1:2");
});

test("ghost text appears in the training file", async () => {
  const workbench = window();
  await workbench.openFile(file);
  await workbench.goTo(2, 1);
  await workbench.page.keyboard.press("End");
  const times: number[] = [];
  for (const key of " They went home and ") {
    await workbench.page.keyboard.press("Escape");
    times.push(await workbench.keyToGhost(key));
  }
  times.sort((a, b) => a - b);
  const [median, worst] = [times[times.length >> 1] as number, times.at(-1) as number];
  console.log(
    `keystroke to ghost text: median ${median.toFixed(0)} ms, worst ${worst.toFixed(0)} ms of ${times.length}`,
  );
  expect(await workbench.ghostText()).not.toBe("");
});

test("ghost text appears even after VS Code canceled the request, which it does after 750 ms", async () => {
  const workbench = window();
  const [engine] = await engineProcesses((await whenActive(workbench)).pid);
  if (engine === undefined) throw new Error("the engine is not running");
  // No word starts like this, so VS Code has no suggestions of its own.
  await workbench.keyToGhost("T");
  await workbench.page.keyboard.press("Escape");
  process.kill(engine, "SIGSTOP");
  setTimeout(() => process.kill(engine, "SIGCONT"), 1500);
  expect(await workbench.keyToGhost("q")).toBeGreaterThan(750);
});

test("Why This Completion? opens the generation steps of the ghost text", async () => {
  const workbench = window();
  const ghost = await workbench.ghostText();
  await workbench.runCommand("Decoder Lab: Why This Completion?");
  const explorer = await workbench.webview("Model Explorer");
  const said = explorer.getByText(/^The completion was/);
  await said.filter({ hasText: "These steps generated the same" }).waitFor();
  expect((await said.innerText()).replaceAll("·", " ")).toContain(ghost);
});
