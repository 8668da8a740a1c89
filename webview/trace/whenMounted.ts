/** What the host tells right after it answered must find a listener, also before the page is built. */

/** `whenMounted` runs at once on a page that is there, else in the order of the calls when `mount` has been given it. */
export function createWaiting<Page>() {
  const early: ((page: Page) => void)[] = [];
  let mounted: Page | null = null;
  return {
    whenMounted(run: (page: Page) => void): void {
      if (mounted) run(mounted);
      else early.push(run);
    },
    mount(page: Page): void {
      mounted = page;
      for (const run of early) run(page);
    },
  };
}
