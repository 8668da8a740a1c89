/** Parses, validates and documents command-line options, in the same way for all commands. */

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type DeviceChoice, EngineError, type Setting, type TextSource } from "../engine";

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  readonly usage: string;
  /** Options with one value. */
  readonly values: readonly string[];
  /** Name of the positional argument: `source` in `import SOURCE`. */
  readonly positional?: string;
  /** Options that may be repeated or have several values. */
  readonly many?: readonly string[];
  readonly flags?: readonly string[];
  /** Help for options whose meaning differs from the table in help.ts. */
  readonly descriptions?: Readonly<Record<string, readonly [value: string, description: string]>>;
  /** True if `--model` may be a GGUF file, of which `run` gets a converted folder. */
  readonly readsGguf?: true;
  readonly run: (options: Options) => Promise<void>;
}

export function parseOptions(
  { usage, values, positional, many = [], flags = [] }: Command,
  args: readonly string[],
): Options {
  const declared = [
    ...values.map((name) => [name, { type: "string" as const }] as const),
    ...many.map((name) => [name, { type: "string" as const, multiple: true }] as const),
    ...flags.map((name) => [name, { type: "boolean" as const }] as const),
  ];
  try {
    const { values: given, positionals } = parseArgs({
      args: withValues(args, values, many, flags),
      options: Object.fromEntries(declared),
      strict: true,
      allowPositionals: positional !== undefined,
    });
    const [first, second] = positionals;
    if (second !== undefined) throw new Error(`Unexpected argument '${second}'`);
    const named = positional !== undefined && { [positional]: first };
    const all = { ...(given as Given), ...named };
    requirePaths(all, positional);
    return new Options(all, usage);
  } catch (error) {
    if (error instanceof EngineError) throw error;
    const problem = error instanceof Error ? error.message.split(/\.\s/, 1)[0] : String(error);
    throw new EngineError("config", `${problem}. Usage: decoder-lab ${usage}`, { cause: error });
  }
}

type Given = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** Options with a file or a folder. An empty one, as of an unset variable in a shell, would be the current folder. */
const PATHS = ["model", "from", "branch", "out", "data", "source", "save", "open", "text-file", "prompts"];

function requirePaths(given: Given, positional: string | undefined): void {
  for (const name of PATHS) {
    const isEmpty = [given[name]].flat().some((value) => typeof value === "string" && value.trim() === "");
    if (!isEmpty) continue;
    const written = name === positional ? name.toUpperCase() : `--${name}`;
    throw new EngineError("config", `${written} is empty. Give a file or a folder.`);
  }
}

/**
 * Joins each option with its value, so that a value may begin with a dash: `--prompt "- one"` becomes `--prompt=- one`, and
 * `--data a b` becomes `--data=a --data=b`. The name of an option is never the value of another.
 */
function withValues(
  args: readonly string[],
  values: readonly string[],
  many: readonly string[],
  flags: readonly string[],
): string[] {
  const names = new Set([...values, ...many, ...flags]);
  const isOption = (arg: string) => arg.startsWith("--") && names.has(arg.slice(2).split("=", 1)[0] as string);
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const name = arg.slice(2);
    const isMany = many.includes(name);
    if (!arg.startsWith("--") || !(isMany || values.includes(name))) {
      joined.push(arg);
      // Everything after it is a positional argument.
      if (arg === "--") return [...joined, ...args.slice(i + 1)];
      continue;
    }
    const given: string[] = [];
    // Further values may not look like an option, so that a misspelled one is noticed.
    for (let next = args[i + 1]; next !== undefined && !isOption(next); next = args[i + 1]) {
      if (given.length > 0 && (!isMany || /^--\w[\w-]*(=|$)/.test(next))) break;
      given.push(next);
      i++;
    }
    if (given.length === 0) {
      const next = args[i + 1];
      throw new Error(
        `--${name} has no value${next === undefined ? "" : ` (for the value ${next}, write --${name}=${next})`}`,
      );
    }
    joined.push(...given.map((value) => `--${name}=${value}`));
  }
  return joined;
}

export class Options {
  constructor(
    private readonly given: Given,
    private readonly usage: string,
  ) {}

  /** The same options with another text for one. */
  with(name: string, text: string): Options {
    return new Options({ ...this.given, [name]: text }, this.usage);
  }

  has(name: string): boolean {
    return this.given[name] !== undefined;
  }

  text(name: string): string | undefined {
    return this.given[name] as string | undefined;
  }

  needed(name: string): string {
    const value = this.text(name);
    if (value !== undefined) return value;
    const written = this.usage.includes(`--${name}`) ? `--${name}` : name.toUpperCase();
    throw new EngineError("config", `${written} is missing. Usage: decoder-lab ${this.usage}`);
  }

  list(name: string): readonly string[] {
    return (this.given[name] as string[] | undefined) ?? [];
  }

  number(name: string, { min = 0, max = Number.MAX_SAFE_INTEGER, whole = false } = {}): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
    const kind = whole ? "an integer" : "a number";
    throw new EngineError("config", `--${name} must be ${kind} from ${min} to ${max}, got "${text}".`);
  }

  count(name: string): number | undefined {
    return this.number(name, { min: 1, whole: true });
  }

  /** One of several words. */
  choice<W extends string>(name: string, words: readonly W[]): W | undefined {
    const text = this.text(name);
    const known = words.find((word) => word === text);
    if (known !== undefined || text === undefined) return known;
    throw new EngineError("config", `--${name} must be ${words.join(", ")}, got "${text}".`);
  }

  device(): DeviceChoice {
    return this.choice("device", ["auto", "cpu", "webgpu"]) ?? "auto";
  }

  /** Files and folders given with --data. */
  source(): TextSource | undefined {
    const paths = this.list("data").map((path) => resolve(path));
    return paths.length > 0 ? { kind: "paths", paths } : undefined;
  }

  /** Rows of token ids: "1,2,3;4,5". */
  idRows(name: string): number[][] {
    return this.needed(name)
      .split(";")
      .map((row) =>
        row.split(",").map((text) => {
          if (/^\s*\d+\s*$/.test(text)) return Number(text);
          throw new EngineError("config", `--${name} must be token ids such as 1,2,3, got "${row}".`);
        }),
      );
  }

  /** Settings given as `--set key=value …`. */
  settings(): Record<string, Setting> {
    return Object.fromEntries(
      this.list("set").map((entry) => {
        const at = entry.indexOf("=");
        if (at > 0) return [entry.slice(0, at), entry.slice(at + 1)];
        throw new EngineError("config", `--set must be name=value, such as train.steps=500, got "${entry}".`);
      }),
    );
  }
}
