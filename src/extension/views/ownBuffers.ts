import type { Message } from "../../protocol/rpc";

/**
 * Gives every typed array a buffer of its own. Arrays that came from the engine are windows into one large buffer,
 * the whole of which would be sent with each of them.
 */
export function ownBuffers(message: Message): Message {
  return copy(message) as Message;
}

function copy(value: unknown): unknown {
  if (value instanceof Float32Array || value instanceof Uint32Array) {
    return value.byteLength === value.buffer.byteLength ? value : value.slice();
  }
  // Not slice(): a Buffer is a Uint8Array too, whose slice() does not copy.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.length > 0 && isPlain(value[0]) ? value : value.map(copy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copy(member)]));
}

const isPlain = (value: unknown) => typeof value !== "object";
