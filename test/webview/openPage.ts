/** Opens a bundled page in Chromium as VS Code shows it: with a strict content security policy and theme variables. */

/// <reference types="node" />

import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { findChromium } from "../../scripts/chromium";
import { type ThemeKind, themes } from "./themes";

export const chromiumPath = await findChromium();

/** Lets the pages, whose address does not exist, fetch from this machine. */
const ALLOWED = "--disable-features=LocalNetworkAccessChecks";

export const launch = (): Promise<Browser> =>
  chromium.launch({
    ...(chromiumPath && { executablePath: chromiumPath }),
    args: ["--no-sandbox", ALLOWED],
  });

export interface PageFiles {
  readonly script: string;
  readonly style: string;
  readonly host: string;
  /** True if the host is in another process. */
  readonly isRelayed: boolean;
}

/** Bundles `webview/NAME/page.ts` and its host: one in the page, or a relay to one in another process (`liveExplorer.ts`). */
export async function bundlePage(
  name: "inspector" | "training" | "explorer",
  hostName: "hostInPage" | "relayInPage" = "hostInPage",
): Promise<PageFiles> {
  const options = { bundle: true, write: false, format: "iife", outdir: "out", logLevel: "error" } as const;
  const page = await build({ ...options, entryPoints: [`webview/${name}/page.ts`] });
  const host = await build({ ...options, entryPoints: [`test/webview/${hostName}.ts`] });
  const text = (files: typeof page.outputFiles, end: string) =>
    files.find(({ path }) => path.endsWith(end))?.text ?? "";
  return {
    script: text(page.outputFiles, ".js"),
    style: text(page.outputFiles, ".css"),
    host: text(host.outputFiles, ".js"),
    isRelayed: hostName === "relayInPage",
  };
}

export const ORIGIN = "http://webview.test";
const CSP = `default-src 'none'; img-src ${ORIGIN} blob: data:; font-src ${ORIGIN}; style-src ${ORIGIN} 'nonce-test'; script-src 'nonce-test'`;

/** Opens a page and waits until it is mounted. `errors` has what it logs as errors, including violations of the policy. */
export async function openPage(
  browser: Browser,
  files: PageFiles,
  theme: ThemeKind,
  size: { width: number; height: number },
  prepare = "",
  beforeLoading?: (page: Page) => Promise<void>,
): Promise<{ page: Page; errors: string[] }> {
  const page = await browser.newPage({ viewport: size });
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await beforeLoading?.(page);
  const { bodyClass } = themes[theme];
  // With a relay, the page fetches large arrays from this machine, which the extension's policy would not allow.
  const policy = files.isRelayed ? `${CSP}; connect-src http://127.0.0.1:*` : CSP;
  const html = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Decoder Lab</title>
<meta property="csp-nonce" content="test">
<meta http-equiv="Content-Security-Policy" content="${policy}"><link rel="stylesheet" href="${ORIGIN}/page.css"></head>
<body class="${bodyClass}"><script nonce="test" src="${ORIGIN}/host.js"></script>
<script nonce="test" src="${ORIGIN}/prepare.js"></script><script nonce="test" src="${ORIGIN}/page.js"></script></body></html>`;
  const served: Record<string, [type: string, body: string]> = {
    "/": ["text/html", html],
    "/page.css": ["text/css", files.style],
    "/page.js": ["text/javascript", files.script],
    "/host.js": ["text/javascript", files.host],
    "/prepare.js": ["text/javascript", `${setTheme(theme)};${prepare}`],
  };
  await page.route(`${ORIGIN}/**`, (route) => {
    const file = served[new URL(route.request().url()).pathname];
    return file ? route.fulfill({ contentType: file[0], body: file[1] }) : route.fulfill({ status: 404 });
  });
  await page.goto(`${ORIGIN}/`);
  await page.waitForSelector("main > *", { state: "attached" });
  return { page, errors };
}

/** A script that sets a theme as VS Code does: variables on the root element, a class on the body. */
export function setTheme(theme: ThemeKind): string {
  const { bodyClass, variables } = themes[theme];
  return `(() => {
    document.documentElement.removeAttribute("style");
    for (const [name, value] of Object.entries(${JSON.stringify(variables)}))
      document.documentElement.style.setProperty("--vscode-" + name, value);
    const page = document.body.classList.contains("page-editor") ? " page-editor" : "";
    document.body.className = ${JSON.stringify(bodyClass)} + page;
  })()`;
}
