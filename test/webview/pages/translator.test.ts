/** The views of the Model Explorer on a translator, in Chromium and on the real engine. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePairs } from "../../../scripts/makePairs";
import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { Intervention } from "../../../src/protocol/traceApi";
import { chooseMore, describeExplorer, SOON, tableOf } from "./chromium";

describeExplorer((opened) => {
  const TEXT = "the cat sleeps";
  let dir: string;
  let translated: TraceInfo;
  beforeAll(async () => {
    const { live } = opened();
    dir = await mkdtemp(join(tmpdir(), "dlab-pages-"));
    await live.engine.call("train", {
      preset: "translate",
      data: { kind: "text", name: "pairs.tsv", text: makePairs(200, 5).join("\n") },
      out: join(dir, "model"),
      name: "tiny-translator",
      device: "cpu",
      set: {
        "train.steps": 6,
        "train.blockSize": 16,
        "model.dModel": 16,
        "model.nHeads": 2,
        "model.nLayers": 2,
        "model.nEncoderLayers": 1,
      },
    });
    translated = await live.show(join(dir, "model"), TEXT);
  }, 60_000);
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test("parts of both stacks are ablated and patched by keyboard, with the engine's numbers", async () => {
    const { live, page, tab } = opened();
    const { trace, tokens } = translated;
    const shown = page.getByRole("tabpanel", { name: "Interventions" });
    await tab("Interventions").click();
    const parts = shown.getByRole("grid", { name: /Parts of the model/ });
    await parts.press("Control+Home");
    for (let i = 0; i < 6; i++) await parts.press("ArrowRight");
    await parts.press("Enter");
    const chips = shown.getByRole("group", { name: "Active interventions" });
    await chips.getByText("encoder layer 0 MLP ablated").waitFor();
    await parts.press("ArrowDown");
    for (let i = 0; i < 4; i++) await parts.press("ArrowLeft");
    await parts.press("Enter");
    await chips.getByText("decoder layer 0, cross-attention head 0 ablated").waitFor();
    const field = shown.getByRole("textbox", { name: "Text to patch from" });
    await field.fill("a dog runs");
    await field.press("Enter");
    await shown.getByRole("combobox", { name: "Stack to patch" }).click();
    await page.getByRole("option", { name: "Encoder" }).click();
    await shown.getByRole("spinbutton", { name: "Position in this text" }).fill("2");
    await shown.getByRole("spinbutton", { name: "Position in the other text" }).fill("1");
    await shown.getByRole("button", { name: "Patch", exact: true }).click();
    await chips.getByText("enc.blocks.0.residPost at 2 patched from “a dog runs” at 1").waitFor();

    const other = await live.engine.call("inspect", { dir: join(dir, "model"), text: "a dog runs" });
    const encoder = { stack: "encoder", layer: 0 } as const;
    const from = { trace: other.trace, position: 1 };
    const interventions: Intervention[] = [
      { kind: "scale", part: { kind: "mlp", ...encoder }, factor: 0 },
      { kind: "scale", part: { kind: "crossHead", stack: "decoder", layer: 0, head: 0 }, factor: 0 },
      { kind: "patch", value: { kind: "residPost", ...encoder }, position: 2, from },
    ];
    const changed = await live.engine.call("intervene", { trace, interventions });
    const { divergence } = await live.engine.call("compareTraces", { a: trace, b: changed.trace });
    const bits = async () => (await tableOf(page, /^Divergence/)).map((row) => Number(row[2]));
    const near = Array.from(divergence, (each) => expect.closeTo(each, 5));
    await expect.poll(bits, SOON).toEqual(near);
    expect(near).toHaveLength(tokens.length);

    const attributed = await tableOf(page, /^Contributions to the logit/);
    const [title = ""] = await shown.getByRole("heading", { name: /^Contributions to the logit/ }).allInnerTexts();
    const position = Number(/(\d+)$/.exec(title)?.[1]);
    const token = Number(/#(\d+)/.exec((await shown.getByText(/^watched: /).textContent()) ?? "")?.[1]);
    const { parts: added } = await live.engine.call("attribution", { trace: changed.trace, position, token });
    for (const part of added.filter(({ kind }) => kind === "crossHead")) {
      const row = attributed.find(([label]) => label === `layer ${part.layer} cross-attention head ${part.head}`);
      expect(Number(row?.at(-1))).toBeCloseTo(part.value, 5);
    }
    await shown.getByRole("button", { name: "Sweep" }).click();
    await shown.getByText("forward passes done").waitFor();
    await chips.getByRole("button", { name: "Remove all" }).click();
    await page.getByText("No interventions yet.").waitFor();
  });

  test("source vectors are compared with the source vocabulary, and a token of it is added to the plot", async () => {
    const { live, page, tab } = opened();
    const { trace, source } = translated;
    await tab("Embeddings").click();
    const shown = page.getByRole("tabpanel", { name: "Embeddings" });
    await shown.getByRole("combobox", { name: "Compare vectors from" }).click();
    await page.getByRole("option", { name: "enc.blocks.0.residPost", exact: true }).click();
    const name = "enc.blocks.0.residPost";
    const of = { kind: "value", name, position: 0 } as const;
    const { nearest } = await live.engine.call("neighbors", { trace, of, among: "embeddings", count: 15 });
    await shown.getByRole("heading", { name: `Nearest to “<bos>” at ${name}[0, 0]`, exact: true }).waitFor();
    await chooseMore(shown.locator(".embedding-part", { has: page.locator(".neighbors") }), "Save JSON");
    await expect.poll(() => live.saved.at(-1)?.name).toMatch(/^nearest-tokens/);
    const { title, rows } = JSON.parse(new TextDecoder().decode(live.saved.at(-1)?.data));
    expect(title).toMatch(/ by cosine among the source’s input embeddings$/);
    expect(rows.map(([id]: unknown[]) => id)).toEqual(nearest.map(({ id }) => id));
    const field = shown.getByRole("textbox", { name: "Token to add" });
    await field.fill("·dog");
    await field.press("Enter");
    const points = (source?.tokens.length ?? 0) + 1;
    const plot = shown.getByRole("application", {
      name: `Principal components, ${name}, ${points}`,
    });
    await plot.press("End");
    const status = shown.getByRole("status").filter({ hasText: "input embedding of the source’s token" });
    const [, id] = /#(\d+)/.exec((await status.textContent()) ?? "") ?? [];
    const { coordinates } = await live.engine.call("projection", { trace, name, ids: [Number(id)] });
    expect(await status.textContent()).toContain((coordinates.at(-3) as number).toPrecision(6));
    expect(await status.textContent()).toContain("“·dog”");
  });

  test("a source token selected in one view is selected and described in the others", async () => {
    const { page, tab } = opened();
    await tab("Tokens").click();
    const tokens = page.getByRole("tabpanel", { name: "Tokens" });
    const sources = tokens.getByRole("listbox", { name: "Tokens of the source" });
    const chosen = sources.getByRole("option", { selected: true });
    const { source } = translated;
    for (const key of ["Home", "End"] as const) {
      await chosen.press(key);
      const at = key === "Home" ? 0 : (source?.tokens.length ?? 0) - 1;
      await page.mouse.move(0, 0);
      await page.getByRole("listbox", { name: "Tokens of the text" }).getByRole("option", { selected: true }).focus();
      const details = await tokens.locator(".token-details").innerText();
      expect(details.split("\n").slice(0, 4)).toEqual(["text", "Source", "position", String(at)]);
      const label = await chosen.locator(".token-text").textContent();
      await tab("Attention").click();
      await page.getByRole("heading", { name: new RegExp(`→ “${at} ${label}`) }).waitFor();
      await tab("Tokens").click();
    }
  });

  test("two translations are compared, including the values of their encoders", async () => {
    const { live, page, tab } = opened();
    const other = "the dog";
    const beside = await live.engine.call("inspect", { dir: join(dir, "model"), text: other });
    const { values } = await live.engine.call("compareTraces", { a: translated.trace, b: beside.trace });
    await tab("Compare").click();
    const field = page.getByRole("textbox", { name: "Text to compare with" });
    await field.fill(other);
    await field.press("Enter");
    await page.getByRole("heading", { name: "Attention of layer 0, head 0, Cross-attention" }).waitFor();
    await page.getByRole("combobox", { name: "Value", exact: true }).click();
    await page.getByRole("option", { name: "enc.residPost", exact: true }).click();
    const rows = await tableOf(page, /^Relative difference/);
    const expected = values.find(({ name }) => name === "enc.blocks.0.residPost")?.relative ?? [];
    expect(rows.map(([, , token]) => token?.trim())).toEqual(["<bos>", "·the", "·cat", "<eos>"]);
    expect(rows.map((row) => Number(row[3]))).toEqual(Array.from(expected, (each) => expect.closeTo(each, 5)));
  });
});
