import { expect, test } from "vitest";
import { withHugePages } from "../../src/protocol/hugePages";

test("what the user has told glibc comes last, where it counts", () => {
  expect(withHugePages({ HOME: "/h", GLIBC_TUNABLES: "glibc.malloc.hugetlb=0" })).toEqual({
    HOME: "/h",
    GLIBC_TUNABLES: "glibc.malloc.hugetlb=1:glibc.malloc.hugetlb=0",
  });
  expect(withHugePages({})).toEqual({ GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" });
});
