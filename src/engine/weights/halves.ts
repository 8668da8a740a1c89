/** Half precision to float32, fast enough for a billion values. */

/** bfloat16 is the upper half of float32. Answers `into`, filled from `at` on. */
export function bfloat16ToFloat32(halves: Uint16Array, into: Float32Array, at = 0): Float32Array {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < halves.length; i++) bits[at + i] = (halves[i] as number) << 16;
  return into;
}

/** Answers `into`, filled from `at` on. */
export function float16ToFloat32(halves: Uint16Array, into: Float32Array, at = 0): Float32Array {
  const values = float16Values();
  for (let i = 0; i < halves.length; i++) into[at + i] = values[halves[i] as number] as number;
  return into;
}

let table: Float32Array | undefined;

/** What each of the 65,536 halves stands for: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction. */
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
