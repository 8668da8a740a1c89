/**
 * The engine process: serves the engine to its parent process and ends with it.
 *
 * Standard error is the log; the parent keeps its last 64 kB and shows them after a crash.
 */

import type { EngineApi } from "../protocol/engineApi";
import { isMessage, serve } from "../protocol/rpc";
import { removeLeftovers } from "./leftovers";
import { engineService } from "./service";

/** Time that running tasks have to finish writing their files, in ms. */
const SHUTDOWN_MS = 1000;
const WATCH_PARENT_MS = 1000;

const server = serve<EngineApi>(
  {
    post: (message) => {
      // Without a callback, sending to a parent that has just exited throws.
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

void removeLeftovers(process.env.DECODER_LAB_MODELS);

let ending = false;
function end(reason: string): void {
  if (ending) return;
  ending = true;
  console.error(`ending: ${reason}`);
  server.close();
  // The timer does not keep the process alive: without work it ends at once.
  setTimeout(() => process.exit(0), SHUTDOWN_MS).unref();
}

process.on("disconnect", () => end("the channel to the editor closed"));
process.on("SIGTERM", () => end("SIGTERM"));
// Ctrl+C in a terminal goes to the whole process group; the editor decides about its engine.
process.on("SIGINT", () => {});

// A killed editor closes the channel, unless another process holds it open; so its process is watched too.
const firstParent = process.ppid;
const editor = Number(process.env.DECODER_LAB_PARENT ?? firstParent);
setInterval(() => {
  if (process.ppid !== firstParent || !alive(editor)) end("the editor has exited");
}, WATCH_PARENT_MS).unref();

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process exists but belongs to another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
