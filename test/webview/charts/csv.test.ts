import { expect, test } from "vitest";
import { toCsv } from "../../../webview/charts/csv";

test("CSV quotes commas, quotes and line breaks, so that such tokens are read back unchanged", () => {
  const row = () => [",", '"', "a\nb", " ", 0.1];
  expect(toCsv({ title: "", columns: ["a", "b", "c", "d", "e"], rows: 1, row })).toBe(
    'a,b,c,d,e\r\n",","""","a\nb"," ",0.1\r\n',
  );
});
