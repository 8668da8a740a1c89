/** How the fuzzer makes inputs. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../../src/engine/random";
import type { EngineApi } from "../../src/protocol/engineApi";
import { connect, serve } from "../../src/protocol/rpc";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";
import { mutated } from "./mutate";

/** A changed input, which `open` reads. It may be accepted, or rejected with a message for the user. */
interface Input {
  readonly open: () => Promise<unknown>;
  /** Paths of the input, for reproducing a failure. */
  readonly files: readonly string[];
}

/** Makes an input that follows from what is drawn; an unchanged one, which must be accepted, without. */
export type Maker = (draw: Random | null) => Promise<Input>;

/** An error whose message a user sees as it is. */
export class ForUsers extends Error {
  override readonly name: string = "ForUsers";
}

/** Fills a scratch folder and makes inputs in it. */
export type Target = (scratch: string, root: string) => Promise<Maker>;

export type Call = ReturnType<typeof engine>;

/** Returns a function that calls an engine in this process. */
export function engine() {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  return connect<EngineApi>(ours).call;
}

/** Changes one of some files of a folder, and restores it before the next input. */
export function oneOf(dir: string, names: readonly string[], open: () => Promise<unknown>): Maker {
  const originals = new Map<string, Buffer>();
  let changed: string | undefined;
  return async (draw) => {
    if (changed) await writeFile(join(dir, changed), originals.get(changed) as Buffer);
    if (!draw) return { open, files: [] };
    changed = names[draw.below(names.length)] as string;
    const original = originals.get(changed) ?? (await readFile(join(dir, changed)));
    originals.set(changed, original);
    await writeFile(join(dir, changed), mutated(changed, original, draw));
    return { open, files: [join(dir, changed)] };
  };
}
