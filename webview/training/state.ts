/** State of the training page, kept up to date with the host's events. Needs no page, so that it can be tested. */

import type { CheckpointInfo } from "../../src/protocol/engineApi";
import type { Client } from "../../src/protocol/rpc";
import { applyEvent, type LiveRun, liveRun } from "../../src/protocol/runState";
import type {
  FinderState,
  RunQueueState,
  RunRow,
  RunSnapshot,
  TrainingEvents,
  TrainingHost,
} from "../../src/protocol/webviewApi";

export interface TrainingState {
  run: LiveRun | null;
  /** Runs that are drawn beside it. */
  compared: readonly RunSnapshot[];
  /** All runs on this machine. */
  runs: readonly RunRow[];
  checkpoints: readonly CheckpointInfo[];
  queue: RunQueueState;
  /** A learning rate search that is running, or whose result is shown. */
  finder: FinderState | null;
}

/** The state that follows the events of `host`; `changed` is called after each of them. */
export function followHost(host: Pick<Client<TrainingHost, TrainingEvents>, "on">, changed: () => void): TrainingState {
  const state: TrainingState = {
    run: null,
    compared: [],
    runs: [],
    checkpoints: [],
    queue: { waiting: [], held: null },
    finder: null,
  };
  const change = (part: Partial<TrainingState>) => {
    Object.assign(state, part);
    changed();
  };
  const changeRun = (part: Partial<Pick<LiveRun, "state" | "record">>) => {
    if (state.run) change({ run: Object.assign(state.run, part) });
  };
  host.on("run", (snapshot) => {
    // The checkpoints of another run follow in an event of their own.
    const isSame = snapshot?.dir === state.run?.dir;
    change({ run: snapshot && liveRun(snapshot), ...(!isSame && { checkpoints: [] }) });
  });
  host.on("train", (event) => {
    if (state.run) applyEvent(state.run, event);
    changed();
  });
  host.on("state", (now) => changeRun({ state: now }));
  host.on("record", (record) => changeRun({ record }));
  host.on("compared", (compared) => change({ compared }));
  host.on("runs", (runs) => change({ runs }));
  host.on("checkpoints", (checkpoints) => change({ checkpoints }));
  host.on("queue", (queue) => change({ queue }));
  host.on("finder", (finder) => change({ finder }));
  return state;
}
