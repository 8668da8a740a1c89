/** float32 to the nearest float16, ties to even; for values that float16 can have. */
export function toFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  // 2^-112 takes float32's exponents to where float16 has them, subnormal ones included: 13 bits are left to round.
  const bits = new Uint32Array(Float32Array.from(values, (x) => x * 2 ** -112).buffer);
  return Uint16Array.from(bits, (b) => {
    const size = b & 0x7fffffff;
    return ((b >>> 16) & 0x8000) | ((size + 0xfff + ((size >>> 13) & 1)) >>> 13);
  });
}
