import type { RunControl, TrainEvent, TrainResult } from "../engine";
import { cancelable } from "./interrupt";
import { print } from "./terminal";

/** Prints a training run in the terminal, one line per report. Ctrl+C stops it and keeps the model. */
export async function watchRun(json: boolean, work: (control: RunControl) => Promise<TrainResult>): Promise<void> {
  const report = json ? printJson : textPrinter();
  const result = await cancelable("Stopped before the first step. Nothing was written.", (signal) =>
    work({ signal, whilePaused: async () => {}, report }),
  );
  if (json) print(JSON.stringify({ event: "done", ...result }));
  else print(`${result.reason} after step ${result.step}: ${result.dir}`);
}

function printJson(event: TrainEvent): void {
  switch (event.kind) {
    case "steps":
      for (const report of event.reports) print(JSON.stringify(report));
      break;
    case "eval": {
      const { loss: valLoss, ...report } = event.report;
      print(JSON.stringify({ event: "eval", ...report, valLoss }));
      break;
    }
    case "start":
      print(JSON.stringify({ event: "start", device: event.device, parameters: event.model.parameters }));
      break;
    case "updates":
    case "warning": {
      const { kind, ...fields } = event;
      print(JSON.stringify({ event: kind, ...fields }));
      break;
    }
    case "prepare":
    case "sample":
    case "checkpoint":
      break;
  }
}

const EVERY_SECONDS = 1;

function textPrinter(): (event: TrainEvent) => void {
  let printed = 0;
  return (event) => {
    switch (event.kind) {
      case "start":
        print(`${event.model.parameters.toLocaleString("en")} parameters on ${event.device} (${event.deviceReason})`);
        break;
      case "steps": {
        const now = performance.now();
        const last = event.reports.at(-1);
        if (!last || now - printed < EVERY_SECONDS * 1000) break;
        printed = now;
        const speed = Math.round(last.tokensPerSecond).toLocaleString("en");
        print(
          `step ${last.step}  loss ${last.loss.toFixed(4)}  ${speed} tokens/s  ${Math.ceil(event.secondsLeft)} s left`,
        );
        break;
      }
      case "eval": {
        const { step, loss, perplexity, accuracy } = event.report;
        const right = accuracy === undefined ? "" : `  accuracy ${accuracy.toFixed(4)}`;
        print(`step ${step}  validation loss ${loss.toFixed(4)}  perplexity ${perplexity.toFixed(2)}${right}`);
        break;
      }
      case "sample":
        print(event.text.replace(/^/gm, "  | "));
        break;
      case "warning":
        // A problem that ends the run is printed as its error.
        if (!event.ends) console.error(event.message);
        break;
      case "prepare":
      case "updates":
      case "checkpoint":
        break;
    }
  };
}
