import type { Message } from "../../protocol/rpc";

type Numbers = Float32Array | Uint32Array | Uint8Array;

/**
 * Puts the typed arrays of a message into one buffer of its own. Arrays that came from the engine are windows into a
 * large one, the whole of which would be sent with each of them; and VS Code counts a message's buffers in one byte, so
 * that of 254 buffers and more (a token's bytes are an array) it delivers only the first few.
 */
export function ownBuffers(message: Message): Message {
  const places = new Map<Numbers, number>();
  let size = 0;
  visit(message, (numbers) => {
    if (places.has(numbers)) return;
    places.set(numbers, size);
    // Floats begin at a multiple of their size.
    size += Math.ceil(numbers.byteLength / 4) * 4;
  });
  const buffer = new ArrayBuffer(size);
  const own = (numbers: Numbers): Numbers => {
    const start = places.get(numbers) as number;
    new Uint8Array(buffer, start, numbers.byteLength).set(
      new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength),
    );
    if (numbers instanceof Float32Array) return new Float32Array(buffer, start, numbers.length);
    if (numbers instanceof Uint32Array) return new Uint32Array(buffer, start, numbers.length);
    return new Uint8Array(buffer, start, numbers.length);
  };
  return visit(message, own) as Message;
}

/** The value with what `each` makes of its typed arrays. */
function visit(value: unknown, each: (numbers: Numbers) => unknown): unknown {
  if (value instanceof Float32Array || value instanceof Uint32Array || value instanceof Uint8Array) return each(value);
  if (Array.isArray(value)) return value.length > 0 && isPlain(value[0]) ? value : value.map((one) => visit(one, each));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, visit(member, each)]));
}

const isPlain = (value: unknown) => typeof value !== "object";
