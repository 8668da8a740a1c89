/** A process of the fuzzer: opens changed inputs of one target, one after the other, and reports each. */

import { once } from "node:events";
import { EngineError } from "../../src/engine/errors";
import { random } from "../../src/engine/random";
import { RemoteError } from "../../src/protocol/rpc";
import { ForUsers } from "./makers";
import { brokenRules } from "./messageRules";
import { TARGETS } from "./targets";

export interface Job {
  readonly target: string;
  readonly seed: number;
  /** Inputs by number: `from` up to, but not including, `to`. */
  readonly from: number;
  readonly to: number;
  readonly scratch: string;
  readonly root: string;
}

export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "starting"; readonly input: number; readonly files: readonly string[] }
  | { readonly kind: "accepted"; readonly input: number; readonly cpuSeconds: number }
  | { readonly kind: "rejected"; readonly input: number; readonly message: string; readonly cpuSeconds: number }
  | { readonly kind: "failed"; readonly input: number; readonly problem: string };

const send = (outcome: Outcome): void => {
  process.send?.(outcome);
};

// The engine's port does not keep a process alive.
setInterval(() => {}, 1000);

process.once("message", async ({ target, seed, from, to, scratch, root }: Job) => {
  const make = await (TARGETS[target] as NonNullable<(typeof TARGETS)[string]>)(scratch, root);
  const unchanged = await make(null);
  await unchanged.open().catch((error) => {
    throw new Error(`The unchanged input of "${target}" is rejected: ${error.message}`);
  });
  for (let input = from; input < to; input++) {
    const { open, files } = await make(random(seed, "fuzz", target, input));
    send({ kind: "starting", input, files });
    const before = process.cpuUsage();
    const cpuSeconds = () => {
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1e6;
    };
    try {
      await open();
      send({ kind: "accepted", input, cpuSeconds: cpuSeconds() });
    } catch (error) {
      const outcome = outcomeOf(error, input, cpuSeconds());
      send(outcome);
      if (outcome.kind === "failed") await once(process, "message");
    }
  }
  send({ kind: "done" });
});

/** A rejection with a message for the user, unless the error is a bug or the message breaks a rule. */
function outcomeOf(error: unknown, input: number, cpuSeconds: number): Outcome {
  const isForUsers =
    error instanceof EngineError || error instanceof ForUsers || (error instanceof RemoteError && error.code !== "bug");
  if (!isForUsers) return { kind: "failed", input, problem: `a bug: ${error instanceof Error ? error.stack : error}` };
  const { message } = error;
  const broken = brokenRules(message);
  if (broken.length > 0)
    return { kind: "failed", input, problem: `no message that ${broken.join("; ")}: ${JSON.stringify(message)}` };
  return { kind: "rejected", input, message, cpuSeconds };
}
