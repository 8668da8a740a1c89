import { DataCache } from "../../engine";
import type { Command } from "../options";

/** The tokens of large texts: where they are and how many, or nothing any more. */
export const cache: Command = {
  usage: "cache [--clear] [--json]",
  values: [],
  flags: ["clear", "json"],
  async run(options) {
    const data = new DataCache();
    const { folder, limit } = data;
    if (options.has("clear")) await data.clear();
    const bytes = await data.size();
    if (options.has("json")) return console.log(JSON.stringify({ folder, bytes, limit }));
    console.log(`${folder}\t${gigabytes(bytes)} GB of at most ${gigabytes(limit)} GB`);
  },
};

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
