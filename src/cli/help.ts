/** Texts of `decoder-lab --help` and `decoder-lab COMMAND --help`. */

import type { Command } from "./options";

/** Options by name, with the placeholder of their value and what they do. */
const OPTIONS: Readonly<Record<string, readonly [value: string, description: string]>> = {
  alternatives: ["N", "Number of most likely tokens to print, 0 to 20 (default 3)"],
  attribute: ["TOKEN", "Attribute the logit of a token (its text, or #ID) to the model's components"],
  branch: ["CHECKPOINT", "Start a new run from the checkpoint of another"],
  clear: ["", "Delete the cached texts"],
  data: ["PATH…", "Text files or folders"],
  device: ["D", "auto, cpu or webgpu (default: auto, the faster one)"],
  endpoint: ["URL", "Address of a Hugging Face mirror"],
  "find-lr": ["", "Try learning rates and suggest one"],
  format: ["FORMAT", "hf (Hugging Face), onnx, or torch (a PyTorch project)"],
  from: ["MODEL", "Fine-tune an existing model"],
  ids: ["IDS", 'Token ids instead of a text; rows are separated by semicolons: "1,2,3;4,5"'],
  json: ["", "Print JSON instead of text"],
  lens: ["", "Include the predictions of every layer (logit lens)"],
  "max-new-tokens": ["N", "Maximum number of tokens to generate (default 64)"],
  "min-p": ["P", "Drop tokens below this fraction of the highest probability"],
  model: ["DIR", "Model folder"],
  name: ["NAME", "Name of the model (default: that of its folder)"],
  offline: ["", "Use only the Hugging Face cache"],
  only: ["NAMES", "Benchmarks to run, separated by commas"],
  open: ["FILE", "Print the content of a trace file"],
  out: ["PATH", "Folder or file to write"],
  patch: ["PATCH…", "Replace a value with that of another text, such as blocks.0.residPost@9=6:OTHER TEXT"],
  peers: ["", "Also measure other libraries"],
  position: ["N", "Token position to analyze (default: the last)"],
  precision: ["P", "float32, int8 or int4"],
  preset: ["NAME", "Training preset; see `decoder-lab presets`"],
  prompt: ["TEXT", "Input text"],
  prompts: ["FILE", "CSV file with a column prompt, or JSONL file with a field prompt"],
  quantize: ["Q", "Quantize the matrices to int8 or int4"],
  "repetition-penalty": ["R", "Penalty on tokens that occurred before (default 1, none)"],
  revision: ["R", "Branch, tag or commit on Hugging Face"],
  samples: ["N", "Number of samples, with consecutive seeds"],
  save: ["FILE", "Save the trace as a .dltrace file"],
  scale: ["SCALE…", "Multiply the output of a component, such as blocks.0.head.1=0 or blocks.0.mlp=0.5"],
  seconds: ["N", "Duration of each training benchmark (default 10)"],
  seed: ["N", "Random seed"],
  set: ["KEY=VALUE…", "Change settings; `decoder-lab presets NAME` lists them"],
  steps: ["N", "Number of training steps in total"],
  stop: ["TEXT…", "Stop before any of these texts"],
  temperature: ["T", "Sampling temperature (default 0, greedy)"],
  text: ["TEXT", "Input text"],
  "text-file": ["FILE", "File with the input text"],
  "top-k": ["K", "Sample from the K most likely tokens"],
  "top-p": ["P", "Sample from the most likely tokens with total probability P"],
  trace: ["", "Include the most likely tokens of every step"],
};

/** Lists all commands. */
export const overview = (commands: Readonly<Record<string, Command>>): string =>
  [
    "Trains, imports, inspects and runs decoder-only transformers.",
    "",
    "Usage: decoder-lab COMMAND [OPTIONS]",
    "",
    "Commands:",
    ...table(Object.entries(commands).map(([name, { summary }]) => [name, summary])),
    "",
    'Run "decoder-lab COMMAND --help" for the options of a command.',
  ].join("\n");

/** Describes one command and its options. */
export function commandHelp({
  summary,
  usage,
  values,
  many = [],
  flags = [],
  descriptions,
  readsGguf,
}: Command): string {
  const own: NonNullable<Command["descriptions"]> = {
    ...(readsGguf && { model: ["PATH", "Model folder, or a GGUF file"] as const }),
    ...descriptions,
  };
  const rows = [...values, ...many, ...flags].flatMap((name) => {
    const [value, description] = own[name] ?? OPTIONS[name] ?? [];
    return description === undefined ? [] : [[`--${name} ${value}`.trim(), description] as const];
  });
  return [
    `${summary}.`,
    "",
    `Usage: decoder-lab ${usage}`,
    ...(rows.length > 0 ? ["", "Options:", ...table(rows)] : []),
  ].join("\n");
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
}
