/** Pretrained models from a folder and from a hub, with their module trees, tokens, tensors, and completions. */

import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type HubServer, startHub } from "../helpers/hubServer.ts";
import { pretrainedFiles, writePretrained } from "../helpers/pretrained.ts";
import { testData } from "../helpers/testData.ts";
import { importFolder, inspectorView, modelRows, useModel } from "./decoderLab.ts";
import { useWorkbench, whenActive } from "./window.ts";
import { setMachineSettings } from "./workbench.ts";

/** A real model trained on stories if it is available, else an untrained one of the same architecture. */
const stories = testData("stories260K");
const folder = stories ?? join(inject("workspace"), "..", "tiny-llama");
const name = stories ? "stories260K" : "tiny-llama";
const shape = stories ? { layers: 5, heads: 8, dHead: 8, keys: 4 } : { layers: 2, heads: 4, dHead: 8, keys: 2 };

let hub: HubServer;
beforeAll(async () => {
  if (!stories) await writePretrained(folder);
  const files = await pretrainedFiles();
  hub = await startHub({ id: "lab/tiny-llama", files: { ...files, "config.json": String(files["config.json"]) } });
  // Windows read the settings when they open.
  await setMachineSettings(inject("server"), { "decoderLab.hub.endpoint": hub.endpoint });
});
const window = useWorkbench();
afterAll(async () => {
  await setMachineSettings(inject("server"), {});
  await hub.close();
});

test("a model imported from a folder is listed and active", async () => {
  const workbench = window();
  await whenActive(workbench);
  await importFolder(workbench, folder, "As stored");
  await workbench.clearNotifications();
  const row = (await modelRows(workbench)).filter({ hasText: name });
  await row.waitFor();
  expect(await row.innerText()).toMatch(/active.*float32/s);
});

test("its module tree opens with the keyboard and is labeled as PyTorch prints it", async () => {
  const workbench = window();
  const rows = await modelRows(workbench);
  await rows.filter({ hasText: name }).click();
  await workbench.page.keyboard.press("ArrowRight");
  await rows.filter({ hasText: "LlamaForCausalLM" }).waitFor();
  await rows.filter({ hasText: "(lm_head)" }).waitFor();
  // Expands the class, its model, and the token embedding with its one tensor.
  for (const label of ["(model)", "(embed_tokens)"]) {
    await rows.filter({ hasText: label }).click();
    await workbench.page.keyboard.press("ArrowRight");
  }
  await rows.filter({ hasText: /weight\s*\[\d+, \d+\] float32/ }).waitFor();
});

test("its tokens, layers, and heads are those of its architecture", async () => {
  const workbench = window();
  await workbench.openFile("stories.txt");
  await workbench.goTo(1, 5);
  await workbench.runCommand("Decoder Lab: Inspect Selection or Line");
  const inspector = await inspectorView(workbench);
  await inspector.locator(".model-name", { hasText: name }).waitFor();
  const tokens = await inspector.locator(".token").count();
  const { layers, heads, dHead, keys } = shape;
  await inspector.getByText(`[1, ${keys}, ${tokens}, ${dHead}]`, { exact: true }).first().waitFor();
  await inspector.locator(".head-button").first().waitFor();
  expect(await inspector.locator(".head-button").count()).toBe(layers * heads);
  expect(await inspector.getByRole("button", { name: "posEmbed" }).count()).toBe(0);
  expect(await workbench.hoverAt(1, 1)).toMatch(/id \d+, token 0 of the document/);
});

// The untrained model has a short context.
test.skipIf(!stories)("a text of hundreds of tokens is shown completely", async () => {
  const workbench = window();
  await workbench.runCommand("Decoder Lab: Open Model Explorer");
  const explorer = await workbench.webview("Model Explorer");
  const text = explorer.getByRole("textbox", { name: "Prompt" });
  await text.fill("Once upon a time there was a little girl. ".repeat(32));
  await text.press("Enter");
  const tokens = explorer.locator(".strip-token");
  await tokens.nth(300).waitFor();
  // VS Code drops buffers of a message with too many. A token without bytes shows its string in the vocabulary.
  expect((await tokens.allInnerTexts()).filter((token) => token.includes("▁"))).toEqual([]);
  await workbench.runCommand("View: Close Editor");
});

// The untrained model writes nothing readable.
test.skipIf(!stories)("it completes typed text", async () => {
  const workbench = window();
  await workbench.openFile("stories.txt");
  await workbench.goTo(2, 1);
  await workbench.page.keyboard.press("ControlOrMeta+Enter");
  await workbench.typeText("Once upon a time, there was a little");
  const text = await workbench.until("ghost text", async () => {
    await workbench.closeSuggestions();
    return (await workbench.ghostText()) || undefined;
  });
  expect(text).toMatch(/[a-z]{2,}/);
});

test("a failed search says so at once, Enter repeats it, and Enter while searching chooses nothing", async () => {
  const workbench = window();
  let slow: ServerResponse | undefined;
  hub.trouble = ({ path }) =>
    path.startsWith("/api/models") ? { kind: "answer", answer: (response) => (slow = response) } : undefined;
  await workbench.runCommand("Decoder Lab: Import Model");
  await workbench.quickInput.fill("tiny");
  await workbench.until("the search to reach the hub", async () => slow !== undefined);
  await workbench.quickRow("Searching…").waitFor();
  await workbench.page.keyboard.press("Enter");
  await workbench.quickRow("Choose a folder…").waitFor();
  hub.trouble = ({ path }) => (path.startsWith("/api/models") ? { kind: "status", status: 503 } : undefined);
  slow?.destroy();
  const failure = workbench.page.locator(".quick-input-widget:visible .monaco-list-row", {
    hasText: "Press Enter to try again.",
  });
  await failure.waitFor();
  hub.trouble = () => undefined;
  await workbench.page.keyboard.press("Enter");
  await workbench.quickRow("lab/tiny-llama").waitFor();
  await workbench.page.keyboard.press("Escape");
});

test("an import from a hub shows its progress, can be canceled, and resumes when repeated", async () => {
  const workbench = window();
  const begin = async (row: string, typed = row) => {
    await workbench.runCommand("Decoder Lab: Import Model");
    await workbench.quickInput.fill(typed);
    await workbench.pick(row);
    await workbench.pick("8-bit");
  };
  hub.trouble = ({ host, path }) =>
    host === "cdn" && path.includes("blobs") ? { kind: "stall", after: 5000 } : undefined;
  // A full name is offered without a search.
  await begin("lab/tiny-llama");
  const progress = workbench.notification("Importing tiny-llama");
  await progress.filter({ hasText: /Downloading .* of \d/ }).waitFor();
  await progress.hover();
  await progress.getByRole("button", { name: "Cancel" }).click();
  await workbench.notification("was canceled. Import it again to resume").waitFor();
  await workbench.clearNotifications();

  hub.trouble = () => undefined;
  await begin("lab/tiny-llama", "tiny");
  await useModel(workbench, "is imported");
  await workbench.clearNotifications();
  expect(hub.seen.some(({ range }) => range !== undefined && !range.startsWith("bytes=0-"))).toBe(true);
  const row = (await modelRows(workbench)).filter({ hasText: "tiny-llama (8-bit)" });
  await row.waitFor();
  await expect.poll(() => row.innerText()).toMatch(/active.*8-bit/s);
});
