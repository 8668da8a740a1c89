/** The window of a real VS Code, operated as by a user: palette, editors, hovers, ghost text, views. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Frame, type Locator, type Page } from "playwright-core";
import type { CodeServer, Settings } from "../../scripts/codeServer.ts";

const browserArguments = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Writes the machine settings of a server, which windows read when they open. */
export async function setMachineSettings({ userDataDir }: CodeServer, settings: Settings): Promise<void> {
  await mkdir(join(userDataDir, "Machine"), { recursive: true });
  await writeFile(join(userDataDir, "Machine", "settings.json"), JSON.stringify(settings));
}

/** Starts a headless browser with a fresh profile. */
export const launchBrowser = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    headless: true,
    args: browserArguments,
    // Users have scroll bars, and they need space.
    ignoreDefaultArgs: ["--hide-scrollbars"],
  });

/** Built-in themes: the label in the picker, and the class of a window with the theme. */
const themes = {
  light: { label: "Light Modern", marker: ".vs" },
  dark: { label: "Dark Modern", marker: ".vs-dark" },
  "high contrast": { label: "Dark High Contrast", marker: ".hc-black" },
  "high contrast light": { label: "Light High Contrast", marker: ".hc-light" },
} as const;

export type Theme = keyof typeof themes;

export class Workbench {
  readonly page: Page;
  readonly server: CodeServer;
  private readonly context: BrowserContext;

  private constructor(page: Page, server: CodeServer, context: BrowserContext) {
    this.page = page;
    this.server = server;
    this.context = context;
  }

  /** Opens a window with the folder of the server. */
  static async open(browser: Browser, server: CodeServer, size = { width: 1440, height: 900 }): Promise<Workbench> {
    const context = await browser.newContext({ viewport: size });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const workbench = new Workbench(page, server, context);
    await workbench.reload();
    return workbench;
  }

  /** Loads the window again, with a new extension host. */
  async reload(): Promise<void> {
    await this.page.goto(this.server.url);
    await this.page.locator(".monaco-workbench .statusbar").waitFor();
  }

  /** Closes the window as a user closes the tab. */
  async close(): Promise<void> {
    await this.page.close({ runBeforeUnload: false });
    await this.context.close();
  }

  // Commands and quick picks

  /** Runs a command by its title, such as "Decoder Lab: Train Tiny GPT". */
  async runCommand(title: string): Promise<void> {
    // The palette closes before the click if a view that is still loading takes the focus.
    await this.until(`the command "${title}" to be chosen`, async () => {
      await this.openPalette(title);
      return this.quickRow(title)
        .click({ timeout: 3000 })
        .then(
          () => true,
          () => false,
        );
    });
  }

  /** Opens the palette, types a title, and waits until the command is listed. */
  async openPalette(title: string): Promise<void> {
    // Retries, because the palette only lists commands of extensions that are already loaded, and closes when it loses
    // the focus.
    await this.until(`the command "${title}" in the palette`, async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("F1");
      if (!(await appears(this.quickInput, 1500))) return false;
      await this.quickInput.fill(`>${title}`, { timeout: 1500 }).catch(() => undefined);
      return appears(this.quickRow(title), 1500);
    });
  }

  get quickInput(): Locator {
    return this.page.locator(".quick-input-widget:visible input.input");
  }

  /** The row of the quick pick or palette whose label starts with `label`. */
  quickRow(label: string): Locator {
    const exact = new RegExp(`^\\s*${escapeRegExp(label)}`);
    return this.page
      .locator(".quick-input-widget:visible .quick-input-list .monaco-list-row")
      .filter({ has: this.page.locator(".label-name").filter({ hasText: exact }) })
      .first();
  }

  /** Chooses a row of the open quick pick. */
  async pick(label: string): Promise<void> {
    await this.quickRow(label).click();
  }

  /** Types into the open input box and accepts the text, once the expected row is shown. */
  async answer(text: string, expected?: Locator): Promise<void> {
    await this.quickInput.fill(text);
    await expected?.waitFor();
    await this.page.keyboard.press("Enter");
  }

  // Editors

  /** The active editor. */
  get editor(): Locator {
    return this.page.locator(".editor-group-container.active .monaco-editor").first();
  }

  /** Drags the edge of the side bar to the right. */
  async widenSideBar(pixels: number): Promise<void> {
    const box = await this.page.locator(".part.sidebar").boundingBox();
    if (!box) throw new Error("there is no side bar");
    const [x, y] = [box.x + box.width, box.y + box.height / 2];
    await this.page.mouse.move(x, y);
    await this.page.mouse.down();
    await this.page.mouse.move(x + pixels, y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** Shows a file of the workspace: by its tab if it has one, else by Quick Open. */
  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press("Escape");
    const tab = this.page.locator(`.editor-group-container .tab[data-resource-name="${name}"]`).first();
    if (await tab.isVisible()) await tab.click();
    else {
      // Retries, because Quick Open closes when it loses the focus, as to a view that is still loading.
      await this.until(`the file "${name}" in Quick Open`, async () => {
        await this.page.keyboard.press("Escape");
        // The palette without ">" is Quick Open, and its key works wherever the focus is.
        await this.page.keyboard.press("F1");
        if (!(await appears(this.quickInput, 1500))) return false;
        await this.quickInput.fill(name, { timeout: 1500 }).catch(() => undefined);
        if (!(await appears(this.quickRow(name), 1500))) return false;
        await this.page.keyboard.press("Enter");
        return appears(tab, 3000);
      });
    }
    await this.page.locator(`.editor-group-container.active .tab.active[data-resource-name="${name}"]`).waitFor();
    await this.editor.locator(".view-line").first().waitFor();
    await this.editor.locator(".native-edit-context, textarea.inputarea").first().focus();
  }

  /** Moves the cursor to a line and column, both 1-based. */
  async goTo(line: number, column: number): Promise<void> {
    await this.page.keyboard.press("Escape");
    await this.page.keyboard.press("Control+G");
    await this.quickInput.fill(`:${line}:${column}`);
    await this.page.keyboard.press("Enter");
    await this.page
      .locator(".quick-input-widget:visible")
      .waitFor({ state: "detached" })
      .catch(() => undefined);
    await this.cursor.waitFor();
  }

  /** Types key by key, as a user does. */
  async typeText(text: string, delay = 20): Promise<void> {
    await this.page.keyboard.type(text, { delay });
  }

  /** Moves the mouse to the character after a position (1-based) and returns the text of the hover. */
  async hoverAt(line: number, column: number): Promise<string> {
    await this.goTo(line, column);
    const box = await this.cursor.boundingBox();
    if (!box) throw new Error(`hoverAt: the cursor at ${line}:${column} is not on the screen`);
    const y = box.y + box.height / 2;
    await this.page.mouse.move(box.x + 60, y + 120);
    await this.page.mouse.move(box.x + 4, y, { steps: 4 });
    const hover = this.hover;
    await hover.waitFor();
    await hover.filter({ hasNotText: "Loading..." }).waitFor();
    return hover.innerText();
  }

  get hover(): Locator {
    return this.page.locator(".monaco-hover:not(.hidden) .monaco-hover-content:visible").first();
  }

  /** The ghost text, or "" if there is none. */
  async ghostText(): Promise<string> {
    const parts = await this.ghost.allInnerTexts();
    return parts.join("").replaceAll("\u00a0", " ");
  }

  get ghost(): Locator {
    return this.editor.locator(
      ".ghost-text-decoration, .ghost-text-decoration-preview, .suggest-preview-text .view-line",
    );
  }

  /** Presses a key in the editor and returns the milliseconds until a frame with ghost text, measured in the page. */
  async keyToGhost(key: string, timeout = 10_000): Promise<number> {
    await this.page.evaluate(measureKeyToGhost, timeout);
    await this.page.keyboard.press(key);
    const measured = this.page.evaluate(() => (globalThis as unknown as GhostMeasurement).ghostAfter);
    for (;;) {
      const time = await Promise.race([measured, this.page.waitForTimeout(250)]);
      if (time !== undefined) return time;
      await this.closeSuggestions();
    }
  }

  /** Closes VS Code's own suggestions, which appear after 750 ms and hide ghost text that does not match the selected one. */
  async closeSuggestions(): Promise<void> {
    if (await this.page.locator(".suggest-widget.visible").isVisible()) await this.page.keyboard.press("Escape");
  }

  /** The visible lines, including ghost text. */
  async visibleText(): Promise<string> {
    const lines = await this.editor.locator(".view-line").allInnerTexts();
    return lines.join("\n").replaceAll("\u00a0", " ");
  }

  private get cursor(): Locator {
    return this.editor.locator(".cursor.monaco-mouse-cursor-text, .cursors-layer .cursor").first();
  }

  // Views, webviews, notifications, status bar

  /** The document of the webview whose `<title>` starts with `title`. */
  async webview(title: string): Promise<Frame> {
    return this.until(
      `a webview titled "${title}"`,
      async () => {
        for (const frame of this.page.frames()) {
          // VS Code loads new content in a pending frame, which then becomes the active one.
          if (!["active-frame", "pending-frame"].includes(frame.name())) continue;
          // The frame may disappear meanwhile.
          if ((await frame.title().catch(() => "")).startsWith(title)) return frame;
        }
        return undefined;
      },
      60_000,
    );
  }

  /** Opens a view container by its title in the activity bar. */
  async openContainer(title: string): Promise<void> {
    const item = this.page.locator(`.activitybar .action-item:has(.action-label[aria-label^="${title}"])`).first();
    if ((await item.getAttribute("aria-selected")) !== "true") await item.click();
  }

  /** The rows of the tree views in the side bar. */
  get treeRows(): Locator {
    return this.page.locator(".sidebar .monaco-list-row[role='treeitem']");
  }

  /** Text of the status bar items, from left to right. */
  async statusBar(): Promise<string[]> {
    return this.page.locator(".statusbar .statusbar-item:visible").allInnerTexts();
  }

  statusItem(text: string | RegExp): Locator {
    return this.page.locator(".statusbar .statusbar-item").filter({ hasText: text }).first();
  }

  /** The notification that contains `text`. */
  notification(text: string | RegExp): Locator {
    return this.page.locator(".notification-toast .notification-list-item").filter({ hasText: text }).first();
  }

  async clearNotifications(): Promise<void> {
    await this.runCommand("Notifications: Clear All Notifications");
    await this.page.locator(".notification-toast").first().waitFor({ state: "detached" });
  }

  /**
   * Adds user settings to those that the server started with. Edits the file in the window, because the window does not
   * always notice changes on disk.
   */
  async setSettings(settings: Settings): Promise<void> {
    await this.runCommand("Preferences: Open User Settings (JSON)");
    await this.page.locator('.tab.active[data-resource-name="settings.json"]').waitFor();
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.keyboard.press("Delete");
    await this.page.keyboard.insertText(JSON.stringify({ ...this.server.settings, ...settings }));
    await this.page.keyboard.press("ControlOrMeta+S");
    await this.page.locator('.tab.active:not(.dirty)[data-resource-name="settings.json"]').waitFor();
    await this.runCommand("View: Close Editor");
  }

  /** Changes the color theme and waits until it applies. */
  async setTheme(theme: Theme): Promise<void> {
    const { label, marker } = themes[theme];
    const window = this.page.locator(`.monaco-workbench${marker}`);
    if (await window.isVisible()) return;
    await this.runCommand("Preferences: Color Theme");
    await this.answer(label, this.quickRow(label));
    await window.waitFor();
  }

  async screenshot(path: string): Promise<void> {
    await this.page.screenshot({ path });
  }

  /** Polls until `probe` returns something other than undefined or false. */
  async until<T>(what: string, probe: () => Promise<T | undefined | false>, timeout = 30_000): Promise<T> {
    const end = Date.now() + timeout;
    for (;;) {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${what}`);
      await this.page.waitForTimeout(50);
    }
  }
}

interface GhostMeasurement {
  ghostAfter: Promise<number>;
}

/** Runs in the page. Measures from the next key until a frame with ghost text. */
function measureKeyToGhost(timeout: number): void {
  const measurement = globalThis as unknown as GhostMeasurement;
  const { document, requestAnimationFrame } = globalThis as unknown as PageGlobals;
  measurement.ghostAfter = new Promise((resolve, reject) => {
    const onKey = () => {
      const start = performance.now();
      const look = () => {
        const time = performance.now() - start;
        const ghost = document.querySelector(".ghost-text-decoration, .ghost-text-decoration-preview");
        if (ghost?.textContent) resolve(time);
        else if (time > timeout) reject(new Error(`no ghost text within ${timeout} ms`));
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    };
    document.addEventListener("keydown", onKey, { capture: true, once: true });
  });
}

/** The part of the DOM that `measureKeyToGhost` uses. This folder is compiled without DOM types. */
interface PageGlobals {
  readonly document: {
    querySelector(selector: string): { readonly textContent: string | null } | null;
    addEventListener(type: string, listener: () => void, options: object): void;
  };
  requestAnimationFrame(callback: () => void): void;
}

/** True if an element is visible within `timeout` milliseconds. */
export const appears = (locator: Locator, timeout: number): Promise<boolean> =>
  locator.waitFor({ timeout }).then(
    () => true,
    () => false,
  );

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
