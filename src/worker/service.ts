/** Stands in for the engine until it is connected here: every request says that it is not built yet. */

import { EngineError } from "../engine/errors";
import type { EngineApi } from "../protocol/engineApi";
import type { Handlers } from "../protocol/rpc";

export function engineService(): Handlers<EngineApi> {
  const notBuilt = (): never => {
    throw new EngineError("notFound", "The engine is not built yet, so nothing can run.");
  };
  return {
    devices: notBuilt,
    model: notBuilt,
    describe: notBuilt,
    tokenize: notBuilt,
    tokenAt: notBuilt,
    closeDocument: notBuilt,
    generate: notBuilt,
    inspect: notBuilt,
    traceTensor: notBuilt,
    releaseTrace: notBuilt,
    train: notBuilt,
    resume: notBuilt,
    pauseRun: notBuilt,
    stopRun: notBuilt,
    presets: notBuilt,
  };
}
