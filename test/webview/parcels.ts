/**
 * Large arrays in messages to a page. The browser's debugging protocol carries only text, so the page fetches large
 * arrays as binary data instead.
 */

const KINDS = { Float32Array, Uint32Array, Int32Array, Uint8Array } as const;
type Kind = keyof typeof KINDS;

/** Stands for an array in a message. */
interface Parcel {
  /** The URL to fetch. */
  readonly parcel: string;
  readonly of: Kind;
}

/** The size in bytes from which fetching is cheaper than text. */
const LARGE = 16_384;

/** The message with its large arrays replaced by URLs, which `send` returns. */
export function packed(value: unknown, send: (bytes: Uint8Array) => string): unknown {
  if (ArrayBuffer.isView(value)) {
    const of = Object.keys(KINDS).find((kind) => value.constructor.name === kind);
    if (!of || value.byteLength < LARGE) return value;
    return { parcel: send(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)), of };
  }
  return mapped(value, (each) => packed(each, send));
}

/** The message with its arrays fetched and restored. */
export async function unpacked(value: unknown, fetched: (parcel: string) => Promise<ArrayBuffer>): Promise<unknown> {
  const parcels = new Map<string, ArrayBuffer>();
  const find = async (within: unknown): Promise<void> => {
    if (isParcel(within)) parcels.set(within.parcel, await fetched(within.parcel));
    else if (isPlain(within)) for (const each of Object.values(within)) await find(each);
  };
  const restored = (within: unknown): unknown =>
    isParcel(within)
      ? new KINDS[within.of](parcels.get(within.parcel) as ArrayBuffer)
      : mapped(within, (each) => restored(each));
  await find(value);
  return restored(value);
}

const isPlain = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value);

const isParcel = (value: unknown): value is Parcel => isPlain(value) && "parcel" in value && "of" in value;

function mapped(value: unknown, change: (each: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(change);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, change(each)]));
}
