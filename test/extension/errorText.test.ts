import { expect, test } from "vitest";
import { errorTextForLog } from "../../src/extension/errorText";
import { RemoteError } from "../../src/protocol/rpc";

test("what the tokenizer quotes of a document stays out of the log", () => {
  expect(errorTextForLog(new RemoteError("tokenizer", 'The text has "secret".'))).not.toContain("secret");
});

test("other errors are logged as they are", () => {
  expect(errorTextForLog(new RemoteError("device", "There is no GPU."))).toBe("There is no GPU.");
});
