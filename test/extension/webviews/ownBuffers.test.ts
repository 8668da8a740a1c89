import { deserialize, serialize } from "node:v8";
import { expect, test } from "vitest";
import { ownBuffers } from "../../../src/extension/webviews/ownBuffers";

test("arrays from another process are sent without the rest of its message", () => {
  // Like a message of a child process: all arrays are views of one buffer.
  const value = deserialize(
    serialize({ a: new Float32Array([1, 2]), tokens: [{ id: 1, bytes: new Uint8Array([7]) }] }),
  );
  expect(value.a.buffer.byteLength).toBeGreaterThan(8);
  const sent = ownBuffers({ kind: "result", id: 1, value }) as { value: typeof value };
  expect(sent.value).toEqual({ a: new Float32Array([1, 2]), tokens: [{ id: 1, bytes: new Uint8Array([7]) }] });
  expect(sent.value.a.buffer.byteLength).toBe(12);
});

test("a message with any number of arrays has one buffer", () => {
  const tokens = Array.from({ length: 300 }, (_, id) => ({ id, bytes: new Uint8Array([id % 256, 1]) }));
  const sent = ownBuffers({
    kind: "result",
    id: 1,
    value: { tokens, norms: new Float32Array([0.5, 2]) },
  }) as unknown as {
    value: { tokens: typeof tokens; norms: Float32Array };
  };
  expect(sent.value).toEqual({ tokens, norms: new Float32Array([0.5, 2]) });
  expect(
    new Set([sent.value.norms, ...sent.value.tokens.map(({ bytes }) => bytes)].map(({ buffer }) => buffer)).size,
  ).toBe(1);
});

test("a Buffer becomes a plain Uint8Array", () => {
  const sent = ownBuffers({ kind: "result", id: 1, value: Buffer.from("ab") }) as { value: Uint8Array };
  expect(sent.value.constructor).toBe(Uint8Array);
  expect(Array.from(sent.value)).toEqual([97, 98]);
});
