import { expect, test } from "vitest";
import { connect, serve } from "../../../src/protocol/rpc";
import type { TrainingEvents, TrainingHost } from "../../../src/protocol/webviewApi";
import { followHost } from "../../../webview/training/state";
import { portPair } from "../../helpers/portPair";
import { tinyRun } from "../tinyRun";

const snapshot = tinyRun("to be or not to be ".repeat(20), 300, 400, {
  phase: "running",
  message: null,
  secondsLeft: 9,
});
const checkpoint = { step: 250, dir: "/x", loss: 2, valLoss: 2, accuracy: null };

/** A page's state, and a function that sends an event and waits until it has arrived. */
function follow() {
  const [page, host] = portPair();
  const server = serve<Pick<TrainingHost, "stop">, TrainingEvents>(host, { stop: () => null });
  const client = connect<TrainingHost, TrainingEvents>(page);
  let changes = 0;
  const state = followHost(client, () => changes++);
  const send = async <E extends keyof TrainingEvents>(name: E, value: TrainingEvents[E]) => {
    server.send(name, value);
    await client.call("stop", {});
  };
  return { state, send, changes: () => changes };
}

test("the state follows the reports of the shown run, and a run that goes back to a checkpoint", async () => {
  const { state, send, changes } = follow();
  await send("run", snapshot);
  const report = { ...snapshot.reports.at(-1)!, loss: 1 };
  await send("train", { kind: "steps", reports: [{ ...report, step: 301 }], secondsLeft: 5 });
  expect(state.run?.reports).toHaveLength(301);
  expect(state.run?.state.secondsLeft).toBe(5);
  await send("train", { kind: "steps", reports: [{ ...report, step: 251 }], secondsLeft: 5 });
  expect(state.run?.reports.map(({ step }) => step).slice(-2)).toEqual([250, 251]);
  expect(changes()).toBe(3);
});

test("phase and record change without a new run", async () => {
  const { state, send } = follow();
  await send("run", { ...snapshot, record: null });
  await send("state", { phase: "paused", message: null, secondsLeft: 5 });
  await send("record", { settings: {}, facts: { steps: 400 } });
  expect(state.run).toMatchObject({ name: "stories", state: { phase: "paused" }, record: { facts: { steps: 400 } } });
});

test("checkpoints are dropped with another run, and stay when the same run starts again", async () => {
  const { state, send } = follow();
  await send("run", snapshot);
  await send("checkpoints", [checkpoint]);
  await send("run", snapshot);
  expect(state.checkpoints).toEqual([checkpoint]);
  await send("run", { ...snapshot, dir: "/models/other" });
  expect(state.checkpoints).toEqual([]);
});

test("reports of a run that is not shown are ignored", async () => {
  const { state, send } = follow();
  await send("train", { kind: "checkpoint", step: 10 });
  await send("state", { phase: "done", message: null, secondsLeft: null });
  expect(state.run).toBeNull();
});
