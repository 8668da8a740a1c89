/** Formats a value as one line of JSON, with typed arrays as lists. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, each: unknown) => (isNumbers(each) ? [...each] : each));

const isNumbers = (value: unknown): value is Float32Array | Uint32Array | Uint8Array =>
  value instanceof Float32Array || value instanceof Uint32Array || value instanceof Uint8Array;
