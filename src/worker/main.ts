/**
 * The engine process: serves the engine to the process that forked it, and ends with it.
 *
 * Standard error is the log; the other side keeps its last 64 kB and shows them after a crash.
 */

import type { EngineApi } from "../protocol/engineApi";
import { isMessage, serve } from "../protocol/rpc";
import { engineService } from "./service";

/** How long running work may take to leave its files whole. */
const LET_GO_WITHIN = 1000;
const WATCH_PARENT_EVERY = 1000;

const server = serve<EngineApi>(
  {
    post: (message) => {
      // Without a callback a send to a parent that has just gone would throw.
      if (process.connected) process.send?.(message, undefined, undefined, () => {});
    },
    onMessage: (listener) => {
      process.on("message", (message: unknown) => {
        if (isMessage(message)) listener(message);
      });
    },
  },
  engineService(),
);

let ending = false;
function end(reason: string): void {
  if (ending) return;
  ending = true;
  console.error(`ending: ${reason}`);
  server.close();
  // Not a reason to stay: with nothing left to do the process ends at once.
  setTimeout(() => process.exit(0), LET_GO_WITHIN).unref();
}

process.on("disconnect", () => end("the channel to the editor closed"));
process.on("SIGTERM", () => end("SIGTERM"));
// Ctrl+C in a terminal goes to the whole process group; the editor decides about its engine.
process.on("SIGINT", () => {});

// An editor that is killed closes the channel too; this is for a channel that someone else holds open.
const firstParent = process.ppid;
const editor = Number(process.env.DECODER_LAB_PARENT ?? firstParent);
setInterval(() => {
  if (process.ppid !== firstParent || !alive(editor)) end("the editor is gone");
}, WATCH_PARENT_EVERY).unref();

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is such a process, and it is someone else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
