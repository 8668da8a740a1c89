// Lives in the same extension host as Decoder Lab and tells what that process has loaded, how long its event loop ever
// stood still since the last report, and how long Decoder Lab took to load and activate. The report goes to the file
// that HOST_PROBE_REPORT names.

const { rename, writeFile } = require("node:fs/promises");
const Module = require("node:module");
const { monitorEventLoopDelay } = require("node:perf_hooks");
const vscode = require("vscode");

const decoderLab = vscode.extensions.getExtension("decoder-lab.decoder-lab");
const activation = { load: 0, activate: 0 };

// VS Code's own figure counts the time that other extensions hold the host meanwhile; this one is Decoder Lab's alone.
const load = Module._load;
Module._load = function (request, ...rest) {
  if (!request.startsWith(`${decoderLab?.extensionPath}/`)) return load.call(this, request, ...rest);
  const start = performance.now();
  const exported = load.call(this, request, ...rest);
  activation.load = performance.now() - start;
  return { ...exported, activate: (context) => timed(() => exported.activate(context)) };
};

async function timed(activate) {
  const start = performance.now();
  const result = await activate();
  activation.activate = performance.now() - start;
  return result;
}

exports.activate = (context) => {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  const report = async () => {
    const path = process.env.HOST_PROBE_REPORT;
    const worstStall = delays.max / 1e6;
    delays.reset();
    const facts = {
      time: Date.now(),
      pid: process.pid,
      worstStall,
      activation,
      sharedObjects: process.report.getReport().sharedObjects,
      extensionPath: decoderLab?.extensionPath,
      active: decoderLab?.isActive,
    };
    await writeFile(`${path}.partial`, JSON.stringify(facts));
    await rename(`${path}.partial`, path);
  };
  context.subscriptions.push(vscode.commands.registerCommand("hostProbe.report", report));
};
