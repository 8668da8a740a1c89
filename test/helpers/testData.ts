import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** The path of test data outside the repository, or null. */
export function testData(name: string): string | null {
  const root = process.env.DECODER_LAB_TEST_DATA ?? resolve(import.meta.dirname, "../../../shared/data");
  const path = join(root, name);
  return existsSync(path) ? path : null;
}
