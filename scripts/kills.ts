/** `npm run kills [-- COUNT [SEED]]`: kills runs, imports, exports and caches at random moments, 200 times by default. */

import { spawnSync } from "node:child_process";
import { inRoot, root, runAsScript } from "./paths.ts";

runAsScript(import.meta.url, async () => {
  const [count = "200", seed = String(Date.now() % 100_000)] = process.argv.slice(2);
  console.log(`${count} kills of runs, seed ${seed}`);
  const args = [inRoot("node_modules", "vitest", "vitest.mjs"), "run", "--project", "slow", "test/engine/kills"];
  const env = { ...process.env, DECODER_LAB_KILLS: count, DECODER_LAB_SEED: seed };
  process.exitCode = spawnSync(process.execPath, args, { cwd: root, env, stdio: "inherit" }).status ?? 1;
});
