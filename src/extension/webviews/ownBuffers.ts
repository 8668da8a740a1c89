import type { Message } from "../../protocol/rpc";

type Numbers = Float32Array | Uint32Array | Uint8Array;

/**
 * Copies the typed arrays of a message into one new buffer. Arrays from the engine are views of a large buffer, which
 * would be sent once per array. VS Code also stores the number of buffers in a message in one byte, so that it drops
 * all but the first few of 254 or more; a trace has at least one per token.
 */
export function ownBuffers(message: Message): Message {
  const offsets = new Map<Numbers, number>();
  let size = 0;
  visit(message, (numbers) => {
    if (offsets.has(numbers)) return;
    offsets.set(numbers, size);
    // Floats must start at a multiple of 4 bytes.
    size += Math.ceil(numbers.byteLength / 4) * 4;
  });
  const buffer = new ArrayBuffer(size);
  const copy = (numbers: Numbers): Numbers => {
    const start = offsets.get(numbers) as number;
    new Uint8Array(buffer, start, numbers.byteLength).set(
      new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength),
    );
    if (numbers instanceof Float32Array) return new Float32Array(buffer, start, numbers.length);
    if (numbers instanceof Uint32Array) return new Uint32Array(buffer, start, numbers.length);
    return new Uint8Array(buffer, start, numbers.length);
  };
  return visit(message, copy) as Message;
}

/** Returns a copy of the value in which `each` has replaced the typed arrays. */
function visit(value: unknown, each: (numbers: Numbers) => unknown): unknown {
  if (value instanceof Float32Array || value instanceof Uint32Array || value instanceof Uint8Array) return each(value);
  if (Array.isArray(value)) return value.length > 0 && isPlain(value[0]) ? value : value.map((one) => visit(one, each));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, visit(member, each)]));
}

const isPlain = (value: unknown) => typeof value !== "object";
