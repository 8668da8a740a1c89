/** The Model Explorer at three sizes of its page, the last of which is a zoomed window's. */

import { expect, test } from "vitest";
import { CHARACTERS, describeExplorer, expectAccessible, SOON } from "./chromium";

const SIZES = [
  { width: 1440, height: 900 },
  { width: 960, height: 600 },
  { width: 640, height: 400 },
] as const;

const TEXT = "Tom had a red ball. He put the ball in a box.";

describeExplorer((opened) => {
  for (const size of SIZES) {
    test(`at ${size.width} x ${size.height}, views have most of the height, the matrix at least half, tooltips stay inside, and the checkpoint slider stays where it is`, async () => {
      const { live, page, tab, tabs } = opened();
      await page.setViewportSize(size);
      await live.show(CHARACTERS, TEXT);
      for (const name of await tabs()) {
        await tab(name).click();
        const pane = await page.getByRole("tabpanel", { name }).boundingBox();
        expect(pane?.height, name).toBeGreaterThanOrEqual(0.6 * size.height);
      }
      await page.setViewportSize(SIZES[0]);
      await page.locator("body").press("0");
      await page.setViewportSize(size);
      const row = (await page.getByRole("tablist", { name: "Views" }).boundingBox())!;
      const end = async () => {
        const box = (await tab("Interventions").boundingBox())!;
        return box.x + box.width;
      };
      await expect.poll(end, { message: "the open view's tab is in sight" }).toBeLessThanOrEqual(row.x + row.width + 1);
      await tab("Next token").click();
      const bars = page.getByRole("tabpanel", { name: "Next token" }).locator(".bars").first();
      await bars.waitFor(SOON);
      if (size.height >= 600) expect((await bars.boundingBox())!.y, "bars").toBeLessThan(size.height / 2);
      await tab("Attention").click();
      const matrix = page.getByRole("application", { name: /^Attention of layer/ });
      await matrix.waitFor(SOON);
      const box = (await matrix.boundingBox()) as { x: number; y: number; width: number; height: number };
      expect(box.height).toBeGreaterThanOrEqual(size.height / 2);
      expect(box.y + box.height).toBeLessThanOrEqual(size.height);
      const corners = [
        [box.width - 3, box.height - 3],
        [box.width - 3, 100],
        [100, box.height - 3],
      ] as const;
      for (const [x, y] of corners) {
        await page.mouse.move(box.x + x, box.y + y);
        const tooltip = page.locator(".tip:popover-open");
        expect(await tooltip.innerText()).toMatch(/“.*” → “.*”[\s\S]*blocks\.\d\.attn\.pattern\[0, /);
        const at = (await tooltip.boundingBox()) as typeof box;
        expect(at.x).toBeGreaterThanOrEqual(0);
        expect(at.y).toBeGreaterThanOrEqual(0);
        expect(at.x + at.width).toBeLessThanOrEqual(size.width);
        expect(at.y + at.height).toBeLessThanOrEqual(size.height);
      }
      await page.mouse.move(0, 0);
      await expectAccessible(page);

      const checkpoints = [5, 500, 50_000].map((step) => ({
        step,
        dir: "",
        loss: 4,
        valLoss: step > 5 ? 3 : null,
        accuracy: null,
      }));
      live.sendCheckpoints({ checkpoints, at: 5 });
      const slider = page.getByRole("slider", { name: "Checkpoint" });
      const before = await slider.boundingBox();
      for (const [value, text] of [
        ["2", "A trace of a longer text than the first."],
        ["1", TEXT],
      ] as const) {
        await slider.fill(value);
        await live.show(CHARACTERS, text);
        expect(await slider.boundingBox(), "the slider stays under the pointer").toEqual(before);
      }
      live.sendCheckpoints({ checkpoints: [], at: 0 });
    }, 60_000);
  }
});
