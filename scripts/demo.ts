/**
 * Opens a real VS Code in the browser, with the packaged extension installed and samples/ open.
 *
 *   npm run demo [-- --port 8100]   runs until Ctrl+C
 *   npm run demo -- --tour          drives it without a display and writes screenshots to out/tour/
 *   npm run demo -- --tour --only checkpoints   one part of the tour
 */

import { parseArgs } from "node:util";
import { installCodeServer, startCodeServer } from "./codeServer.ts";
import { packageTargets } from "./package.ts";
import { inRoot, runAsScript } from "./paths.ts";
import { requireHostTarget, vsixPath } from "./targets.ts";

runAsScript(import.meta.url, async () => {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      tour: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
    },
  });
  const target = requireHostTarget();
  await installCodeServer(console.log);
  console.log("Building and packaging the extension …");
  await packageTargets([target]);

  const tour = values.tour ? await import("./tour.ts") : undefined;
  if (tour) return tour.run(vsixPath(target), values.only);
  await serve(vsixPath(target), Number(values.port ?? 0));
});

async function serve(vsix: string, port: number): Promise<void> {
  // As after an installation: the walkthrough opens beside a story.
  const env = { DECODER_LAB_WALKTHROUGH: "1" };
  const folder = inRoot("samples");
  const { server, close } = await startCodeServer({ folder, extensions: [vsix], port, env });
  const { host } = new URL(server.url);
  const payload = [["openFile", `vscode-remote://${host}${inRoot("samples", "stories.txt")}`]];
  console.log(`
VS Code with Decoder Lab is running at

    ${server.url}&payload=${encodeURIComponent(JSON.stringify(payload))}

Open the address in a browser. Press Ctrl+C here to stop. Models that you train in it are deleted then.`);
  await new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  console.log("\nStopping …");
  await close();
}
