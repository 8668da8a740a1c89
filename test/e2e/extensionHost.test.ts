import { expect, inject, test } from "vitest";
import { probeHost, useWorkbench } from "./window.ts";

const window = useWorkbench();

test("the packaged extension runs, not the source tree", async () => {
  const workbench = window();
  const { extensionPath } = await workbench.until("activation", async () => {
    const report = await probeHost(workbench);
    return report.active && report;
  });
  expect(extensionPath).toMatch(new RegExp(`^${inject("server").extensionsDir}/decoder-lab\\.decoder-lab-`));
});

test("the extension host loads no native library of ours", async () => {
  const { sharedObjects } = await probeHost(window());
  expect(sharedObjects.length).toBeGreaterThan(0);
  expect(sharedObjects.filter((path) => /onnxruntime|decoder-lab/.test(path))).toEqual([]);
});

test("activation takes less than 50 ms", async () => {
  const { load, activate } = (await probeHost(window())).activation;
  console.log(`activation: ${load.toFixed(1)} ms to load, ${activate.toFixed(1)} ms to activate`);
  expect(load).toBeGreaterThan(0);
  expect(load + activate).toBeLessThan(50);
});
