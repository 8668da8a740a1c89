import { rmSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../engine/weights";
import { removeStale, temporaryName } from "../engine/weights/temporary";

/** Runs `work` with a new folder in `parent`, which is removed afterwards, even if the process is interrupted. */
export async function withTemporaryFolder(
  parent: string,
  name: string,
  work: (dir: string) => Promise<void>,
): Promise<void> {
  await makeFolder(parent);
  await removeStale(parent);
  const dir = temporaryName(join(parent, name));
  await makeFolder(dir);
  const remove = () => rmSync(dir, { recursive: true, force: true });
  const stop = () => process.exit(130);
  process.once("exit", remove);
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    await work(dir);
  } finally {
    remove();
    process.off("exit", remove);
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
