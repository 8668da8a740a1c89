/**
 * A real VS Code without a display: `code-server`, from the npm registry, on 127.0.0.1.
 *
 * It is not a devDependency, because its install script rejects every Node except its own. Instead it is installed
 * without scripts into the user's cache folder when it is first needed. Without its optional native modules, it logs
 * a few errors and works.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Failure } from "./paths.ts";

const run = promisify(execFile);

const version = "4.139.1";

const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
const installed = join(cacheRoot, "decoder-lab", `code-server-${version}`);
const entry = join(installed, "node_modules", "code-server", "out", "node", "entry.js");

/** Installs code-server unless this machine already has it. */
export async function installCodeServer(log: (line: string) => void): Promise<void> {
  if (process.platform === "win32") {
    throw new Failure("code-server does not run on Windows. Use Linux, macOS or the Windows Subsystem for Linux.");
  }
  if (await exists(entry)) return;
  log(`Installing code-server ${version} into ${installed} (600 MB, once per machine) …`);
  await mkdir(join(cacheRoot, "decoder-lab"), { recursive: true });
  const partial = await mkdtemp(`${installed}-partial-`);
  try {
    const npm = (cwd: string, ...args: string[]) =>
      run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...args], { cwd });
    await writeFile(join(partial, "package.json"), "{}");
    await npm(partial, `code-server@${version}`);
    await npm(join(partial, "node_modules", "code-server", "lib", "vscode"), "--omit=dev");
    // If two processes install at once, the first one to finish wins. The folder is never incomplete.
    await rename(partial, installed).catch(async (error) => {
      if (!(await exists(entry))) throw error;
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure(`code-server could not be installed from the npm registry: ${reason}`);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

export interface CodeServerOptions {
  /** The folder that the window opens. */
  readonly folder: string;
  /** VSIX files to install first. */
  readonly extensions: readonly string[];
  /** User settings in addition to those that keep the window quiet. */
  readonly settings?: Settings;
  /** Trusts every folder without asking. True by default. */
  readonly trusted?: boolean;
  /** A free port by default. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export type Settings = Readonly<Record<string, unknown>>;

/** A running server, as plain data that tests can receive. */
export interface CodeServer {
  readonly url: string;
  readonly pid: number;
  readonly extensionsDir: string;
  readonly userDataDir: string;
  /** The user settings at the start. */
  readonly settings: Settings;
}

export interface StartedCodeServer {
  readonly server: CodeServer;
  /** Ends the server and its child processes, and deletes its folders. */
  close(): Promise<void>;
}

// No questions, no network, no advertisements: the window has only the editor and Decoder Lab.
const quiet = {
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "workbench.startupEditor": "none",
  "workbench.editor.useModal": "off",
  "workbench.enableExperiments": false,
  "workbench.settings.enableNaturalLanguageSearch": false,
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "chat.disableAIFeatures": true,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "git.openRepositoryInParentFolders": "never",
  // As on the desktop. In a browser, the default saves every keystroke.
  "files.autoSave": "off",
};

/** Starts a server with its own data folders. */
export async function startCodeServer(options: CodeServerOptions): Promise<StartedCodeServer> {
  // Short, because the server creates Unix sockets in it, and their paths are limited to 107 characters.
  const home = await mkdtemp(join(tmpdir(), "dlab-"));
  const userDataDir = join(home, "user");
  const extensionsDir = join(home, "ext");
  const settings = { ...quiet, ...options.settings };
  await mkdir(join(userDataDir, "User"), { recursive: true });
  await writeFile(join(userDataDir, "User", "settings.json"), JSON.stringify(settings, null, 2));

  const folders = ["--user-data-dir", userDataDir, "--extensions-dir", extensionsDir];
  const env = serverEnvironment(home, options.env);
  const installs = options.extensions.flatMap((vsix) => ["--install-extension", vsix]);
  if (installs.length > 0) await run(process.execPath, [entry, ...folders, ...installs], { env });

  const listen = ["--bind-addr", `127.0.0.1:${options.port ?? 0}`, "--auth", "none"];
  const still = ["--disable-telemetry", "--disable-update-check", "--disable-proxy", "--ignore-last-opened"];
  const trust = options.trusted === false ? [] : ["--disable-workspace-trust"];
  // The extension host of a closed window ends within seconds instead of waiting for the window to reconnect.
  const grace = ["--reconnection-grace-time", "5"];
  const child = spawn(process.execPath, [entry, ...folders, ...listen, ...still, ...trust, ...grace, options.folder], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const close = async () => {
    await endProcessGroup(child);
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const address = await listening(child);
    const url = `${address}?folder=${encodeURIComponent(options.folder)}`;
    return { server: { url, pid: child.pid as number, extensionsDir, userDataDir, settings }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The environment without the variables of a surrounding VS Code or npm, and with the server's own folders. */
function serverEnvironment(home: string, extra: CodeServerOptions["env"]): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VSCODE_|npm_|NODE_OPTIONS$|PORT$)/.test(name));
  const own = { XDG_CONFIG_HOME: join(home, "config"), XDG_DATA_HOME: join(home, "data") };
  return { ...Object.fromEntries(inherited), ...own, ...extra };
}

function listening(child: ChildProcess): Promise<string> {
  const output: string[] = [];
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        output.push(line);
        const address = /listening on (http:\/\/\S+)/.exec(line)?.[1];
        if (address) resolve(address);
      });
    }
    child.once("exit", (code) => reject(new Failure(`code-server exited with code ${code}:\n${output.join("\n")}`)));
  });
}

/** Asks the server to end, and kills the rest of its process group after 3 s. */
async function endProcessGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child.pid as number), 3000);
  await ended;
  clearTimeout(timer);
  killGroup(child.pid);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
