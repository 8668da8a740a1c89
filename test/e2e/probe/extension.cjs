// Runs in the extension host of Decoder Lab and reports the libraries in that process, the longest stall of its event
// loop since the last report, and the time that Decoder Lab took to load and activate. Writes each report to the file in
// HOST_PROBE_REPORT.

const { rename, writeFile } = require("node:fs/promises");
const Module = require("node:module");
const vscode = require("vscode");

const decoderLab = vscode.extensions.getExtension("decoder-lab.decoder-lab");
const activation = { load: 0, activate: 0 };

// VS Code's own figure includes the time of other extensions; this one does not.
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

/** Measures the longest time between two timer turns, and the longest CPU time of this thread in one. */
function watchEventLoop() {
  let worst = { worstTurn: 0, worstStall: 0 };
  let before = { time: performance.now(), cpu: threadMilliseconds() };
  setInterval(() => {
    const now = { time: performance.now(), cpu: threadMilliseconds() };
    worst.worstTurn = Math.max(worst.worstTurn, now.cpu - before.cpu);
    worst.worstStall = Math.max(worst.worstStall, now.time - before.time);
    before = now;
  }, 5).unref();
  return {
    sinceLast() {
      const answer = worst;
      worst = { worstTurn: 0, worstStall: 0 };
      return answer;
    },
  };
}

function threadMilliseconds() {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

exports.activate = (context) => {
  const turns = watchEventLoop();
  const report = async () => {
    const path = process.env.HOST_PROBE_REPORT;
    const facts = {
      time: Date.now(),
      pid: process.pid,
      ...turns.sinceLast(),
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
