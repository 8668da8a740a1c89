/**
 * The engine's only source of randomness: streams of numbers that depend only on a seed and a label, so that a training
 * run can be repeated, resumed, and moved to another device.
 */

/** A stream of pseudo-random numbers. */
export interface Random {
  /** Uniform in [0, 1), with 32 random bits. */
  uniform(): number;
  /** Uniform integer in [0, n). */
  below(n: number): number;
  /** Standard normal. */
  normal(): number;
}

/**
 * Returns the stream of a seed and a label: `random(seed, "batch", step)` is always the same and independent of all other
 * labels. sfc32 (C. Doty-Humphrey, PractRand), seeded with a hash of the label.
 */
export function random(seed: number, ...label: readonly (string | number)[]): Random {
  let [a, b, c] = hash(`${seed}/${label.join("/")}`);
  let counter = 1;

  const next = (): number => {
    const t = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) next();

  const uniform = () => next() / 2 ** 32;
  return {
    uniform,
    below: (n) => Math.floor(uniform() * n),
    // Box-Muller transform; 1 - u keeps the logarithm finite.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}

/** 96-bit hash of a string: cyrb128 (bryc, public domain). */
function hash(text: string): [number, number, number] {
  let [h1, h2, h3, h4] = [1779033703, 3144134277, 1013904242, 2773480762];
  for (let i = 0; i < text.length; i++) {
    const k = text.charCodeAt(i);
    h1 = h2 ^ Math.imul(h1 ^ k, 597399067);
    h2 = h3 ^ Math.imul(h2 ^ k, 2869860233);
    h3 = h4 ^ Math.imul(h3 ^ k, 951274213);
    h4 = h1 ^ Math.imul(h4 ^ k, 2716044179);
  }
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597399067);
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2869860233);
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951274213);
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2716044179);
  return [h1 ^ h2 ^ h3 ^ h4, h2 ^ h1, h3 ^ h1];
}
