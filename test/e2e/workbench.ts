/** The window of a real VS Code as a person uses it: palette, editors, hovers, ghost text, views. */

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

/** Settings of the machine that a server runs on, as its windows find them when they open. */
export async function setMachineSettings({ userDataDir }: CodeServer, settings: Settings): Promise<void> {
  await mkdir(join(userDataDir, "Machine"), { recursive: true });
  await writeFile(join(userDataDir, "Machine", "settings.json"), JSON.stringify(settings));
}

/** Starts a browser without a window; Playwright gives it a fresh profile. */
export const launchBrowser = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    headless: true,
    args: browserArguments,
    // People have them, and they take room.
    ignoreDefaultArgs: ["--hide-scrollbars"],
  });

/** VS Code's own themes as its picker calls them, with the class that its window has in them. */
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

  /** Opens a window on the server's folder. */
  static async open(browser: Browser, server: CodeServer, size = { width: 1440, height: 900 }): Promise<Workbench> {
    const context = await browser.newContext({ viewport: size });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const workbench = new Workbench(page, server, context);
    await workbench.reload();
    return workbench;
  }

  /** Loads the window anew, with an extension host of its own. */
  async reload(): Promise<void> {
    await this.page.goto(this.server.url);
    await this.page.locator(".monaco-workbench .statusbar").waitFor();
  }

  /** Closes the window, as a person closes the tab. */
  async close(): Promise<void> {
    await this.page.close({ runBeforeUnload: false });
    await this.context.close();
  }

  // Commands and quick picks

  /** Runs a command by its title in the palette, such as "Decoder Lab: Train Tiny GPT". */
  async runCommand(title: string): Promise<void> {
    // The palette may close under the pointer, when a view that is still coming takes the focus.
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

  /** Opens the palette with a title typed, and waits until it offers that command. */
  async openPalette(title: string): Promise<void> {
    // The palette lists the commands that exist when it opens, and a new window's extensions may still be on their way;
    // it closes when something else takes the focus.
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

  /** A row of the quick pick or palette whose label begins with `label`. */
  quickRow(label: string): Locator {
    const exact = new RegExp(`^\\s*${escapeRegExp(label)}`);
    return this.page
      .locator(".quick-input-widget:visible .quick-input-list .monaco-list-row")
      .filter({ has: this.page.locator(".label-name").filter({ hasText: exact }) })
      .first();
  }

  /** Chooses a row of the quick pick that is open. */
  async pick(label: string): Promise<void> {
    await this.quickRow(label).click();
  }

  /** Types into the input box that is open and accepts it, once it offers what it must. */
  async answer(text: string, offered?: Locator): Promise<void> {
    await this.quickInput.fill(text);
    await offered?.waitFor();
    await this.page.keyboard.press("Enter");
  }

  // Editors

  /** The editor that a person would say is the active one. */
  get editor(): Locator {
    return this.page.locator(".editor-group-container.active .monaco-editor").first();
  }

  /** Drags the side bar's edge to the right. */
  async widenSideBar(pixels: number): Promise<void> {
    const box = await this.page.locator(".part.sidebar").boundingBox();
    if (!box) throw new Error("there is no side bar");
    const [x, y] = [box.x + box.width, box.y + box.height / 2];
    await this.page.mouse.move(x, y);
    await this.page.mouse.down();
    await this.page.mouse.move(x + pixels, y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** Shows a file of the workspace by its name: its tab where it has one, else from the quick open. */
  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press("Escape");
    const tab = this.page.locator(`.editor-group-container .tab[data-resource-name="${name}"]`).first();
    if (await tab.isVisible()) await tab.click();
    else {
      // It closes when something else takes the focus, such as a view that is still coming.
      await this.until(`the file "${name}" in the quick open`, async () => {
        await this.page.keyboard.press("Escape");
        // The palette without its ">" is the quick open, and its key works wherever the focus is.
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

  /** Puts the cursor at a line and column, both counted from 1. */
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

  /** Types as a person does, a key at a time. */
  async typeText(text: string, delay = 20): Promise<void> {
    await this.page.keyboard.type(text, { delay });
  }

  /** Moves the mouse onto the character after a position (from 1) and answers what the hover says. */
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

  /** The ghost text that is shown, or "" where there is none. */
  async ghostText(): Promise<string> {
    const parts = await this.ghost.allInnerTexts();
    return parts.join("").replaceAll("\u00a0", " ");
  }

  get ghost(): Locator {
    return this.editor.locator(
      ".ghost-text-decoration, .ghost-text-decoration-preview, .suggest-preview-text .view-line",
    );
  }

  /** Presses a key in the editor; answers the milliseconds until a frame with ghost text is drawn, measured in the page. */
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

  /** VS Code's own suggestions come when ghost text took 750 ms, and hide what does not begin with the selected one. */
  async closeSuggestions(): Promise<void> {
    if (await this.page.locator(".suggest-widget.visible").isVisible()) await this.page.keyboard.press("Escape");
  }

  /** The lines on the screen as drawn, ghost text included. */
  async visibleText(): Promise<string> {
    const lines = await this.editor.locator(".view-line").allInnerTexts();
    return lines.join("\n").replaceAll("\u00a0", " ");
  }

  private get cursor(): Locator {
    return this.editor.locator(".cursor.monaco-mouse-cursor-text, .cursors-layer .cursor").first();
  }

  // Views, webviews, notifications, status bar

  /** The document inside the webview whose HTML has a `<title>` that begins so. */
  async webview(title: string): Promise<Frame> {
    return this.until(
      `a webview titled "${title}"`,
      async () => {
        for (const frame of this.page.frames()) {
          // Content that changes is loaded in a pending frame, which becomes the active one.
          if (!["active-frame", "pending-frame"].includes(frame.name())) continue;
          // A frame can go while it is asked.
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

  /** The notification that says `text`. */
  notification(text: string | RegExp): Locator {
    return this.page.locator(".notification-toast .notification-list-item").filter({ hasText: text }).first();
  }

  async clearNotifications(): Promise<void> {
    await this.runCommand("Notifications: Clear All Notifications");
    await this.page.locator(".notification-toast").first().waitFor({ state: "detached" });
  }

  /**
   * Changes user settings beside those that the server started with, in the editor as a person would: a change of the
   * file from outside does not always reach the window.
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

  /** Changes the color theme, and waits until the window has it. */
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

  /** Polls until `probe` answers something other than undefined or false. */
  async until<T>(what: string, probe: () => Promise<T | undefined | false>, timeout = 30_000): Promise<T> {
    const end = Date.now() + timeout;
    for (;;) {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain for ${what}`);
      await this.page.waitForTimeout(50);
    }
  }
}

interface GhostMeasurement {
  ghostAfter: Promise<number>;
}

/** Runs in the page: from the next key until ghost text is on the screen, looked for in every frame. */
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

/** The little of the DOM that `measureKeyToGhost` uses; this folder is compiled without it. */
interface PageGlobals {
  readonly document: {
    querySelector(selector: string): { readonly textContent: string | null } | null;
    addEventListener(type: string, listener: () => void, options: object): void;
  };
  requestAnimationFrame(callback: () => void): void;
}

/** Whether it is on the screen within so many milliseconds. */
export const appears = (locator: Locator, timeout: number): Promise<boolean> =>
  locator.waitFor({ timeout }).then(
    () => true,
    () => false,
  );

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
