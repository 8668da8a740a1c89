/** Rounds float32 to the nearest float16, ties to even; values must be in range. Fast enough for a billion of them. */
export function toFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(values.length);
  const scaled = new Float32Array(1);
  const bits = new Uint32Array(scaled.buffer);
  for (let i = 0; i < values.length; i++) {
    // Shifts float32's exponents to float16's, including subnormals, so that 13 bits are left to round.
    scaled[0] = (values[i] as number) * 2 ** -112;
    const b = bits[0] as number;
    const size = b & 0x7fffffff;
    halves[i] = ((b >>> 16) & 0x8000) | ((size + 0xfff + ((size >>> 13) & 1)) >>> 13);
  }
  return halves;
}
