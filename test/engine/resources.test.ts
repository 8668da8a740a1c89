import { expect, test } from "vitest";
import { EngineError } from "../../src/engine/errors";
import { resourceError } from "../../src/engine/resources";

const coded = (code: string) => Object.assign(new Error(`${code}: native, open '/x'`), { code });

test.each([
  [new Error("std::bad_alloc"), /ran out of memory/],
  [
    new Error("Non-zero status code returned while running Gemm node. Failed to allocate memory for requested buffer"),
    /ran out of memory/,
  ],
  [new RangeError("Array buffer allocation failed"), /ran out of memory/],
  [new RangeError("Invalid typed array length: 34359738368"), /ran out of memory/],
  [coded("ENOMEM"), /ran out of memory/],
  [coded("ERR_MEMORY_ALLOCATION_FAILED"), /ran out of memory/],
  [coded("ERR_WORKER_OUT_OF_MEMORY"), /ran out of memory/],
  [coded("EMFILE"), /^Too many files are open\. .*try again\.$/],
  [coded("ENFILE"), /^Too many files are open\./],
  [coded("ENOSPC"), /^The disk is full\. Free some space/],
  [coded("EDQUOT"), /^The disk quota is used up\./],
  [coded("EAGAIN"), /^The system could not start another thread/],
  [new Error("pthread_create failed"), /^The system could not start another thread/],
])("%s becomes a sentence with advice", (error, message) => {
  expect(resourceError(error)).toMatchObject({
    code: "resources",
    message: expect.stringMatching(message),
    cause: error,
  });
});

test.each([
  new TypeError("x is undefined"),
  new RangeError("Invalid typed array length: -5"),
  new EngineError("data", "out of memory"),
  "text",
])("%s stays unchanged", (error) => expect(resourceError(error)).toBe(error));
