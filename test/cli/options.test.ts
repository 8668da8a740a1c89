import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Command, parseOptions } from "../../src/cli/options";

const folder = join(import.meta.dirname, "../../src/cli/commands");
const modules = await Promise.all(
  (await readdir(folder)).map((file) => import(join(folder, file)) as Promise<Readonly<Record<string, unknown>>>),
);
const isCommand = (value: unknown): value is Command =>
  typeof value === "object" && value !== null && "usage" in value && "run" in value;
const commands = modules.flatMap((module) => Object.values(module).filter(isCommand));

test("all commands are found", () => {
  expect(commands.length).toBeGreaterThan(12);
});

describe("a value may begin with a dash:", () => {
  test.each(commands.map((command) => [command.usage.split(" ", 1)[0], command] as const))("%s", (_, command) => {
    for (const value of ["- one", "-1", "-", "--", "---", "-- two", "--not-an-option", "—", "-x=1"]) {
      for (const name of command.values) {
        expect(parseOptions(command, [`--${name}`, value]).text(name), name).toBe(value);
        expect(parseOptions(command, [`--${name}=${value}`]).text(name), name).toBe(value);
      }
      for (const name of command.many ?? []) {
        expect(parseOptions(command, [`--${name}`, value]).list(name), name).toEqual([value]);
      }
    }
  });
});

describe("options", () => {
  const command: Command = {
    summary: "",
    usage: "try",
    values: ["prompt", "seed"],
    many: ["stop"],
    flags: ["json"],
    run: async () => {},
  };
  const parse = (...args: string[]) => parseOptions(command, args);

  test("may have several values, which may begin with a single dash", () => {
    const options = parse("--stop", "- a", "-b", "c", "--json", "--stop", "--", "--seed", "-4");
    expect(options.list("stop")).toEqual(["- a", "-b", "c", "--"]);
    expect(options.text("seed")).toBe("-4");
    expect(options.has("json")).toBe(true);
  });

  test("may have a value that is the name of an option, with an equals sign", () => {
    expect(parse("--prompt=--json").text("prompt")).toBe("--json");
    expect(parse("--prompt=a=b").text("prompt")).toBe("a=b");
  });

  test.each([
    [["--prompt", "--json"], /^--prompt has no value \(for the value --json, write --prompt=--json\)\. Usage: /],
    [["--prompt", "--seed=1"], /^--prompt has no value \(for the value --seed=1, write --prompt=--seed=1\)\. Usage: /],
    [["--prompt"], /^--prompt has no value\. Usage: decoder-lab try$/],
    [["--stop"], /^--stop has no value\. Usage: /],
    [["--stop", "a", "--prompt-text", "x"], /^Unknown option '--prompt-text'\. Usage: /],
    [["- one"], /^Unexpected argument '- one'\. Usage: |^Unknown option '- '\. Usage: /],
    [["--json", "yes"], /^Unexpected argument 'yes'\. Usage: /],
  ])("%j is rejected in one sentence and the usage", (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });

  test("are over after two dashes, for a file whose name begins with a dash", () => {
    const withSource = { ...command, positional: "source" };
    expect(parseOptions(withSource, ["--json", "--", "-x.gguf"]).needed("source")).toBe("-x.gguf");
    expect(parseOptions(withSource, ["-"]).needed("source")).toBe("-");
  });
});
