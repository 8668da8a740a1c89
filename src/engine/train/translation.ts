/** What goes into an encoder-decoder besides ids: where the tokens of sequences stand. */

/** [B, length]: 0 where a row has a token, -1e9 where padding fills it up; its softmax is exactly 0. */
export function paddingMask(lengths: readonly number[], length: number): Float32Array {
  const mask = new Float32Array(lengths.length * length);
  lengths.forEach((own, row) => {
    mask.fill(-1e9, row * length + own, (row + 1) * length);
  });
  return mask;
}
