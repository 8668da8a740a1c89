/** Converts half precision to float32, fast enough for a billion values. */

/** Fills `into` from index `at` and returns it. bfloat16 is the upper half of float32. */
export function bfloat16ToFloat32(halves: Uint16Array, into: Float32Array, at = 0): Float32Array {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < halves.length; i++) bits[at + i] = (halves[i] as number) << 16;
  return into;
}

/** Fills `into` from index `at` and returns it. */
export function float16ToFloat32(halves: Uint16Array, into: Float32Array, at = 0): Float32Array {
  const values = float16Values();
  for (let i = 0; i < halves.length; i++) into[at + i] = values[halves[i] as number] as number;
  return into;
}

/** Reads the little-endian float16 at byte `at`. */
export function float16At(bytes: Uint8Array, at: number): number {
  return float16Values()[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;
}

let table: Float32Array | undefined;

/** The value of each of the 65,536 bit patterns: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits. */
function float16Values(): Float32Array {
  table ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
  return table;
}
