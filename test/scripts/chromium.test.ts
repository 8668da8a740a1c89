import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chromium } from "../../scripts/chromium";

describe.runIf(process.platform === "linux")("on a machine without Chromium, the search", () => {
  let bin: string;
  beforeEach(async () => {
    bin = await mkdtemp(join(tmpdir(), "dlab-path-"));
  });
  afterEach(() => rm(bin, { recursive: true }));

  /** An `apt-get` that records its calls, and installs an empty browser beside itself. */
  async function addApt(): Promise<void> {
    const install = `[ "$1" = install ] && echo > ${bin}/chromium && /bin/chmod +x ${bin}/chromium`;
    await writeFile(join(bin, "apt-get"), `#!/bin/sh\necho "$1" >> ${bin}/calls\n${install}\n`);
    await chmod(join(bin, "apt-get"), 0o755);
  }
  const search = (isRoot: boolean) => chromium(() => {}, { env: { PATH: bin }, isRoot });

  test("installs it with apt for root", async () => {
    await addApt();
    expect(await search(true)).toBe(join(bin, "chromium"));
    expect(await readFile(join(bin, "calls"), "utf8")).toBe("update\ninstall\n");
  });

  test("says what to install if the user is not root", async () => {
    await addApt();
    await expect(search(false)).rejects.toThrow("No Chromium was found. Install Chromium");
  });

  test("says what to install if there is no apt", async () => {
    await expect(search(true)).rejects.toThrow("No Chromium was found. Install Chromium");
  });
});

test("CHROMIUM names the browser to use", async () => {
  expect(await chromium(() => {}, { env: { CHROMIUM: "/opt/browser" } })).toBe("/opt/browser");
});
