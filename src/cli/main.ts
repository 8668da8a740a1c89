/** `decoder-lab`: the engine on the command line. */

import { EngineError } from "../engine";
import { bench } from "./commands/bench";
import { cache } from "./commands/cache";
import { checkpoints } from "./commands/checkpoints";
import { describe } from "./commands/describe";
import { devices } from "./commands/devices";
import { evaluate } from "./commands/eval";
import { exportTo } from "./commands/export";
import { generate } from "./commands/generate";
import { importSource } from "./commands/import";
import { inspect } from "./commands/inspect";
import { presets } from "./commands/presets";
import { resumeTraining } from "./commands/resume";
import { score } from "./commands/score";
import { tokenize } from "./commands/tokenize";
import { trainModel } from "./commands/train";
import { type Command, parseOptions } from "./options";

const COMMANDS: Readonly<Record<string, Command>> = {
  presets,
  train: trainModel,
  resume: resumeTraining,
  checkpoints,
  eval: evaluate,
  generate,
  score,
  tokenize,
  inspect,
  describe,
  import: importSource,
  export: exportTo,
  devices,
  cache,
  bench,
};

async function main([name = "help", ...args]: readonly string[]): Promise<void> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (name === "help" || name === "--help") {
    for (const { usage } of Object.values(COMMANDS)) console.log(`decoder-lab ${usage}`);
    return;
  }
  if (!command) {
    throw new EngineError(
      "config",
      `There is no command "${name}"; choose one of ${Object.keys(COMMANDS).join(", ")}.`,
    );
  }
  if (args.includes("--help")) return console.log(`decoder-lab ${command.usage}`);
  await command.run(parseOptions(command, args));
}

/** One line for what the user can act on; a bug keeps its stack. */
function tell(error: unknown): void {
  console.error(error instanceof EngineError ? error.message : error);
  process.exitCode = 1;
}

// A closed pipe (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
main(process.argv.slice(2)).catch(tell);
