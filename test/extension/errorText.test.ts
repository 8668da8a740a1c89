import { expect, test } from "vitest";
import { errorTextForLog } from "../../src/extension/errorText";
import { RemoteError } from "../../src/protocol/rpc";

test("an error of the tokenizer is logged without its quotation of the document", () => {
  expect(errorTextForLog(new RemoteError("tokenizer", 'The text has "secret".'))).not.toContain("secret");
});

test("other errors are logged unchanged", () => {
  expect(errorTextForLog(new RemoteError("device", "There is no GPU."))).toBe("There is no GPU.");
});
