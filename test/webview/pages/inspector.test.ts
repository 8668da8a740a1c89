/** The Layer Inspector in Chromium: no accessibility violations, and what it shows and sends by keyboard. */

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { setTheme } from "../openPage";
import { tinyTrace } from "../tinyTrace";
import { tinyTranslation } from "../tinyTranslation";
import { chooseMore, describeHosted, expectAccessible, THEMES } from "./chromium";

const TEXT = "a 🐈\n\tsat.";
const SIDE_BAR = { width: 320, height: 900 };

describeHosted("inspector", SIDE_BAR, (opened) => {
  test("positive and negative colors are opaque and differ in every theme", async () => {
    const { page } = opened();
    for (const theme of THEMES) {
      await page.evaluate(setTheme(theme));
      const colors = await page.evaluate(() =>
        ["--lab-positive", "--lab-negative"].map((name) => {
          const probe = document.createElement("i");
          document.body.append(probe);
          probe.style.color = `var(${name})`;
          const context = new OffscreenCanvas(1, 1).getContext("2d") as unknown as CanvasRenderingContext2D;
          // As the canvases read the color.
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

  test("an empty inspector has no accessibility violations in any theme", async () => {
    const { page } = opened();
    await page.evaluate(() =>
      window.lab.send("empty", {
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

  test("a problem has no accessibility violations in any theme, and its button retries", async () => {
    const { page } = opened();
    await page.evaluate(() =>
      window.lab.send("problem", {
        message: "The engine has stopped.",
        action: { id: "restartEngine", label: "Restart Engine" },
      }),
    );
    await page.getByRole("alert").getByText("The engine has stopped.").waitFor();
    await expectAccessible(page);
    await page.getByRole("button", { name: "Retry" }).click();
    expect(await page.evaluate(() => window.lab.requests)).toContain("retry {}");
  });

  test("a problem names the model that was to run and puts the most helpful button first", async () => {
    const { page } = opened();
    const problem = async (action: string) => {
      const message = `It cannot be read, says ${action}.`;
      await page.evaluate(
        ([id, message]) => window.lab.send("problem", { message, action: { id, label: id }, model: "Stories" }),
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

  test("a text that the model cannot read offers one that it wrote", async () => {
    const { page } = opened();
    await page.evaluate(() =>
      window.lab.send("problem", { message: "It has no token for Z.", action: null, suggestion: "how are you ?" }),
    );
    expect(await page.getByRole("button", { name: "Retry" }).count()).toBe(0);
    await page.getByRole("button", { name: "Try “how are you ?”" }).click();
    await expect.poll(() => page.evaluate(() => window.lab.requests)).toContain('inspectText {"text":"how are you ?"}');
    expect(await page.getByRole("textbox", { name: "Prompt" }).inputValue()).toBe("how are you ?");
  });

  test("a trace with a value and open tables has no accessibility violations in any theme", async () => {
    const { page } = opened();
    await inspect(page, TEXT);
    await page.evaluate(() => window.lab.send("busy", { busy: true }));
    await page.getByRole("button", { name: "attnOut" }).click();
    const closed = page.locator(".data[data-open=false]").filter({ visible: true });
    while ((await closed.count()) > 0) await chooseMore(closed.first(), "Show table");
    await page.locator("table").last().waitFor();
    await expectAccessible(page);
  });

  test("no content is wider than a side bar of 300 pixels", async () => {
    const { page } = opened();
    await page.setViewportSize({ width: 300, height: 900 });
    await inspect(page, "A longer line, with several words in it, that must wrap.");
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(300);
    const heights = await page
      .locator(".value-name:visible")
      .evaluateAll((names) => names.map((name) => name.getBoundingClientRect().height));
    expect(heights.length).toBeGreaterThan(5);
    expect(Math.max(...heights), "names of values are one line").toBeLessThan(26);
    await page.setViewportSize(SIDE_BAR);
  });

  test("arrow keys select a token in every view", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    await page.getByRole("option", { selected: true }).focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    const chosen = page.getByRole("option", { selected: true });
    expect(await chosen.innerText()).toMatch(/^h\b.*106/s);
    expect(await chosen.evaluate((node) => node === document.activeElement)).toBe(true);
    expect(await page.getByRole("heading", { name: /Token “h” at position 1/ }).count()).toBe(1);
  });

  test("the attention picture reads out its weights by keyboard", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="1.2"]')?.click());
    const picture = page.getByRole("application", { name: /Attention of layer 1, head 2/ });
    await picture.focus();
    await page.keyboard.press("Control+Home");
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
    const { tensor } = tinyTrace("hello");
    const weight = tensor("blocks.1.attn.pattern", 2).data[3 * 6 + 1] as number;
    expect(weight).toBeGreaterThan(1e-4);
    const status = page.getByRole("status").filter({ hasText: "→" });
    expect(await status.textContent()).toContain(
      `“l” → “h”\nblocks.1.attn.pattern[0, 2, 3, 1] = ${weight.toPrecision(6)}\ntiny-stories, step 2,000, trace `,
    );
    await page.keyboard.press("Control+End");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("End");
    expect(await status.textContent()).toContain("masked");
  });

  test("Enter on a row of a picture selects that token", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    const picture = page.getByRole("application", { name: /Attention of layer/ });
    await picture.focus();
    await page.keyboard.press("Control+Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    expect(await page.getByRole("option", { selected: true }).innerText()).toMatch(/^h/);
  });

  test("the list has the most likely tokens, and the rank of any token can be found", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    const best = tinyTrace("hello").info.nextToken.top[0]?.id;
    const bars = page.getByRole("list", { name: "Most likely next tokens" }).getByRole("listitem");
    expect(await bars.count()).toBe(11);
    expect(await bars.first().innerText()).toContain(`#${best}`);
    await page.getByRole("textbox", { name: "Rank of a token" }).fill(`#${best}`);
    await page.getByText("rank 1", { exact: true }).waitFor();
  });

  test("a model with grouped-query attention, rotary positions and parallel sublayers is shown correctly", async () => {
    const { page } = opened();
    await page.evaluate(() => window.lab.inspect("hello", "line", "story.txt, line 1", "modern"));
    await page.getByText("tiny-llama").waitFor();
    const { tensor } = tinyTrace("hello", 1, "modern");
    await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="0.3"]')?.click());
    const layers = page.getByRole("region", { name: "Layers" });
    await layers.getByRole("button", { name: "attn.k", exact: true }).click();
    // The fourth query head reads the second of the two key heads.
    const picture = page.getByRole("application", { name: "blocks.0.attn.k" });
    await picture.focus();
    await page.keyboard.press("Control+Home");
    await page.keyboard.press("ArrowDown");
    const value = tensor("blocks.0.attn.k", 3).data[12] as number;
    const status = page.getByRole("status").filter({ hasText: "blocks.0.attn.k[" });
    await status.waitFor();
    expect(await status.textContent()).toContain("blocks.0.attn.k[0, 1, 1, 0]");
    expect(await status.textContent()).toContain(value.toPrecision(6));
    expect(await layers.getByRole("button", { name: "residMid" }).count()).toBe(0);
    const embeddings = page.getByRole("region", { name: "Embeddings" });
    expect(await embeddings.getByText("posEmbed").count()).toBe(0);
    await expectAccessible(page);
  });

  test("the scrubber moves through checkpoints by keyboard and keeps the selection", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    await page.getByRole("option", { selected: true }).focus();
    await page.keyboard.press("Home");
    const checkpoints = [100, 200, 300].map((step) => ({ step, loss: 400 / step, valLoss: null, accuracy: null }));
    await page.evaluate((event) => window.lab.send("checkpoints", event), { checkpoints, at: 300 });
    const slider = page.getByRole("slider", { name: "Checkpoint" });
    await page.setViewportSize({ width: 180, height: 900 });
    const below = page.getByRole("listbox", { name: "Tokens" });
    const places = async () => [await slider.boundingBox(), await below.boundingBox()];
    const before = await places();
    const longer = checkpoints.map((each) => ({ ...each, valLoss: 2.5, accuracy: 0.25 }));
    await page.evaluate((event) => window.lab.send("checkpoints", event), { checkpoints: longer, at: 300 });
    expect(await places(), "a longer description moves nothing").toEqual(before);
    await page.evaluate((event) => window.lab.send("checkpoints", event), { checkpoints, at: 300 });
    await page.setViewportSize(SIDE_BAR);
    await slider.focus();
    expect(await slider.getAttribute("aria-valuetext")).toBe("step 300 · loss 1.333");
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => page.evaluate(() => window.lab.requests)).toContain('scrub {"step":200}');
    await page.keyboard.press("Home");
    await expect.poll(() => page.evaluate(() => window.lab.requests.at(-1))).toBe('scrub {"step":100}');
    expect(await slider.getAttribute("aria-valuetext")).toBe("step 100 · loss 4.000");
    expect(await page.getByRole("option", { selected: true }).innerText()).toContain("<BOS>");
    await expectAccessible(page);
    await page.evaluate(() => window.lab.send("checkpoints", { checkpoints: [], at: 0 }));
    expect(await slider.isVisible()).toBe(false);
  });

  test("a narrow side bar has one line for each layer of a translator, and whole labels", async () => {
    const { page } = opened();
    await page.setViewportSize({ width: 180, height: 900 });
    await page.evaluate(() => window.lab.translate("the cat", "le"));
    const heights = (selector: string) =>
      page.locator(selector).evaluateAll((all) => all.map((each) => each.getBoundingClientRect().height));
    const titles = await heights(".layer-title:visible");
    expect(titles.length).toBeGreaterThan(3);
    expect(Math.max(...titles)).toBeLessThan(24);
    expect(Math.max(...(await heights(".picker:visible")))).toBeLessThan(34);
    await page.setViewportSize(SIDE_BAR);
  });

  test("cross-attention has a row for each target token and a column for each source token", async () => {
    const { page } = opened();
    await page.evaluate(() => window.lab.translate("the cat", "le"));
    const picture = page.getByRole("application", {
      name: "Attention of layer 1, head 2, Cross-attention, 3 × 8",
    });
    await page.evaluate(() => document.querySelector<HTMLElement>('[data-head="1.2"]')?.click());
    await picture.focus();
    await page.keyboard.press("Control+End");
    const { tensor } = tinyTranslation("the cat", "le");
    const weight = tensor("blocks.1.cross.pattern", 2).data.at(-1) as number;
    const status = page.getByRole("status").filter({ hasText: "→" });
    expect(await status.textContent()).toContain(
      `“e” → “t”\nblocks.1.cross.pattern[0, 2, 2, 7] = ${weight.toPrecision(6)}\n`,
    );
    await page
      .getByRole("region", { name: "Layers" })
      .getByRole("button", { name: /^Encoder: Layer 0/ })
      .click();
    await expectAccessible(page);
  });

  test("a typed prompt is traced after a pause and stops following the editor", async () => {
    const { page } = opened();
    const input = page.getByRole("textbox", { name: "Prompt" });
    await input.fill("abc");
    await page.getByText("typed text").waitFor();
    expect(await page.evaluate(() => window.lab.requests)).toContain('inspectText {"text":"abc"}');
    expect(await page.getByRole("checkbox", { name: "Follow editor" }).getAttribute("aria-checked")).toBe("false");
    expect(await page.evaluate(() => window.lab.state)).toMatchObject({ typed: "abc" });
  });

  test("text typed just before the field lost the focus survives a trace of the editor's line", async () => {
    const { page } = opened();
    const input = page.getByRole("textbox", { name: "Prompt" });
    await input.fill("abc");
    await page.getByText("typed text").waitFor();
    await input.fill("cab");
    await page.evaluate(() => {
      (document.activeElement as HTMLElement).blur();
      window.lab.inspect("bbb", "line", "story.txt, line 3");
    });
    await page.waitForFunction(() => window.lab.requests.at(-1) === 'inspectText {"text":"cab"}');
    expect(await input.inputValue()).toBe("cab");
  });

  test("markup in a prompt stays text", async () => {
    const { page } = opened();
    await inspect(page, "<img src=x>");
    expect(await page.locator("img").count()).toBe(0);
  });

  test("a CSV file has every number of the picture", async () => {
    const { page } = opened();
    await inspect(page, "hello");
    await chooseMore(page.getByRole("region", { name: "Attention" }), "Save CSV");
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
    const { page } = opened();
    await chooseMore(page.getByRole("region", { name: "Attention" }), "Save PNG");
    await page.waitForFunction(() => window.lab.saved.at(-1)?.name.endsWith(".png"));
    expect(await page.evaluate(() => [...window.lab.saved.at(-1)!.data.slice(1, 4)])).toEqual([0x50, 0x4e, 0x47]);
  });

  test("pictures follow the theme", async () => {
    const { page } = opened();
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

  test("folded sections stay folded after a reload and request no tensors until they are opened", async () => {
    const { page } = opened();
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
  // Charts are drawn after the tokens, in later turns of the event loop.
  await page.waitForTimeout(100);
}
