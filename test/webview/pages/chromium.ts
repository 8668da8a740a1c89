/** Pages in Chromium, as VS Code would show them: under the strict policy, in every theme. */

import axe from "axe-core";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inRoot } from "../../../scripts/paths";
import { type LiveExplorer, openLiveExplorer } from "../liveExplorer";
import { bundlePage, chromiumPath, launch, openPage, setTheme } from "../openPage";
import type { ThemeKind } from "../themes";

/** A character model, and a prompt for it. */
export const CHARACTERS = inRoot("test", "golden", "characters");
export const STORY = "Once upon a time";
export const THEMES: readonly ThemeKind[] = ["dark", "light", "hc-dark", "hc-light"];
/** Timeout for answers of the engine, which is slow on a busy machine. */
export const SOON = { timeout: 15_000 };

interface OpenPage {
  readonly page: Page;
  readonly errors: readonly string[];
}

export interface Explorer extends OpenPage {
  readonly live: LiveExplorer;
  readonly browser: Browser;
  readonly tab: (name: string) => ReturnType<Page["getByRole"]>;
  readonly tabs: () => Promise<string[]>;
}

/** Tests of the Model Explorer on the real engine; `opened` returns its page. */
export const describeExplorer = (define: (opened: () => Explorer) => void): void =>
  describePage("the Model Explorer", define, async (browser) => {
    const files = await bundlePage("explorer", "relayInPage");
    const live = await openLiveExplorer(browser, files, "dark", { width: 1100, height: 800 });
    const { page, errors } = live;
    return {
      page,
      errors,
      live,
      browser,
      tab: (name) => page.getByRole("tab", { name, exact: true }),
      tabs: () => page.getByRole("tab").allInnerTexts(),
    };
  });

/** Tests of a page with a host inside the page (`hostInPage.ts`). */
export const describeHosted = (
  name: "inspector" | "training",
  size: { width: number; height: number },
  define: (opened: () => OpenPage) => void,
): void =>
  describePage(`the ${name} page`, define, async (browser) => openPage(browser, await bundlePage(name), "dark", size));

/** Opens one page for all tests of a file. They run in order, and the last one checks that nothing went wrong. */
function describePage<P extends OpenPage>(
  name: string,
  define: (opened: () => P) => void,
  open: (browser: Browser) => Promise<P>,
): void {
  if (!chromiumPath) console.warn("Skipped: the pages' tests need Chromium (apt-get install chromium).");
  describe.skipIf(!chromiumPath)(name, () => {
    let browser: Browser;
    let opened: P;
    beforeAll(async () => {
      browser = await launch();
      opened = await open(browser);
    });
    afterAll(() => browser?.close());
    define(() => opened);
    test("logs no errors and violates no policy", () => expect(opened.errors).toEqual([]));
  });
}

/** Expects no accessibility violations: by all rules in the first theme, by those about colors in the others. */
export async function expectAccessible(page: Page): Promise<void> {
  const found: string[] = [];
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe.source);
  for (const theme of THEMES) {
    await page.evaluate(setTheme(theme));
    // The toolkit's controls apply a theme's colors a little later.
    await page.waitForTimeout(200);
    const rules = theme === THEMES[0] ? {} : { runOnly: ["color-contrast", "link-in-text-block"] };
    const violations = await page.evaluate(async (options) => {
      const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document, options);
      return violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.any[0]?.message ?? node.failureSummary}`),
      );
    }, rules);
    found.push(...violations.map((violation) => `${theme}: ${violation}`));
  }
  await page.evaluate(setTheme("dark"));
  expect(found).toEqual([]);
}

/** Chooses an item of the first menu for table and files in a part of the page. */
export async function chooseMore(part: Locator, item: string): Promise<void> {
  await part.getByRole("button", { name: "Table, copy and save" }).first().click();
  await part.page().getByRole("menuitem", { name: item }).click();
}

/** The rows of the table behind a picture, opened if it is closed; empty while there is no such table. */
export async function tableOf(page: Page, title: RegExp): Promise<string[][]> {
  const part = page.locator("section.pair-part").filter({ has: page.getByRole("heading", { name: title }) });
  if (!(await part.getByRole("table").first().isVisible())) await chooseMore(part.first(), "Show table");
  const rows = part.getByRole("table").first().locator("tbody tr");
  return rows.evaluateAll((all) =>
    all.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.innerText)),
  );
}
