import { loadTokenizer } from "../../engine";
import { quoted } from "../../text/untrusted";
import type { Command } from "../options";
import { print } from "../terminal";

export const tokenize: Command = {
  summary: "Print the tokens of a text",
  usage: "tokenize --model PATH --text TEXT [--json]",
  values: ["model", "text"],
  flags: ["json"],
  readsGguf: true,
  async run(options) {
    const tokenizer = await loadTokenizer(options.needed("model"));
    const text = options.needed("text");
    tokenizer.encodePrompt(text); // Throws an error that names unknown characters.
    const tokens = tokenizer.promptSpans(text).map(({ id, token, start, end }) => ({ id, token, start, end }));
    if (options.has("json")) return print(JSON.stringify({ tokens }));
    for (const { id, token, start, end } of tokens) print(`${id}\t${quoted(token)}\t${start}-${end}`);
  },
};
