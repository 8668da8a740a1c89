import { EngineError, type RunControl, type TrainEvent, type TrainResult } from "../engine";

/** Runs a training in the terminal: a line per report, Ctrl+C stops it and keeps what was learned. */
export async function watchRun(json: boolean, work: (control: RunControl) => Promise<TrainResult>): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const report = json ? tellJson : tellText();
  const result = await work({ signal: stop.signal, whilePaused: async () => {}, report }).catch((error) => {
    if (error !== stop.signal.reason) throw error;
    throw new EngineError("canceled", "Stopped before the first step; nothing was written.", { cause: error });
  });
  if (json) console.log(JSON.stringify({ event: "done", ...result }));
  else console.log(`${result.reason} after step ${result.step}: ${result.dir}`);
}

function tellJson(event: TrainEvent): void {
  switch (event.kind) {
    case "steps":
      for (const report of event.reports) console.log(JSON.stringify(report));
      break;
    case "eval": {
      const { loss: valLoss, ...report } = event.report;
      console.log(JSON.stringify({ event: "eval", ...report, valLoss }));
      break;
    }
    case "start":
      console.log(JSON.stringify({ event: "start", device: event.device, parameters: event.model.parameters }));
      break;
    case "updates":
    case "warning": {
      const { kind, ...told } = event;
      console.log(JSON.stringify({ event: kind, ...told }));
      break;
    }
    case "prepare":
    case "sample":
    case "checkpoint":
      break;
  }
}

const EVERY_SECONDS = 1;

function tellText(): (event: TrainEvent) => void {
  let told = 0;
  return (event) => {
    switch (event.kind) {
      case "start":
        console.log(
          `${event.model.parameters.toLocaleString("en")} parameters on ${event.device} (${event.deviceReason})`,
        );
        break;
      case "steps": {
        const now = performance.now();
        const last = event.reports.at(-1);
        if (!last || now - told < EVERY_SECONDS * 1000) break;
        told = now;
        const speed = Math.round(last.tokensPerSecond).toLocaleString("en");
        console.log(
          `step ${last.step}  loss ${last.loss.toFixed(4)}  ${speed} tokens/s  ${Math.ceil(event.secondsLeft)} s left`,
        );
        break;
      }
      case "eval": {
        const { step, loss, perplexity, accuracy } = event.report;
        const right = accuracy === undefined ? "" : `  accuracy ${accuracy.toFixed(4)}`;
        console.log(`step ${step}  validation loss ${loss.toFixed(4)}  perplexity ${perplexity.toFixed(2)}${right}`);
        break;
      }
      case "sample":
        console.log(event.text.replace(/^/gm, "  | "));
        break;
      case "warning":
        // What ends the run is told as its error.
        if (!event.ends) console.error(event.message);
        break;
      case "prepare":
      case "updates":
      case "checkpoint":
        break;
    }
  };
}
