import { listDevices } from "../../engine";
import type { Command } from "../options";
import { print } from "../terminal";

export const devices: Command = {
  summary: "List the devices for training and inference",
  usage: "devices [--json]",
  values: [],
  flags: ["json"],
  async run(options) {
    const found = await listDevices();
    if (options.has("json")) return print(JSON.stringify(found));
    for (const { device, available, detail } of found)
      print(`${device}\t${available ? "available" : "not available"}\t${detail}`);
  },
};
