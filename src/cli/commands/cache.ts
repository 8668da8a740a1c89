import { DataCache } from "../../engine";
import type { Command } from "../options";

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
    if (options.has("json")) return console.log(JSON.stringify({ folder, bytes, limit }));
    console.log(`${folder}\t${gigabytes(bytes)} GB of ${gigabytes(limit)} GB`);
  },
};

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
