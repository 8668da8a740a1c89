/** `decoder-lab`, the command line of the engine. */

import { EngineError, resourceError } from "../engine";
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
import { withGgufModel } from "./ggufModel";
import { commandHelp, overview } from "./help";
import { type Command, parseOptions } from "./options";
import { print } from "./terminal";

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
  if (name === "help" || name === "--help") return print(overview(COMMANDS));
  if (!command) {
    throw new EngineError("config", `Unknown command "${name}". Choose one of ${Object.keys(COMMANDS).join(", ")}.`);
  }
  if (args.includes("--help")) return print(commandHelp(command));
  const options = parseOptions(command, args);
  await (command.readsGguf ? withGgufModel(options, command.run) : command.run(options));
}

/** Prints one line for an error that the user can act on. A bug keeps its stack. */
function report(thrown: unknown): void {
  const error = resourceError(thrown);
  console.error(error instanceof EngineError ? error.message : error);
  process.exitCode = 1;
}

// A closed pipe (`| head`) is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.on("uncaughtException", (error) => {
  report(error);
  process.exit();
});
main(process.argv.slice(2)).catch(report);
