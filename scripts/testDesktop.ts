/**
 * Runs test/desktop in a desktop VS Code, which it downloads. It needs a display; `npm test` drives the same package in
 * code-server instead (test/e2e).
 *
 *   npm run test:desktop
 */

import { runTests } from "@vscode/test-electron";
import { packageTargets } from "./package.ts";
import { inRoot, runAsScript } from "./paths.ts";
import { requireHostTarget } from "./targets.ts";

runAsScript(import.meta.url, async () => {
  const target = requireHostTarget();
  await packageTargets([target]);
  await runTests({
    extensionDevelopmentPath: inRoot("out", "stage", target),
    extensionTestsPath: inRoot("test", "desktop", "index.cjs"),
    launchArgs: [inRoot("samples"), "--disable-extensions", "--disable-workspace-trust", "--skip-welcome"],
  });
});
