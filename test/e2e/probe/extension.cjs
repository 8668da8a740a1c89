// Lives in the same extension host as Decoder Lab and tells what that process has loaded and how long its event loop
// ever stood still since the last report. The report goes to the file that HOST_PROBE_REPORT names.

const { rename, writeFile } = require("node:fs/promises");
const { monitorEventLoopDelay } = require("node:perf_hooks");
const vscode = require("vscode");

exports.activate = (context) => {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  const report = async () => {
    const path = process.env.HOST_PROBE_REPORT;
    const worstStall = delays.max / 1e6;
    delays.reset();
    const decoderLab = vscode.extensions.getExtension("decoder-lab.decoder-lab");
    const facts = {
      time: Date.now(),
      pid: process.pid,
      worstStall,
      sharedObjects: process.report.getReport().sharedObjects,
      extensionPath: decoderLab?.extensionPath,
      active: decoderLab?.isActive,
    };
    await writeFile(`${path}.partial`, JSON.stringify(facts));
    await rename(`${path}.partial`, path);
  };
  context.subscriptions.push(vscode.commands.registerCommand("hostProbe.report", report));
};
