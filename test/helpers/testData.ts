import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** The path of real test material, which is not part of the repository; null where it is absent. */
export function testData(name: string): string | null {
  const root = process.env.DECODER_LAB_TEST_DATA ?? resolve(import.meta.dirname, "../../../shared/data");
  const path = join(root, name);
  return existsSync(path) ? path : null;
}
