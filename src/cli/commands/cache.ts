import { DataCache } from "../../engine";
import { byteSize } from "../../text/untrusted";
import type { Command } from "../options";
import { print } from "../terminal";

export const cache: Command = {
  summary: "Show or clear the cache of tokenized texts",
  usage: "cache [--clear] [--json]",
  values: [],
  flags: ["clear", "json"],
  async run(options) {
    const data = new DataCache();
    const { folder, limit } = data;
    if (options.has("clear")) await data.clear();
    const bytes = await data.size();
    if (options.has("json")) return print(JSON.stringify({ folder, bytes, limit }));
    print(`${folder}\t${byteSize(bytes)} of ${byteSize(limit)}`);
  },
};
