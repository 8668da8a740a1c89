/** The training view in Chromium: no accessibility violations, and what it shows and sends by keyboard. */

import { expect, test } from "vitest";
import { chooseMore, describeHosted, expectAccessible } from "./chromium";

describeHosted("training", { width: 900, height: 1000 }, (opened) => {
  const corpus = "It was the best of times, it was the worst of times. ".repeat(30);
  const train = (phase: string, message?: string) =>
    opened().page.evaluate(([text, at, why]) => window.lab.train(text as string, 520, 600, at as "running", why), [
      corpus,
      phase,
      message,
    ] as const);

  test("an empty training view starts or opens a run", async () => {
    const { page } = opened();
    await page.getByText("No training run is open").waitFor();
    for (const name of ["Train Tiny GPT", "Open a run…"]) await page.getByRole("button", { name }).click();
    const requests = await page.evaluate(() => window.lab.requests);
    expect(requests).toEqual(expect.arrayContaining(['act {"action":"trainModel"}', 'act {"action":"openRun"}']));
    await expectAccessible(page);
  });

  test.each([
    ["running", ["Pause", "Stop"]],
    ["paused", ["Resume", "Stop"]],
    ["stopped", ["Resume from step 500", "Inspect", "Use this model", "Export to PyTorch"]],
    ["done", ["Inspect", "Use this model", "Export to PyTorch"]],
    ["failed", ["Resume from step 500", "Inspect", "Use this model", "Export to PyTorch"]],
  ])(
    "a run that is %s has its buttons and no accessibility violations in any theme",
    async (phase, buttons) => {
      const { page } = opened();
      await train(
        phase,
        phase === "failed" ? "The loss is not a number at step 520. Lower the learning rate." : undefined,
      );
      await page.locator(".badge").getByText(phase).waitFor();
      const shown = await page.locator("header vscode-button:visible").allInnerTexts();
      expect(shown.map((text) => text.trim()).sort()).toEqual([...buttons].sort());
      await expectAccessible(page);
    },
    60_000,
  );

  test("dragging shows a part of the curves, and a double-click, Escape or the button shows all of them again", async () => {
    const { page } = opened();
    await train("running");
    const panel = page.getByRole("region", { name: "Loss", exact: true });
    const chart = panel.getByRole("application", { name: /^Loss/ });
    const reset = panel.getByRole("button", { name: "Reset zoom" });
    const drag = async () => {
      const plot = (await chart.locator(".u-over").boundingBox()) as { x: number; y: number; width: number };
      await page.mouse.move(plot.x + plot.width * 0.25, plot.y + 50);
      await page.mouse.down();
      await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 60, { steps: 4 });
      await page.mouse.up();
      await reset.waitFor();
    };
    const firstStep = async () => {
      await chart.press("Home");
      return panel.locator(".legend-step dd").innerText();
    };
    await drag();
    await reset.click();
    await reset.waitFor({ state: "hidden" });
    await drag();
    await chart.press("Escape");
    await reset.waitFor({ state: "hidden" });
    await drag();
    // A new report keeps the part that is shown.
    await train("running");
    expect(await reset.isVisible()).toBe(true);
    await chart.locator(".u-over").dblclick();
    await reset.waitFor({ state: "hidden" });
    await chart.press("+");
    await reset.waitFor();
    await chart.press("-");
    await reset.waitFor({ state: "hidden" });
    expect(await firstStep()).not.toBe("");
  });

  test("the smoothing slider stays where it is while it is dragged, and is remembered", async () => {
    const { page } = opened();
    await train("running");
    const slider = page.getByRole("slider", { name: "Smoothing" });
    const before = await slider.boundingBox();
    await slider.fill("0");
    expect(await slider.boundingBox()).toEqual(before);
    await page.getByRole("region", { name: "Loss", exact: true }).getByText("training", { exact: true }).waitFor();
    expect(await page.evaluate(() => window.lab.state)).toMatchObject({ smoothing: 0 });
    await slider.fill("0.5");
    await page.getByText("training, smoothed").first().waitFor();
    expect(await slider.boundingBox()).toEqual(before);
  });

  for (const size of [
    { width: 1440, height: 900 },
    { width: 960, height: 600 },
    { width: 640, height: 400 },
  ]) {
    test(`at ${size.width} x ${size.height}, the loss is at least half as high as the page and begins in its upper half`, async () => {
      const { page } = opened();
      await train("running");
      await page.setViewportSize(size);
      await page.evaluate(() => scrollTo(0, 0));
      const panel = (await page.getByRole("region", { name: "Loss", exact: true }).boundingBox())!;
      expect(panel.height).toBeGreaterThanOrEqual(size.height / 2);
      expect(panel.width).toBeLessThanOrEqual(900);
      expect(panel.y).toBeLessThan(size.height / 2);
      const samples = (await page.getByRole("region", { name: "Samples" }).boundingBox())!;
      if (size.width >= 960) expect(samples.x).toBeGreaterThan(panel.x + panel.width);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(size.width);
      await page.setViewportSize({ width: 900, height: 1000 });
    });
  }

  test("a page of 240 pixels keeps words whole, and its buttons are as high as usual", async () => {
    const { page } = opened();
    await train("done");
    await page.setViewportSize({ width: 240, height: 300 });
    const highest = async (selector: string) =>
      Math.max(...(await page.locator(selector).evaluateAll((all) => all.map((each) => each.clientHeight))));
    expect(await highest("header vscode-button:not([hidden])")).toBeLessThan(40);
    expect(await highest(".smoothing")).toBeLessThan(60);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(240);
    await page.setViewportSize({ width: 900, height: 1000 });
  });

  test("a diverged run is branched, or trained again if it has no checkpoint", async () => {
    const { page } = opened();
    const branches = (kept: number[]) =>
      page.evaluate((steps) => {
        const { lab } = window;
        const state = {
          phase: "failed",
          message: "Training diverged at step 520.",
          secondsLeft: null,
          diverged: true,
        };
        lab.send("run", { ...lab.run!, state });
        const of = (step: number) => ({ step, dir: "/x", loss: 2, valLoss: 2, accuracy: null });
        lab.send("checkpoints", steps.map(of));
      }, kept);
    await branches([0, 500]);
    await page.getByRole("button", { name: "Branch from step 500…" }).click();
    expect(await page.evaluate(() => window.lab.requests)).toContain('branch {"step":500}');
    expect(await page.getByRole("button", { name: /Resume/ }).count()).toBe(0);
    await branches([0]);
    await page.getByRole("button", { name: "Train again…" }).waitFor();
    await branches([]);
  });

  test("a preparing run shows its progress", async () => {
    const { page } = opened();
    await page.evaluate(() => {
      const state = { phase: "preparing", message: null, secondsLeft: null };
      window.lab.send("run", {
        ...window.lab.run,
        state,
        started: null,
        reports: [],
        evals: [],
        samples: [],
        checkpointStep: null,
      });
      window.lab.send("train", { kind: "prepare", message: "Reading the text", fraction: 0.25 });
    });
    await page.getByText("Reading the text 25.0 %").waitFor();
    await expectAccessible(page);
  });

  test("the buttons send requests to the host", async () => {
    const { page } = opened();
    await train("running");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Stop" }).click();
    const requests = await page.evaluate(() => window.lab.requests);
    expect(requests).toContain('pause {"paused":true}');
    expect(requests).toContain("stop {}");
  });

  test("curves are read out by keyboard, and their table has every step", async () => {
    const { page } = opened();
    await train("running");
    await page.getByText("of 600").waitFor();
    const chart = page.getByRole("application", { name: /^Loss/ });
    await chart.focus();
    await page.keyboard.press("Home");
    const first = await page.evaluate(() => window.lab.run!.reports[0]!.loss.toFixed(4));
    await expect
      .poll(() => page.getByRole("region", { name: "Loss", exact: true }).getByRole("status").first().textContent())
      .toContain(`step 1: training, each step ${first}`);
    await chooseMore(page.getByRole("region", { name: "Loss", exact: true }), "Save CSV");
    const rows = await page.evaluate(
      () => new TextDecoder().decode(window.lab.saved.at(-1)!.data).trim().split("\r\n").length,
    );
    expect(rows).toBe(521);
  });

  test("runs, queue, finder, task, checkpoints, painted text and record have no accessibility violations in any theme", async () => {
    const { page } = opened();
    await train("running");
    await page.evaluate(() => {
      const { lab } = window;
      const run = lab.run!;
      const settings = { ...run.record!.settings, "train.schedule.lr": 20 };
      lab.send("compared", [{ ...run, dir: "/models/slow", name: "slow", record: { ...run.record!, settings } }]);
      const row = { preset: "char", step: 520, loss: 2, valLoss: 2.5, parameters: 1000, seconds: 12, changed: "" };
      lab.send("runs", [
        { ...row, dir: run.dir, name: run.name },
        { ...row, dir: "/models/slow", name: "slow", loss: 1.5, changed: "Learning rate 20" },
        { ...row, dir: "/models/old", name: "old", loss: null, valLoss: null, seconds: null },
      ]);
      lab.send("checkpoints", [{ step: 500, dir: "/x", loss: 2, valLoss: 2.125, accuracy: null }]);
      lab.send("queue", {
        waiting: [{ id: 7, name: "fox", preset: "char", about: "500 steps" }],
        held: "The engine ended.",
      });
      lab.send("finder", {
        name: "fox",
        points: [1, 2, 3].map((i) => ({ lr: 10 ** -i, loss: i })),
        suggestion: 0.01,
      });
      lab.send("train", { kind: "warning", step: 300, message: "The loss rose. Lower the learning rate." });
      const task = lab.carrylessTask();
      lab.send("train", { kind: "eval", report: { ...run.evals.at(-1)!, step: 520, accuracy: 0.5, task } });
    });
    for (const name of [/^Checkpoints/, /^Loss on the training text/, /^Run record/]) {
      await page.getByRole("button", { name }).click();
    }
    await chooseMore(page.getByRole("region", { name: "Comparison" }), "Show table");
    await page.getByText("page 1 of 3").waitFor();
    await expectAccessible(page);
  }, 60_000);

  test("compared runs list only the settings that differ", async () => {
    const { page } = opened();
    const table = page.getByRole("region", { name: /^Table: Metrics/ });
    expect(await table.getByRole("row").filter({ hasText: "train." }).allInnerTexts()).toEqual([
      expect.stringMatching(/^train\.schedule\.lr\s+40\s+20$/),
    ]);
    expect(await page.getByRole("application", { name: /^Loss,/ }).getAttribute("aria-label")).toContain(
      "slow: validation",
    );
  });

  test("the table of runs is sorted by keyboard, and opens and compares runs", async () => {
    const { page } = opened();
    const table = page.getByRole("region", { name: "Table of runs" });
    const names = () => table.getByRole("rowheader").allInnerTexts();
    const shown = await page.evaluate(() => window.lab.run!.name);
    await table.getByRole("button", { name: "training loss" }).press("Enter");
    expect((await names()).map((name) => name.trim())).toEqual(["slow", shown, "old"]);
    expect(await table.getByRole("columnheader", { name: /training loss/ }).getAttribute("aria-sort")).toBe(
      "ascending",
    );
    // The button of the header keeps the focus.
    await page.keyboard.press("Enter");
    expect((await names()).map((name) => name.trim())).toEqual([shown, "slow", "old"]);
    expect(await table.getByRole("row", { name: /slow/ }).innerText()).toContain("Learning rate 20");
    expect(await table.getByRole("checkbox", { name: "Compare with slow" }).isChecked()).toBe(true);
    await table.getByRole("checkbox", { name: "Compare with old" }).press("Space");
    await table.getByRole("checkbox", { name: "Compare with slow" }).press("Space");
    await table.getByRole("button", { name: "old" }).press("Enter");
    expect(await page.evaluate(() => window.lab.requests.slice(-3))).toEqual([
      'compare {"dirs":["/models/slow","/models/old"]}',
      'compare {"dirs":[]}',
      'openRun {"dir":"/models/old"}',
    ]);
  });

  test("the buttons of the queue, the comparison and the checkpoints send requests to the host", async () => {
    const { page } = opened();
    const press = (name: string) => page.getByRole("button", { name, exact: true }).click();
    await press("Start now: fox");
    await press("Remove slow from the comparison");
    await press("Branch from here… step 500");
    await press("Resume queue");
    await press("Next page");
    const requests = await page.evaluate(() => window.lab.requests.slice(-5));
    expect(requests).toEqual([
      'changeQueue {"id":7,"change":"now"}',
      'compare {"dirs":[]}',
      'branch {"step":500}',
      "resumeQueue {}",
      'paint {"step":null,"page":1}',
    ]);
  });

  test("the painted text reads out each token's loss, and the confusion matrix each cell", async () => {
    const { page } = opened();
    const text = page.getByRole("application", { name: "Loss of each token" });
    await text.focus();
    await page.keyboard.press("ArrowRight");
    expect(await page.getByRole("status").filter({ hasText: "bits, probability" }).textContent()).toMatch(
      /^“t”: \d+\.\d{3} bits/,
    );
    // The model always answers a last digit of 9 correctly, and forgets the carry into the tens.
    await page.getByRole("combobox", { name: "Digit of the answer" }).click();
    await page.getByRole("option", { name: "digit 2" }).click();
    const picture = page.getByRole("application", { name: /digit 2 of the answer/ });
    await picture.focus();
    await page.keyboard.press("Control+Home");
    expect(await page.getByRole("status").filter({ hasText: "expected 0" }).textContent()).toBe(
      "expected 0, answered 0: 550 times, 55.0 % of the row",
    );
  });

  test("new steps update the figures", async () => {
    const { page } = opened();
    await page.evaluate(() => {
      const last = window.lab.run!.reports.at(-1)!;
      window.lab.send("train", { kind: "steps", reports: [{ ...last, step: 521, loss: 1.875 }], secondsLeft: 3 });
    });
    await page.locator(".figure-value").getByText("1.875").waitFor();
  });

  test("samples keep their whitespace, newest first", async () => {
    const { page } = opened();
    const samples = await page.locator(".sample").allInnerTexts();
    expect(samples[0]).toContain("step 500");
    expect(
      await page
        .locator("pre")
        .first()
        .evaluate((node) => getComputedStyle(node).whiteSpaceCollapse),
    ).toBe("preserve");
  });
});
