/**
 * Both pages as VS Code would show them, in a real Chromium under the strict policy: no accessibility violations in
 * any state and theme, and what they show and ask by keyboard.
 */

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePairs } from "../../scripts/makePairs";
import { inRoot } from "../../scripts/paths";
import type { TraceInfo } from "../../src/protocol/engineApi";
import type { Intervention } from "../../src/protocol/traceApi";
import { type LiveExplorer, openLiveExplorer } from "./liveExplorer";
import { bundlePage, chromiumPath, launch, openPage, type PageFiles, setTheme } from "./openPage";
import type { ThemeKind } from "./themes";
import { tinyTrace } from "./tinyTrace";
import { tinyTranslation } from "./tinyTranslation";

/** What comes with the extension. */
const BUNDLED = inRoot("media", "model");
const STORY = "Once upon a time";
const TEXT = "a 🐈\n\tsat.";
const THEMES: readonly ThemeKind[] = ["dark", "light", "hc-dark", "hc-light"];
/** What the engine has to run first takes more than a moment on a busy machine. */
const SOON = { timeout: 15_000 };
const SIDE_BAR = { width: 320, height: 900 };

if (!chromiumPath) console.warn("Skipped: the pages' tests need Chromium (apt-get install chromium).");

describe.skipIf(!chromiumPath)("the pages in Chromium", () => {
  let browser: Browser;
  let inspector: PageFiles;
  let training: PageFiles;
  let explorer: PageFiles;
  beforeAll(async () => {
    [browser, inspector, training, explorer] = await Promise.all([
      launch(),
      bundlePage("inspector"),
      bundlePage("training"),
      bundlePage("explorer", "relayInPage"),
    ]);
  });
  afterAll(() => browser?.close());

  describe("the inspector", () => {
    let page: Page;
    let errors: string[];
    beforeAll(async () => {
      ({ page, errors } = await openPage(browser, inspector, "dark", SIDE_BAR));
    });
    afterAll(() => page.close());

    test("the colors of positive and negative numbers are opaque and differ, in every theme", async () => {
      for (const theme of THEMES) {
        await page.evaluate(setTheme(theme));
        const colors = await page.evaluate(() =>
          ["--lab-positive", "--lab-negative"].map((name) => {
            const probe = document.createElement("i");
            document.body.append(probe);
            probe.style.color = `var(${name})`;
            const context = new OffscreenCanvas(1, 1).getContext("2d") as unknown as CanvasRenderingContext2D;
            // As canvases read it.
            context.fillStyle = getComputedStyle(document.body).getPropertyValue(name).trim();
            context.fillRect(0, 0, 1, 1);
            const { color } = getComputedStyle(probe);
            probe.remove();
            return { color, painted: [...context.getImageData(0, 0, 1, 1).data] };
          }),
        );
        for (const { color, painted } of colors) {
          expect(color, theme).not.toMatch(/rgba|\/|rgb\(0, 0, 0\)/);
          expect(painted[3], theme).toBe(255);
        }
        expect(colors[0]?.painted, theme).not.toEqual(colors[1]?.painted);
      }
    });

    test("has no accessibility violations without a text, in any theme", async () => {
      await page.evaluate(() =>
        window.lab.tell("empty", {
          reason: "Open a text file or type here.",
          actions: [
            { id: "trainModel", label: "Train Tiny GPT" },
            { id: "importModel", label: "Import Model" },
          ],
        }),
      );
      await page.getByText("Open a text file").waitFor();
      await expectAccessible(page);
    });

    test("has none with a problem, in any theme", async () => {
      await page.evaluate(() =>
        window.lab.tell("problem", {
          message: "The engine has stopped.",
          action: { id: "restartEngine", label: "Restart Engine" },
        }),
      );
      await page.getByRole("alert").getByText("The engine has stopped.").waitFor();
      await expectAccessible(page);
      await page.getByRole("button", { name: "Retry" }).click();
      expect(await page.evaluate(() => window.lab.asked)).toContain("retry {}");
    });

    test("a problem names the model that was to be run, and its main button is what may help", async () => {
      const problem = async (action: string) => {
        const message = `It cannot be read, says ${action}.`;
        await page.evaluate(
          ([id, message]) => window.lab.tell("problem", { message, action: { id, label: id }, model: "Stories" }),
          [action, message] as const,
        );
        await page.getByText(message).waitFor();
        const buttons = await page.locator(".notice vscode-button").all();
        return Promise.all(
          buttons.map(async (each) => [await each.textContent(), await each.getAttribute("appearance")]),
        );
      };
      expect(await problem("showLog")).toEqual([
        ["Retry", "primary"],
        ["showLog", "secondary"],
      ]);
      expect(await problem("restartEngine")).toEqual([
        ["restartEngine", "primary"],
        ["Retry", "secondary"],
      ]);
      expect(await page.locator(".model-line").innerText()).toBe("Stories");
    });

    test("has none with a trace, a value and tables open, in any theme", async () => {
      await inspect(page, TEXT);
      await page.evaluate(() => window.lab.tell("busy", { busy: true }));
      await page.getByRole("button", { name: "attnOut" }).click();
      const tables = page.getByRole("button", { name: "Show table" });
      while ((await tables.count()) > 0) await tables.first().click();
      await page.locator("table").last().waitFor();
      await expectAccessible(page);
    });

    test("nothing is wider than a side bar of 300 pixels", async () => {
      await page.setViewportSize({ width: 300, height: 900 });
      await inspect(page, "A longer line, with several words in it, that must wrap.");
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(300);
      await page.setViewportSize(SIDE_BAR);
    });

    test("arrow keys choose a token, and the choice is shown in every view", async () => {
      await inspect(page, "hello");
      await page.getByRole("option", { selected: true }).focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowRight");
      const chosen = page.getByRole("option", { selected: true });
      expect(await chosen.innerText()).toMatch(/^h\b.*106/s);
      expect(await chosen.evaluate((node) => node === document.activeElement)).toBe(true);
      expect(await page.getByRole("heading", { name: /Token “h” at position 1/ }).count()).toBe(1);
    });

    test("the attention picture says by keyboard what the tensor holds", async () => {
      await inspect(page, "hello");
      await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="1.2"]')?.click());
      const picture = page.getByRole("application", { name: /Attention of layer 1, head 2/ });
      await picture.focus();
      await page.keyboard.press("Control+Home");
      for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
      const { tensor } = tinyTrace("hello");
      const weight = tensor("blocks.1.attn.pattern", 2).data[3 * 6 + 1] as number;
      expect(weight).toBeGreaterThan(1e-4);
      const said = page.getByRole("status").filter({ hasText: "→" });
      expect(await said.textContent()).toContain(
        `“l” → “h”\nblocks.1.attn.pattern[0, 2, 3, 1] = ${weight.toPrecision(6)}\ntiny-stories, step 2,000, run `,
      );
      await page.keyboard.press("Control+End");
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("End");
      expect(await said.textContent()).toContain("masked");
    });

    test("Enter on a row of a picture chooses that token", async () => {
      await inspect(page, "hello");
      const picture = page.getByRole("application", { name: /Attention of layer/ });
      await picture.focus();
      await page.keyboard.press("Control+Home");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      expect(await page.getByRole("option", { selected: true }).innerText()).toMatch(/^h/);
    });

    test("the most likely tokens are those of the distribution, and any token's rank can be found", async () => {
      await inspect(page, "hello");
      const best = tinyTrace("hello").info.nextToken.top[0]?.id;
      const bars = page.getByRole("list", { name: "Most likely next tokens" }).getByRole("listitem");
      expect(await bars.count()).toBe(11);
      expect(await bars.first().innerText()).toContain(`#${best}`);
      await page.getByRole("textbox", { name: "Rank of a token" }).fill(`#${best}`);
      await page.getByText("rank 1", { exact: true }).waitFor();
    });

    test("a model with shared keys and values, rotary positions and parallel sublayers is shown as it is", async () => {
      await page.evaluate(() => window.lab.inspect("hello", "line", "story.txt, line 1", "modern"));
      await page.getByText("tiny-llama").waitFor();
      const { tensor } = tinyTrace("hello", 1, "modern");
      await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="0.3"]')?.click());
      const layers = page.getByRole("region", { name: "Layers" });
      await layers.getByRole("button", { name: "attn.k", exact: true }).click();
      // The fourth head of queries reads the second of the two heads of keys.
      const picture = page.getByRole("application", { name: "blocks.0.attn.k" });
      await picture.focus();
      await page.keyboard.press("Control+Home");
      await page.keyboard.press("ArrowDown");
      const value = tensor("blocks.0.attn.k", 3).data[12] as number;
      const said = page.getByRole("status").filter({ hasText: "blocks.0.attn.k[" });
      await said.waitFor();
      expect(await said.textContent()).toContain("blocks.0.attn.k[0, 1, 1, 0]");
      expect(await said.textContent()).toContain(value.toPrecision(6));
      expect(await layers.getByRole("button", { name: "residMid" }).count()).toBe(0);
      const embeddings = page.getByRole("region", { name: "Embeddings" });
      expect(await embeddings.getByText("posEmbed").count()).toBe(0);
      await expectAccessible(page);
    });

    test("a scrubber goes through the checkpoints by keyboard, says where it is, and leaves the selection", async () => {
      await inspect(page, "hello");
      await page.getByRole("option", { selected: true }).focus();
      await page.keyboard.press("Home");
      const checkpoints = [100, 200, 300].map((step) => ({ step, loss: 400 / step, valLoss: null, accuracy: null }));
      await page.evaluate((told) => window.lab.tell("checkpoints", told), { checkpoints, at: 300 });
      const slider = page.getByRole("slider", { name: "Checkpoint" });
      await slider.focus();
      expect(await slider.getAttribute("aria-valuetext")).toBe("step 300 · loss 1.333");
      await page.keyboard.press("ArrowLeft");
      await expect.poll(() => page.evaluate(() => window.lab.asked)).toContain('scrub {"step":200}');
      await page.keyboard.press("Home");
      await expect.poll(() => page.evaluate(() => window.lab.asked.at(-1))).toBe('scrub {"step":100}');
      expect(await slider.getAttribute("aria-valuetext")).toBe("step 100 · loss 4.000");
      expect(await page.getByRole("option", { selected: true }).innerText()).toContain("<BOS>");
      await expectAccessible(page);
      await page.evaluate(() => window.lab.tell("checkpoints", { checkpoints: [], at: 0 }));
      expect(await slider.isVisible()).toBe(false);
    });

    test("a translator's cross-attention has a row for each token written and a column for each that was read", async () => {
      await page.evaluate(() => window.lab.translate("the cat", "le"));
      const picture = page.getByRole("application", {
        name: "Attention of layer 1, head 2, Translation to source, 3 × 8",
      });
      await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="1.2"]')?.click());
      await picture.focus();
      await page.keyboard.press("Control+End");
      const { tensor } = tinyTranslation("the cat", "le");
      const weight = tensor("blocks.1.cross.pattern", 2).data.at(-1) as number;
      const said = page.getByRole("status").filter({ hasText: "→" });
      expect(await said.textContent()).toContain(
        `“e” → “t”\nblocks.1.cross.pattern[0, 2, 2, 7] = ${weight.toPrecision(6)}\n`,
      );
      await page
        .getByRole("region", { name: "Layers" })
        .getByRole("button", { name: /^Encoder: Block 0/ })
        .click();
      await expectAccessible(page);
    });

    test("typed text is inspected after a pause and stops following the editor", async () => {
      const input = page.getByRole("textbox", { name: "Text to inspect" });
      await input.fill("abc");
      await page.getByText("typed text").waitFor();
      expect(await page.evaluate(() => window.lab.asked)).toContain('inspectText {"text":"abc"}');
      expect(await page.getByRole("checkbox", { name: "Follow editor" }).getAttribute("aria-checked")).toBe("false");
      expect(await page.evaluate(() => window.lab.state)).toMatchObject({ typed: "abc" });
    });

    test("text that was just typed stays when the focus goes and a run of the editor's line comes", async () => {
      const input = page.getByRole("textbox", { name: "Text to inspect" });
      await input.fill("abc");
      await page.getByText("typed text").waitFor();
      await input.fill("cab");
      await page.evaluate(() => {
        (document.activeElement as HTMLElement).blur();
        window.lab.inspect("bbb", "line", "story.txt, line 3");
      });
      await page.waitForFunction(() => window.lab.asked.at(-1) === 'inspectText {"text":"cab"}');
      expect(await input.inputValue()).toBe("cab");
    });

    test("text is text: markup in a prompt does not become markup", async () => {
      await inspect(page, "<img src=x>");
      expect(await page.locator("img").count()).toBe(0);
    });

    test("a table's file has every number of the picture", async () => {
      await inspect(page, "hello");
      await page.getByRole("region", { name: "Attention" }).getByRole("button", { name: "Save CSV" }).first().click();
      const file = await page.evaluate(() => {
        const { name, data } = window.lab.saved.at(-1)!;
        return { name, text: new TextDecoder().decode(data) };
      });
      expect(file.name).toMatch(/^attention-layer\d-head\d\.csv$/);
      const lines = file.text.trim().split("\r\n");
      expect(lines).toHaveLength(7);
      expect(lines[1]).toBe("0 <BOS>,1,masked,masked,masked,masked,masked");
    });

    test("a picture is saved as PNG", async () => {
      await page.getByRole("region", { name: "Attention" }).getByRole("button", { name: "Save PNG" }).first().click();
      await page.waitForFunction(() => window.lab.saved.at(-1)?.name.endsWith(".png"));
      expect(await page.evaluate(() => [...window.lab.saved.at(-1)!.data.slice(1, 4)])).toEqual([0x50, 0x4e, 0x47]);
    });

    test("pictures follow the theme", async () => {
      const corner = () =>
        page
          .locator(".heatmap-canvas")
          .first()
          .evaluate((canvas: HTMLCanvasElement) => [
            ...canvas.getContext("2d")!.getImageData(0, 0, 1, 1).data.slice(0, 3),
          ]);
      await page.evaluate(setTheme("light"));
      await expect.poll(corner).toEqual([0xf8, 0xf8, 0xf8]);
      await page.evaluate(setTheme("dark"));
      await expect.poll(corner).toEqual([0x18, 0x18, 0x18]);
    });

    test("sections stay folded when the view is made again, and ask for nothing until they are opened", async () => {
      await page.getByRole("button", { name: /^Embeddings/i }).click();
      await page.reload();
      await inspect(page, "hello");
      const embeddings = page.getByRole("button", { name: /^Embeddings/i });
      expect(await embeddings.getAttribute("aria-expanded")).toBe("false");
      expect(await page.evaluate(() => window.lab.tensors)).not.toContain("embed");
      await embeddings.click();
      await page.getByRole("heading", { name: /at position 5/ }).waitFor();
      expect(await page.evaluate(() => window.lab.tensors)).toContain("embed");
    });

    test("nothing was refused by the policy and nothing went wrong", () => expect(errors).toEqual([]));
  });

  describe("the explorer", () => {
    let page: Page;
    let errors: string[];
    let live: LiveExplorer;
    beforeAll(async () => {
      live = await openLiveExplorer(browser, explorer, "dark", { width: 1100, height: 800 });
      ({ page, errors } = live);
    });
    afterAll(() => page.close());
    const tab = (name: string) => page.getByRole("tab", { name, exact: true });
    const tabs = () => page.getByRole("tab").allInnerTexts();

    test("has no accessibility violations in any view and theme", async () => {
      await live.show(BUNDLED, STORY);
      // Two at a time: an audit takes a second.
      const names = await tabs();
      for (let i = 0; i < names.length; i += 2) {
        await tab(names[i] as string).click();
        await tab(names[(i + 1) % names.length] as string).click({ modifiers: ["Shift"] });
        await page.waitForTimeout(100);
        // Nothing is awaited for ever, also where there is nothing to compare.
        await expect.poll(() => page.locator(".pane:visible [aria-busy='true']").count(), SOON).toBe(0);
        expect(await page.getByRole("tabpanel").allInnerTexts()).not.toContain("");
        await expectAccessible(page);
        await page.getByRole("button", { name: "One view" }).click();
      }
    }, 120_000);

    test("a sampler's slider says by keyboard what it takes away, and the list what is drawn after the selected token", async () => {
      const { nextToken, tokens } = await live.show(BUNDLED, STORY);
      await tab("Next token").click();
      const list = page.getByRole("list", { name: "Most likely next tokens" });
      const said = page.getByRole("tabpanel", { name: "Next token" }).locator(".readout");
      const { id, probability } = nextToken.top[0]!;
      const own = probability.toPrecision(6);
      const told = (drawn: string) => `softmax(logits)[0, ${tokens.length - 1}, ${id}] = ${own}\ndrawn with ${drawn}\n`;
      await list.getByRole("listitem").first().focus();
      await expect.poll(() => said.textContent()).toContain(told(own));
      await page.getByRole("slider", { name: "Temperature" }).focus();
      await page.keyboard.press("Home");
      await page.getByText("always the most likely token").waitFor();
      await list.getByRole("listitem").first().focus();
      await expect.poll(() => said.textContent()).toContain(told("1.00000"));
      await page.getByRole("button", { name: "Reset" }).click();
    });

    test("digits open views, with Shift beside the other, and nothing is wider than 400 pixels", async () => {
      const [first, second] = (await tabs()) as [string, string];
      await page.locator("body").press("1");
      await page.locator("body").press("Shift+2");
      const shown = await page.getByRole("tab", { selected: true }).allInnerTexts();
      expect(shown).toEqual([first, second]);
      await page.setViewportSize({ width: 400, height: 800 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
      await page.setViewportSize({ width: 1100, height: 800 });
      await page.getByRole("button", { name: "Maximize" }).last().click();
      expect(await page.getByRole("tab", { selected: true }).allInnerTexts()).toEqual([second]);
    });

    test("the settings of a generation have their labels in one line each, in a panel of 320 pixels and in longer words too", async () => {
      await live.show(BUNDLED, STORY);
      await tab("Generation").click();
      const fields = page.locator(".sampling-fields vscode-text-field");
      await fields.filter({ hasText: "Temperature" }).evaluate((field) => field.append(" (Verteilung der Wörter)"));
      for (const width of [320, 480, 1100]) {
        await page.setViewportSize({ width, height: 800 });
        const [tallest, overflows] = await fields.evaluateAll((all) => {
          const heights = all.map((field) => field.shadowRoot?.querySelector("[part=label]")?.clientHeight ?? 0);
          const { scrollWidth = 0, clientWidth = 0 } = all[0]?.parentElement ?? {};
          return [Math.max(...heights), scrollWidth > clientWidth] as const;
        });
        expect(tallest, `${width}`).toBeGreaterThan(10);
        expect(tallest, `${width}`).toBeLessThan(24);
        expect(overflows, `${width}`).toBe(false);
      }
    });

    test("a token chosen in the strip is chosen in the views, told to the host, and kept over a reload", async () => {
      const strip = page.getByRole("listbox", { name: "Tokens of the text" });
      await strip.getByRole("option", { selected: true }).press("Home");
      await page.keyboard.press("ArrowRight");
      await tab("Embeddings").click();
      await page.getByRole("heading", { name: /Token “n” at position 1/ }).waitFor();
      await expect.poll(() => live.selected.at(-1)?.token).toBe(1);
      await page.reload();
      await live.show(BUNDLED, STORY);
      await page.getByRole("heading", { name: /Token “n” at position 1/ }).waitFor();
      expect(await strip.getByRole("option", { selected: true }).innerText()).toBe("n");
    });

    test("vectors are compared and mapped by keyboard, in the engine's own numbers", async () => {
      const { trace, tokens, residualNorms } = await live.show(BUNDLED, STORY);
      const T = tokens.length;
      await page
        .getByRole("listbox", { name: "Tokens of the text" })
        .getByRole("option", { selected: true })
        .press("End");
      const said = (text: string) => page.getByRole("status").filter({ hasText: text });

      await tab("Embeddings").click();
      const of = { kind: "token", id: tokens[T - 1]?.id ?? 0 } as const;
      const { nearest } = await live.engine.call("neighbors", { trace, of, among: "embeddings", count: 1 });
      const best = nearest[0]!;
      const neighbor = page.locator(".neighbors li").first();
      await neighbor.getByText(best.cosine.toPrecision(6), { exact: true }).waitFor();
      await neighbor.getByRole("button").press("Enter");
      const plot = page.getByRole("application", {
        name: `Principal components of the text’s vectors, embed, ${T + 1}`,
      });
      await plot.press("End");
      const { coordinates } = await live.engine.call("projection", { trace, name: "embed", ids: [best.id] });
      await said(`input embedding of token #${best.id}`).waitFor();
      expect(await said("input embedding").textContent()).toContain((coordinates[3 * T] as number).toPrecision(6));
      const busy = await page.getByRole("button", { name: /^Take .* away$/ }).evaluate((button: HTMLElement) => {
        button.click();
        const parts = document.querySelectorAll(".embedding-part[aria-busy]");
        return Array.from(parts, (part) => part.querySelector("h3")?.textContent);
      });
      expect(busy).toEqual([expect.stringMatching(/^Principal components.*computing…$/)]);
      await expect.poll(() => page.locator("[aria-busy=true]").count()).toBe(0);

      await tab("Hidden states").click();
      const map = page.getByRole("application", { name: "Norm of the stream" });
      // The last layer is on top, and the last token at the end.
      await map.press("Control+Home");
      await map.press("End");
      const place = `blocks.${residualNorms.length / T - 2}.residPost[0, ${T - 1}]`;
      const norm = residualNorms.at(-1)?.toPrecision(6) ?? "";
      await said(`‖${place}‖ = ${norm}`).waitFor();
      await map.press("Enter");
      await page.getByRole("heading", { name: place }).waitFor();
      await page.locator(".vector-statistics").getByText(norm, { exact: true }).waitFor();
    });

    test("a head that is switched off by keyboard has the engine's numbers before and after, in every view when applied", async () => {
      const { trace } = await live.show(BUNDLED, STORY);
      await page
        .getByRole("listbox", { name: "Tokens of the text" })
        .getByRole("option", { selected: true })
        .press("End");
      await tab("Interventions").click();
      await page.getByRole("application", { name: /What each part is multiplied by/ }).press("Enter");
      const off = [{ kind: "scale", part: { kind: "head", layer: 0, head: 0 }, factor: 0 }] as const;
      const changed = await live.engine.call("intervene", { trace, interventions: off });
      const { divergence } = await live.engine.call("compareTraces", { a: trace, b: changed.trace });
      const read = (title: RegExp) => tableOf(page, title);
      await expect.poll(async () => (await read(/^Next token/)).length, SOON).toBeGreaterThan(9);
      for (const [id = "", , , after] of await read(/^Next token/)) {
        const { found } = await live.engine.call("findTokens", { trace: changed.trace, query: `#${id}`, count: 1 });
        expect(Number(after)).toBeCloseTo(found[0]?.probability ?? Number.NaN, 5);
      }
      await expect.poll(async () => (await read(/^Divergence/)).length, SOON).toBe(divergence.length);
      for (const [i, [, , bits]] of (await read(/^Divergence/)).entries())
        expect(Number(bits)).toBeCloseTo(divergence[i] ?? 0, 5);

      await page.getByRole("button", { name: "Sweep" }).click();
      await page.getByText("20 runs done").waitFor();
      const rows = await read(/^Effect on the probability/);
      const swept = rows.find(([, , layer, head]) => layer === "0" && head === "0");
      const best = (await read(/^Next token/))[0];
      expect(swept?.slice(5, 7)).toEqual(best?.slice(2, 4));

      await page.getByRole("button", { name: "Apply to all views" }).click();
      const chips = page.getByRole("group", { name: "Interventions in force" });
      await chips.getByText("layer 0, head 0 off").waitFor();
      // The button is disabled then.
      const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
      expect(await focused()).toMatch(/^What each part is multiplied by/);

      await tab("Compare").click();
      const text = page.getByRole("textbox", { name: "Text to compare with" });
      await text.press("Enter");
      await page.getByText("This is the same run.").waitFor();
      await text.fill("Once upon a tree");
      await text.press("Enter");
      await page.getByText("“this text” is the changed run.").waitFor();
      await text.fill("");

      await tab("Interventions").click();
      await page.getByRole("button", { name: "Clear" }).click();
      await page.getByText("Nothing is changed yet.").waitFor();
      await chips.waitFor({ state: "hidden" });
      expect(await focused()).toMatch(/^What each part is multiplied by/);
    });

    test("where the answers of a new run do not come, nothing of the run before stands under its name", async () => {
      const pictures = {
        Embeddings: /^Cosine between/,
        Attention: /^Attention of layer/,
        "Logit lens": /^Logit lens/,
        "Hidden states": /^blocks\.\d\.resid\w+\[0, \d+\]/,
      };
      for (const [name, title] of Object.entries(pictures)) {
        await live.show(BUNDLED, STORY);
        await tab(name).click();
        const panel = page.getByRole("tabpanel", { name });
        const picture = panel.getByRole("application", { name: title });
        await picture.waitFor();
        await tab("Tokens").click();
        const { trace } = await live.show(BUNDLED, `${STORY}, again`);
        await page.getByRole("tabpanel", { name: "Tokens" }).getByText("23 tokens", { exact: true }).waitFor();
        await live.engine.call("releaseTrace", { trace });
        await tab(name).click();
        await panel.getByRole("button", { name: "Try again" }).first().waitFor();
        await picture.waitFor({ state: "hidden" });
      }
    });

    test("what is copied after the last layer brings the other text's prediction with it", async () => {
      await live.show(BUNDLED, STORY);
      const strip = page.getByRole("listbox", { name: "Tokens of the text" });
      await strip.getByRole("option", { selected: true }).press("End");
      await tab("Interventions").click();
      const { nextToken, model } = await live.engine.call("inspect", { dir: BUNDLED, text: "The fox ran." });
      const field = page.getByRole("textbox", { name: "Text to copy from" });
      await field.fill("The fox ran.");
      await field.press("Enter");
      await page.getByRole("spinbutton", { name: "Position in the other text" }).fill("11");
      await page.getByRole("combobox", { name: "Layer", exact: true }).click();
      await page.getByRole("option", { name: `layer ${model.config.nLayers - 1}` }).click();
      await page.getByRole("button", { name: "Copy this value" }).click();
      const furthest = async () => {
        const after = new Map(
          (await tableOf(page, /^Next token/)).map(([id, , , value]) => [Number(id), Number(value)]),
        );
        const best = nextToken.top.slice(0, 10);
        return Math.max(...best.map(({ id, probability }) => Math.abs((after.get(id) ?? 1) - probability)));
      };
      await expect.poll(furthest, SOON).toBeLessThan(1e-5);
    });

    describe("of a translator", () => {
      const TEXT = "the cat sleeps";
      let dir: string;
      let told: TraceInfo;
      beforeAll(async () => {
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
        told = await live.show(join(dir, "model"), TEXT);
      }, 60_000);
      afterAll(() => rm(dir, { recursive: true, force: true }));

      test("parts of both stacks are changed by keyboard, and values copied, in the engine's own numbers", async () => {
        const { trace, tokens } = told;
        const shown = page.getByRole("tabpanel", { name: "Interventions" });
        await tab("Interventions").click();
        const parts = shown.getByRole("application", { name: /What each part is multiplied by/ });
        await parts.press("Control+Home");
        for (let i = 0; i < 6; i++) await parts.press("ArrowRight");
        await parts.press("Enter");
        const chips = shown.getByRole("list", { name: "Changes of this view" });
        await chips.getByText("encoder layer 0 MLP off").waitFor();
        await parts.press("ArrowDown");
        for (let i = 0; i < 4; i++) await parts.press("ArrowLeft");
        await parts.press("Enter");
        await chips.getByText("decoder layer 0, head 0 to the source off").waitFor();
        const field = shown.getByRole("textbox", { name: "Text to copy from" });
        await field.fill("a dog runs");
        await field.press("Enter");
        await shown.getByRole("combobox", { name: "Stack to copy in" }).click();
        await page.getByRole("option", { name: "Encoder" }).click();
        await shown.getByRole("spinbutton", { name: "Position in this text" }).fill("2");
        await shown.getByRole("spinbutton", { name: "Position in the other text" }).fill("1");
        await shown.getByRole("button", { name: "Copy this value" }).click();
        await chips.getByText(/^enc\.blocks\.0\.residPost at 2 from run \d+ at 1/).waitFor();

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

        const attributed = await tableOf(page, /^What adds to the logit/);
        const [title = ""] = await shown.getByRole("heading", { name: /^What adds to the logit/ }).allInnerTexts();
        const position = Number(/(\d+)$/.exec(title)?.[1]);
        const token = Number(/#(\d+)/.exec((await shown.getByText(/^watched: /).textContent()) ?? "")?.[1]);
        const { parts: added } = await live.engine.call("attribution", { trace: changed.trace, position, token });
        for (const part of added.filter(({ kind }) => kind === "crossHead")) {
          const row = attributed.find(([label]) => label === `layer ${part.layer} head ${part.head} to the source`);
          expect(Number(row?.at(-1))).toBeCloseTo(part.value, 5);
        }
        await shown.getByRole("button", { name: "Sweep" }).click();
        await shown.getByText("13 runs done").waitFor();
        await shown.getByRole("button", { name: "Apply to all views" }).click();
        const inForce = page.getByRole("group", { name: "Interventions in force" });
        await inForce.getByText("encoder layer 0 MLP off").waitFor();
        await expect.poll(bits, SOON).toEqual(near);
        await inForce.getByRole("button", { name: "Undo all" }).click();
        await page.getByText("Nothing is changed yet.").waitFor();
      });

      test("what is read is compared with the source's vocabulary, and a token of that is drawn", async () => {
        const { trace, source } = told;
        await tab("Embeddings").click();
        const shown = page.getByRole("tabpanel", { name: "Embeddings" });
        await shown.getByRole("combobox", { name: "Where the vectors are taken" }).click();
        await page.getByRole("option", { name: "enc.blocks.0.residPost", exact: true }).click();
        const name = "enc.blocks.0.residPost";
        const of = { kind: "value", name, position: 0 } as const;
        const { nearest } = await live.engine.call("neighbors", { trace, of, among: "embeddings", count: 15 });
        await shown.getByRole("heading", { name: `Nearest to “<bos>” at ${name}[0, 0]`, exact: true }).waitFor();
        await shown
          .locator(".embedding-part", { has: page.locator(".neighbors") })
          .getByRole("button", { name: "Save JSON" })
          .click();
        await expect.poll(() => live.saved.at(-1)?.name).toMatch(/^nearest-tokens/);
        const { title, rows } = JSON.parse(new TextDecoder().decode(live.saved.at(-1)?.data));
        expect(title).toMatch(/ by cosine among the source’s input embeddings$/);
        expect(rows.map(([id]: unknown[]) => id)).toEqual(nearest.map(({ id }) => id));
        const field = shown.getByRole("textbox", { name: "Token of the vocabulary to add" });
        await field.fill("·dog");
        await field.press("Enter");
        const points = (source?.tokens.length ?? 0) + 1;
        const plot = shown.getByRole("application", {
          name: `Principal components of the text’s vectors, ${name}, ${points}`,
        });
        await plot.press("End");
        const said = shown.getByRole("status").filter({ hasText: "input embedding of the source’s token" });
        const [, id] = /#(\d+)/.exec((await said.textContent()) ?? "") ?? [];
        const { coordinates } = await live.engine.call("projection", { trace, name, ids: [Number(id)] });
        expect(await said.textContent()).toContain((coordinates.at(-3) as number).toPrecision(6));
        expect(await said.textContent()).toContain("“·dog”");
      });

      test("a source token that is chosen is the same one in every view, and told about", async () => {
        await tab("Tokens").click();
        const tokens = page.getByRole("tabpanel", { name: "Tokens" });
        const sources = tokens.getByRole("listbox", { name: "Tokens of the source" });
        const chosen = sources.getByRole("option", { selected: true });
        const { source } = told;
        for (const key of ["Home", "End"] as const) {
          await chosen.press(key);
          const at = key === "Home" ? 0 : (source?.tokens.length ?? 0) - 1;
          await page.mouse.move(0, 0);
          await page
            .getByRole("listbox", { name: "Tokens of the text" })
            .getByRole("option", { selected: true })
            .focus();
          const details = await tokens.locator(".token-details").innerText();
          expect(details.split("\n").slice(0, 4)).toEqual(["text", "Source", "position", String(at)]);
          const label = await chosen.locator(".token-text").textContent();
          await tab("Attention").click();
          await page.getByRole("heading", { name: new RegExp(`→ “${at} ${label}`) }).waitFor();
          await tab("Tokens").click();
        }
      });

      test("two translations are compared, also what their encoders made of the sources", async () => {
        const other = "the dog";
        const beside = await live.engine.call("inspect", { dir: join(dir, "model"), text: other });
        const { values } = await live.engine.call("compareTraces", { a: told.trace, b: beside.trace });
        await tab("Compare").click();
        const field = page.getByRole("textbox", { name: "Text to compare with" });
        await field.fill(other);
        await field.press("Enter");
        await page.getByRole("heading", { name: "Attention of layer 0, head 0, Translation to source" }).waitFor();
        await page.getByRole("combobox", { name: "Value", exact: true }).click();
        await page.getByRole("option", { name: "enc.residPost", exact: true }).click();
        const rows = await tableOf(page, /^Relative difference/);
        const expected = values.find(({ name }) => name === "enc.blocks.0.residPost")?.relative ?? [];
        expect(rows.map(([, , token]) => token?.trim())).toEqual(["<bos>", "·the", "·cat", "·sleeps"]);
        expect(rows.map((row) => Number(row[3]))).toEqual(Array.from(expected, (each) => expect.closeTo(each, 5)));
      });
    });

    test("a head that is moved to by keyboard is the engine's, taken apart, as lines and as shades of the editor's text", async () => {
      const { trace } = await live.show(BUNDLED, STORY);
      await tab("Attention").click();
      const shown = page.getByRole("tabpanel", { name: "Attention" });
      await shown.getByRole("group", { name: "All heads" }).getByRole("button", { pressed: true }).press("Home");
      for (const key of ["ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
      const picture = shown.getByRole("application", { name: /^Attention of layer 1, head 1, 16 × 16$/ });
      for (const key of ["Control+Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"]) {
        await picture.press(key);
      }
      const { data } = await live.engine.call("traceTensor", { trace, name: "blocks.1.attn.pattern", head: 1 });
      const row = data.subarray(3 * 16, 3 * 16 + 4);
      const name = "blocks.1.attn.pattern[0, 1, 3, 1]";
      const steps = shown.locator("dl", { hasText: name });
      await steps.waitFor();
      const [, computed] = / = ([\d.e-]+)/.exec(await steps.innerText()) ?? [];
      const [, told] = / = ([\d.e-]+)/.exec(await steps.locator("dd", { hasText: name }).innerText()) ?? [];
      expect(Number(told)).toBeCloseTo(row[1] as number, 6);
      expect(Number(computed)).toBeCloseTo(row[1] as number, 6);

      const shade = shown.getByRole("checkbox", { name: /^Shade the text/ });
      await shade.press("Space");
      await expect.poll(() => live.shaded.at(-1)?.length).toBe(16);
      const most = Math.max(...row);
      row.forEach((weight, key) => void expect(live.shaded.at(-1)?.[key]).toBeCloseTo(weight / most, 5));
      await shade.press("Space");
      await expect.poll(() => live.shaded.at(-1)).toBeNull();

      await shown.getByRole("combobox", { name: "Picture" }).click();
      await page.getByRole("option", { name: "lines", exact: true }).click();
      await shown.getByRole("application", { name: /as lines/ }).press("Home");
      const said = shown.getByRole("status").filter({ hasText: "lines drawn" });
      expect(await said.textContent()).toContain("blocks.1.attn.pattern[0, 1, 0, 0] = 1");
    });

    test("every picture is saved as PNG and as SVG with its words, its numbers as JSON with their run, and heads in their order", async () => {
      // A text of its own: what was written after another is of the run before.
      const text = "Tom had a frog";
      // The page's policy is not that of files.
      const plain = await browser.newPage();
      const { trace, model } = await live.show(BUNDLED, text);
      const panel = page.getByRole("tabpanel");
      const saves = () => panel.locator(".data-bar:visible").allInnerTexts();
      const press = async (label: string): Promise<string[]> => {
        const before = live.saved.length;
        const buttons = panel.locator(".data-bar:visible").getByText(label);
        const count = await buttons.evaluateAll((all) => all.map((button) => (button as HTMLElement).click()).length);
        await expect.poll(() => live.saved.length, SOON).toBe(before + count);
        return live.saved.slice(before).map(({ data }) => new TextDecoder().decode(data));
      };
      const score = { name: "firstToken", label: "first token" } as const;
      const prepare: Readonly<Record<string, () => Promise<void>>> = {
        Architecture: async () => {
          await page
            .getByRole("row", { name: /weight/ })
            .first()
            .click();
          await page.getByText("Histogram").waitFor();
        },
        "Logit lens": () =>
          page.getByRole("button", { name: "Track it" }).or(page.locator(".lens-top button")).first().click(),
        Attention: async () => {
          await page.getByRole("combobox", { name: "Score of heads" }).click();
          await page.getByRole("option", { name: score.label, exact: true }).click();
          await page.getByRole("checkbox", { name: "Sort by it" }).click();
        },
        Generation: () => page.getByRole("button", { name: "Stop" }).waitFor({ state: "hidden" }),
      };
      const pictures = new Map<string, number>();
      for (const name of await tabs()) {
        // Interventions and comparisons have tests of their own.
        if (name === "Interventions" || name === "Compare") continue;
        await tab(name).click();
        await panel.locator(".data-bar:visible").first().waitFor();
        await prepare[name]?.();
        await page.waitForTimeout(100);
        const bars = await saves();
        pictures.set(name, bars.length);
        for (const bar of bars) expect(bar, name).toMatch(/Save CSV.*Save JSON.*Save PNG.*Save SVG/s);
        for (const json of await press("Save JSON")) {
          const { runs, columns, rows } = JSON.parse(json);
          expect(runs, name).toMatchObject([{ model: { name: model.name }, number: trace, text }]);
          for (const row of rows) expect(row.length, name).toBe(columns.length);
          expect(rows.length, name).toBeGreaterThan(0);
        }
        const texts = await plain.evaluate(
          (files) =>
            files.map((file) => {
              const svg = new DOMParser().parseFromString(file, "image/svg+xml");
              return [...svg.querySelectorAll("svg > text")].map(({ textContent }) => textContent ?? "");
            }),
          await press("Save SVG"),
        );
        for (const words of texts) expect(words.length, name).toBeGreaterThan(1);
        for (const png of await press("Save PNG")) expect(png.slice(1, 4), name).toBe("PNG");
        if (name !== "Attention") continue;
        const { heads, scores } = await live.engine.call("attentionGrid", { trace, size: 40 });
        const order = [...scores[score.name].keys()].sort((a, b) => scores[score.name][b]! - scores[score.name][a]!);
        const named = texts.map((words) => words.filter((word) => /^L\d+ H\d+$/.test(word)));
        expect(named).toContainEqual(order.map((i) => `L${Math.floor(i / heads)} H${i % heads}`));
      }
      await plain.close();
      expect(Object.fromEntries(pictures)).toEqual({
        Tokens: 1,
        "Next token": 1,
        Architecture: 3,
        Embeddings: 5,
        "Hidden states": 3,
        Attention: 3,
        "Logit lens": 2,
        Generation: 1,
      });
    }, 60_000);

    test("another text is compared value by value, and no model of another tokenizer", async () => {
      const { trace } = await live.show(BUNDLED, STORY);
      const other = `${STORY.slice(0, -1)}n`;
      const beside = await live.engine.call("inspect", { dir: BUNDLED, text: other });
      const { values } = await live.engine.call("compareTraces", { a: trace, b: beside.trace });
      await tab("Compare").click();
      const field = page.getByRole("textbox", { name: "Text to compare with" });
      await field.fill(other);
      await field.press("Enter");
      await page.getByText(`The texts differ from token ${STORY.length - 1} on`).waitFor();
      const rows = await tableOf(page, /^Relative difference/);
      expect(rows.length).toBeGreaterThan(STORY.length);
      for (const [name, position, , relative] of rows) {
        const expected = values.find((value) => value.name === name)?.relative[Number(position)];
        expect(Number(relative)).toBeCloseTo(expected ?? Number.NaN, 5);
      }

      const dir = await mkdtemp(join(tmpdir(), "dlab-pages-"));
      await cp(BUNDLED, dir, { recursive: true });
      const vocabulary = await readFile(join(dir, "tokenizer.json"), "utf8");
      await writeFile(
        join(dir, "tokenizer.json"),
        vocabulary.replace('"O":', '"A?":').replace('"A":', '"O":').replace('"A?":', '"A":'),
      );
      const { name } = (await live.show(dir, STORY)).model;
      await live.show(BUNDLED, STORY);
      await page.getByRole("combobox", { name: "Model to compare with" }).click();
      await page.getByRole("option", { name }).last().click();
      await page.getByText("The models have different vocabularies").waitFor();
      await rm(dir, { recursive: true, force: true });
    });

    test("a generation says what the engine does, branches by keyboard, opens in all views, and is there again after a reload", async () => {
      await live.show(BUNDLED, STORY);
      await tab("Generation").click();
      const shown = page.getByRole("tabpanel", { name: "Generation" });
      const branches = shown.getByRole("treeitem");
      const prompt = (await live.engine.call("tokenize", { dir: BUNDLED, text: STORY })).map(({ id }) => id);
      const traced = await live.engine.call("generationTrace", { dir: BUNDLED, prompt, maxNewTokens: 24, count: 10 });
      await shown.getByText("step 1 of 24").waitFor();
      await shown.getByRole("button", { name: "Show table" }).click();
      const cells = () => shown.locator(".data-table td").allTextContents();
      const columns = 8 + 3 * 10;
      await expect.poll(async () => (await cells()).length).toBe(24 * (columns - 1));
      const told = await cells();
      traced.steps.forEach((step, i) => {
        const row = told.slice(i * (columns - 1), (i + 1) * (columns - 1));
        const numbers = [
          row[1],
          row[2],
          row[3],
          row[4],
          row[5],
          row[6],
          ...row.filter((_, k) => k >= 7 && k % 3 === 0),
        ];
        const { id, probability, entropyBits, kept, drawnWith, top } = step;
        const expected = [id, probability, entropyBits, kept.tokens, kept.mass, drawnWith];
        // Six digits are shown, of numbers above 1 fewer of them after the point.
        expect(numbers.map(Number), `step ${i}`).toEqual(
          [...expected, ...top.map((each) => each.probability)].map((x) => expect.closeTo(x, x >= 1 ? 4 : 5)),
        );
      });
      await shown.getByRole("button", { name: "Hide table" }).click();

      // Two steps on, the second choice instead.
      await shown.getByRole("listbox", { name: "Written tokens" }).getByRole("option", { selected: true }).focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      await shown.getByRole("heading", { name: /^Step 3/ }).waitFor();
      await shown.getByRole("list", { name: "Tokens to choose from" }).getByRole("button").nth(1).focus();
      await page.keyboard.press("Enter");
      await expect.poll(() => branches.count()).toBe(2);
      await shown.getByText("You picked this token.").waitFor();
      const other = traced.steps[2]?.top[1]?.id as number;
      const goesOn = [...prompt, ...traced.steps.slice(0, 2).map(({ id }) => id), other];
      const branch = await live.engine.call("generationTrace", {
        dir: BUNDLED,
        prompt: goesOn,
        maxNewTokens: 21,
        count: 1,
      });
      await shown.getByRole("button", { name: "Open this text in all views" }).click();
      await shown.getByText("the step that is looked at is the selected token").waitFor();
      const run = await page.getByRole("textbox", { name: "Text to run" }).inputValue();
      expect(run.endsWith(branch.text)).toBe(true);
      await expect.poll(() => live.selected.at(-1)?.token).toBe(prompt.length + 2);

      await page.reload();
      await live.show(BUNDLED, run);
      await shown.getByText("You picked this token.").waitFor();
      expect(await branches.count()).toBe(2);
      await shown.getByRole("button", { name: "Back to the prompt" }).click();
      await shown.getByRole("button", { name: "Back to the prompt" }).waitFor({ state: "hidden" });
    });

    test("a completion's steps are those that wrote it, and it is said where they are not", async () => {
      const text = "The fox ran";
      const prompt = (await live.engine.call("tokenize", { dir: BUNDLED, text })).map(({ id }) => id);
      const sampling = { temperature: 1, topK: 3, topP: 1, seed: 7 };
      const made = await live.engine.call("generate", { dir: BUNDLED, prompt: text, maxNewTokens: 6, ...sampling });
      const completion = { prompt, ids: made.ids, shown: made.text, sampling };
      await tab("Generation").click();
      await live.show(BUNDLED, text, completion);
      await page.getByText("These steps wrote the same 6 tokens.").waitFor();
      await live.show(BUNDLED, text, { ...completion, ids: made.ids.map((id, i) => (i === 3 ? id ^ 1 : id)) });
      await page.getByText("These steps differ from it after 3 of its 6 tokens").waitFor();
    });

    test("nothing was refused by the policy and nothing went wrong", () => expect(errors).toEqual([]));
  });

  describe("the training view", () => {
    let page: Page;
    let errors: string[];
    beforeAll(async () => {
      ({ page, errors } = await openPage(browser, training, "dark", { width: 900, height: 1000 }));
    });
    afterAll(() => page.close());
    const corpus = "It was the best of times, it was the worst of times. ".repeat(30);
    const train = (phase: string, message?: string) =>
      page.evaluate(([text, at, why]) => window.lab.train(text as string, 520, 600, at as "running", why), [
        corpus,
        phase,
        message,
      ] as const);

    test("begins or opens a run when there is none", async () => {
      await page.getByText("No run is shown").waitFor();
      for (const name of ["Train Tiny GPT", "Open a run…"]) await page.getByRole("button", { name }).click();
      const asked = await page.evaluate(() => window.lab.asked);
      expect(asked).toEqual(expect.arrayContaining(['act {"action":"trainModel"}', 'act {"action":"openRun"}']));
      await expectAccessible(page);
    });

    test.each([
      ["running", ["Pause", "Stop"]],
      ["paused", ["Go on", "Stop"]],
      ["stopped", ["Resume from step 500", "Look inside", "Use this model", "Export to PyTorch"]],
      ["done", ["Look inside", "Use this model", "Export to PyTorch"]],
      ["failed", ["Resume from step 500", "Look inside", "Use this model", "Export to PyTorch"]],
    ])(
      "a run that is %s has its buttons and no accessibility violations, in any theme",
      async (phase, buttons) => {
        await train(
          phase,
          phase === "failed" ? "The loss is not a number at step 520; lower the learning rate." : undefined,
        );
        await page.locator(".badge").getByText(phase).waitFor();
        const shown = await page.locator("header vscode-button:visible").allInnerTexts();
        expect(shown.map((text) => text.trim()).sort()).toEqual([...buttons].sort());
        await expectAccessible(page);
      },
      60_000,
    );

    test("a run that diverged is branched from, or begun again where nothing was kept of it", async () => {
      const branches = (kept: number[]) =>
        page.evaluate((steps) => {
          const { lab } = window;
          const state = {
            phase: "failed",
            message: "Training diverged at step 520.",
            secondsLeft: null,
            diverged: true,
          };
          lab.tell("run", { ...lab.run!, state });
          const of = (step: number) => ({ step, dir: "/x", loss: 2, valLoss: 2, accuracy: null });
          lab.tell("checkpoints", steps.map(of));
        }, kept);
      await branches([0, 500]);
      await page.getByRole("button", { name: "Branch from step 500…" }).click();
      expect(await page.evaluate(() => window.lab.asked)).toContain('branch {"step":500}');
      expect(await page.getByRole("button", { name: /Resume/ }).count()).toBe(0);
      await branches([0]);
      await page.getByRole("button", { name: "Train again…" }).waitFor();
      await branches([]);
    });

    test("a preparation shows how far it is", async () => {
      await page.evaluate(() => {
        const state = { phase: "preparing", message: null, secondsLeft: null };
        window.lab.tell("run", {
          ...window.lab.run,
          state,
          started: null,
          reports: [],
          evals: [],
          samples: [],
          checkpointStep: null,
        });
        window.lab.tell("train", { kind: "prepare", message: "Reading the text", fraction: 0.25 });
      });
      await page.getByText("Reading the text 25.0 %").waitFor();
      await expectAccessible(page);
    });

    test("buttons ask the host", async () => {
      await train("running");
      await page.getByRole("button", { name: "Pause" }).click();
      await page.getByRole("button", { name: "Stop" }).click();
      const asked = await page.evaluate(() => window.lab.asked);
      expect(asked).toContain('pause {"paused":true}');
      expect(asked).toContain("stop {}");
    });

    test("curves are read by keyboard, and their table has every step", async () => {
      await train("running");
      await page.getByText("of 600").waitFor();
      const chart = page.getByRole("application", { name: /^Loss/ });
      await chart.focus();
      await page.keyboard.press("Home");
      const first = await page.evaluate(() => window.lab.run!.reports[0]!.loss.toFixed(4));
      await expect
        .poll(() => page.getByRole("region", { name: "Loss", exact: true }).getByRole("status").first().textContent())
        .toContain(`step 1: training, each step ${first}`);
      await page.getByRole("region", { name: "Loss", exact: true }).getByRole("button", { name: "Save CSV" }).click();
      const rows = await page.evaluate(
        () => new TextDecoder().decode(window.lab.saved.at(-1)!.data).trim().split("\r\n").length,
      );
      expect(rows).toBe(521);
    });

    test("runs, a queue, a search, a task, checkpoints, a painted text and the record have no violations, in any theme", async () => {
      await train("running");
      await page.evaluate(() => {
        const { lab } = window;
        const run = lab.run!;
        const settings = { ...run.record!.settings, "train.schedule.lr": 20 };
        lab.tell("compared", [{ ...run, dir: "/models/slow", name: "slow", record: { ...run.record!, settings } }]);
        lab.tell("checkpoints", [{ step: 500, dir: "/x", loss: 2, valLoss: 2.125, accuracy: null }]);
        lab.tell("queue", {
          waiting: [{ id: 7, name: "fox", preset: "char", about: "500 steps" }],
          held: "The engine ended.",
        });
        lab.tell("finder", {
          name: "fox",
          points: [1, 2, 3].map((i) => ({ lr: 10 ** -i, loss: i })),
          suggestion: 0.01,
        });
        lab.tell("train", { kind: "warning", step: 300, message: "The loss rose; lower the learning rate." });
        const task = lab.carrylessTask();
        lab.tell("train", { kind: "eval", report: { ...run.evals.at(-1)!, step: 520, accuracy: 0.5, task } });
      });
      for (const name of [/^Checkpoints/, /^Loss on the training text/, /^Run record/]) {
        await page.getByRole("button", { name }).click();
      }
      await page.getByRole("region", { name: "Comparison" }).getByRole("button", { name: "Show table" }).click();
      await page.getByText("page 1 of 3").waitFor();
      await expectAccessible(page);
    }, 60_000);

    test("compared runs differ by the settings that differ, and by nothing else", async () => {
      const table = page.getByRole("region", { name: /^Table: Figures/ });
      expect(await table.getByRole("row").filter({ hasText: "train." }).allInnerTexts()).toEqual([
        expect.stringMatching(/^train\.schedule\.lr\s+40\s+20$/),
      ]);
      expect(await page.getByRole("application", { name: /^Loss,/ }).getAttribute("aria-label")).toContain(
        "slow: validation",
      );
    });

    test("what the buttons of the queue, the comparison and a checkpoint ask, the host is told", async () => {
      const press = (name: string) => page.getByRole("button", { name, exact: true }).click();
      await press("Run now: fox");
      await press("Remove slow from the comparison");
      await press("Branch from here… step 500");
      await press("Go on with the queue");
      await press("Next page");
      const asked = await page.evaluate(() => window.lab.asked.slice(-5));
      expect(asked).toEqual([
        'queued {"id":7,"change":"now"}',
        'uncompare {"dir":"/models/slow"}',
        'branch {"step":500}',
        "goOn {}",
        'paint {"step":null,"page":1}',
      ]);
    });

    test("the painted text says what each token cost, and the confusion which digit was taken for which", async () => {
      const text = page.getByRole("application", { name: "Loss of each token" });
      await text.focus();
      await page.keyboard.press("ArrowRight");
      expect(await page.getByRole("status").filter({ hasText: "bits, probability" }).textContent()).toMatch(
        /^“t”: \d+\.\d{3} bits/,
      );
      // Of the last digit, 9 is always answered as 9; a carry into the tens is forgotten.
      await page.getByRole("combobox", { name: "Digit of the answer" }).click();
      await page.getByRole("option", { name: "digit 2" }).click();
      const picture = page.getByRole("application", { name: /digit 2 of the answer/ });
      await picture.focus();
      await page.keyboard.press("Control+Home");
      expect(await page.getByRole("status").filter({ hasText: "expected 0" }).textContent()).toBe(
        "expected 0, answered 0: 550 times, 55.0 % of the row",
      );
    });

    test("new steps move the figures", async () => {
      await page.evaluate(() => {
        const last = window.lab.run!.reports.at(-1)!;
        window.lab.tell("train", { kind: "steps", reports: [{ ...last, step: 521, loss: 1.875 }], secondsLeft: 3 });
      });
      await page.locator(".figure-value").getByText("1.875").waitFor();
    });

    test("samples keep their whitespace and the newest is first", async () => {
      const samples = await page.locator(".sample").allInnerTexts();
      expect(samples[0]).toContain("step 500");
      expect(
        await page
          .locator("pre")
          .first()
          .evaluate((node) => getComputedStyle(node).whiteSpaceCollapse),
      ).toBe("preserve");
    });

    test("nothing was refused by the policy and nothing went wrong", () => expect(errors).toEqual([]));
  });
});

async function inspect(page: Page, text: string): Promise<void> {
  await page.waitForSelector("main > *");
  const before = await page.evaluate(() => document.querySelectorAll(".token").length);
  await page.evaluate((typed) => window.lab.inspect(typed, "line", "story.txt, line 3"), text);
  const count = tinyTrace(text).info.tokens.length;
  await page.waitForFunction(
    ([n, was]) => document.querySelectorAll(".token").length === n || was === n,
    [count, before],
  );
  // The pictures follow in the turns after the tokens.
  await page.waitForTimeout(100);
}

/** The rows of the table behind a picture, which is opened where it is not; none while there is no such table. */
async function tableOf(page: Page, title: RegExp): Promise<string[][]> {
  const part = page.locator("section.pair-part").filter({ has: page.getByRole("heading", { name: title }) });
  const closed = part.getByRole("button", { name: "Show table" });
  if (await closed.first().isVisible()) await closed.first().click();
  const rows = part.getByRole("table").first().locator("tbody tr");
  return rows.evaluateAll((all) =>
    all.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.innerText)),
  );
}

/** Runs axe-core in each theme; a violation is told with its rule, theme and element. */
/** No violations: of all rules in the first theme, of those about colors in the others. */
async function expectAccessible(page: Page): Promise<void> {
  const found: string[] = [];
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe.source);
  for (const theme of THEMES) {
    await page.evaluate(setTheme(theme));
    // The toolkit's controls take a theme's colors a little later.
    await page.waitForTimeout(200);
    const rules = theme === THEMES[0] ? {} : { runOnly: ["color-contrast", "link-in-text-block"] };
    const violations = await page.evaluate(async (options) => {
      const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document, options);
      return violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.any[0]?.message ?? node.failureSummary}`),
      );
    }, rules);
    found.push(...violations.map((violation) => `${theme}: ${violation}`));
  }
  await page.evaluate(setTheme("dark"));
  expect(found).toEqual([]);
}
