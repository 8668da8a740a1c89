/**
 * Decodes the quantized types of GGUF. All of them are integers with a scale, and in some types a minimum, for each group
 * of 16 or 32 values: value = scale * q + min, computed in float32.
 *
 * Layouts: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/quants.py
 */

import { GGUF_TYPES, type GgufBlocks } from "./ggufTypes";
import { float16At } from "./halves";
import { type Bits, blockBytes, firstCode, type Quantized } from "./quantize";

/** The content of blocks, group by group. */
interface Groups {
  readonly q: Int8Array;
  readonly scales: Float32Array<ArrayBuffer>;
  readonly mins: Float32Array<ArrayBuffer>;
}

interface Layout {
  /** Bits of our code for a value. */
  readonly bits: Bits;
  /** Number of values with one scale. */
  readonly group: 16 | 32;
  readonly hasMins: boolean;
  /** Decodes the block at byte `at` into the groups from number `g`. */
  readonly unpack: (bytes: Uint8Array, at: number, into: Groups, g: number) => void;
}

/** Values of 4-bit codes that are not evenly spaced. */
const NON_LINEAR = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/** Twice the values of floats with 1 sign bit, 2 exponent bits and 1 fraction bit. */
const E2M1_DOUBLED = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

const LAYOUTS: Readonly<Record<GgufBlocks, Layout>> = {
  Q8_0: {
    ...{ bits: 8, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      scales[g] = float16At(bytes, at);
      for (let i = 0; i < 32; i++) q[32 * g + i] = bytes[at + 2 + i] as number;
    },
  },
  Q4_0: {
    ...{ bits: 4, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      scales[g] = float16At(bytes, at);
      nibbles(bytes, at + 2, q, 32 * g, 8);
    },
  },
  Q4_1: {
    ...{ bits: 4, group: 32, hasMins: true },
    unpack(bytes, at, { q, scales, mins }, g) {
      scales[g] = float16At(bytes, at);
      mins[g] = float16At(bytes, at + 2);
      nibbles(bytes, at + 4, q, 32 * g, 0);
    },
  },
  Q5_0: {
    ...{ bits: 8, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      scales[g] = float16At(bytes, at);
      nibbles(bytes, at + 6, q, 32 * g, 16);
      fifthBits(bytes, at + 2, q, 32 * g);
    },
  },
  Q5_1: {
    ...{ bits: 8, group: 32, hasMins: true },
    unpack(bytes, at, { q, scales, mins }, g) {
      scales[g] = float16At(bytes, at);
      mins[g] = float16At(bytes, at + 2);
      nibbles(bytes, at + 8, q, 32 * g, 0);
      fifthBits(bytes, at + 4, q, 32 * g);
    },
  },
  Q2_K: {
    ...{ bits: 4, group: 16, hasMins: true },
    unpack(bytes, at, { q, scales, mins }, g) {
      const [d, dMin] = [float16At(bytes, at + 80), float16At(bytes, at + 82)];
      for (let k = 0; k < 16; k++) {
        const packed = bytes[at + k] as number;
        scales[g + k] = d * (packed & 15);
        mins[g + k] = -(dMin * (packed >>> 4));
      }
      pairsOfBits(bytes, at + 16, q, 16 * g);
    },
  },
  Q3_K: {
    ...{ bits: 4, group: 16, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      const d = float16At(bytes, at + 108);
      for (let k = 0; k < 16; k++) {
        const low = ((bytes[at + 96 + (k % 8)] as number) >>> (k < 8 ? 0 : 4)) & 15;
        const high = ((bytes[at + 104 + (k % 4)] as number) >>> (2 * (k >>> 2))) & 3;
        scales[g + k] = d * ((low | (high << 4)) - 32);
      }
      pairsOfBits(bytes, at + 32, q, 16 * g);
      // A third bit that is 0 subtracts 4.
      for (let i = 0; i < 256; i++) {
        const third = ((bytes[at + (i & 31)] as number) >>> (i >>> 5)) & 1;
        q[16 * g + i] = (q[16 * g + i] as number) - 4 * (1 - third);
      }
    },
  },
  Q4_K: {
    ...{ bits: 4, group: 32, hasMins: true },
    unpack(bytes, at, groups, g) {
      sixBitScales(bytes, at, groups, g);
      nibbleRows(bytes, at + 16, groups.q, 32 * g);
    },
  },
  Q5_K: {
    ...{ bits: 8, group: 32, hasMins: true },
    unpack(bytes, at, groups, g) {
      const { q } = groups;
      sixBitScales(bytes, at, groups, g);
      nibbleRows(bytes, at + 48, q, 32 * g);
      for (let i = 0; i < 256; i++) {
        const fifth = ((bytes[at + 16 + (i & 31)] as number) >>> (i >>> 5)) & 1;
        q[32 * g + i] = (q[32 * g + i] as number) | (fifth << 4);
      }
    },
  },
  Q6_K: {
    ...{ bits: 8, group: 16, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      const d = float16At(bytes, at + 208);
      for (let k = 0; k < 16; k++) scales[g + k] = d * signed(bytes[at + 192 + k] as number);
      for (let i = 0; i < 256; i++) {
        // Each half of 128 values has four rows of 32.
        const [half, row, column] = [i >>> 7, (i >>> 5) & 3, i & 31];
        const low = bytes[at + 64 * half + 32 * (row & 1) + column] as number;
        const high = (bytes[at + 128 + 32 * half + column] as number) >>> (2 * row);
        q[16 * g + i] = ((low >>> (row < 2 ? 0 : 4)) & 15) + ((high & 3) << 4) - 32;
      }
    },
  },
  IQ4_NL: {
    ...{ bits: 8, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      scales[g] = float16At(bytes, at);
      nibbles(bytes, at + 2, q, 32 * g, 0);
      lookUp(NON_LINEAR, q, 32 * g);
    },
  },
  IQ4_XS: {
    ...{ bits: 8, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      const d = float16At(bytes, at);
      for (let k = 0; k < 8; k++) {
        const low = ((bytes[at + 4 + (k >>> 1)] as number) >>> (4 * (k & 1))) & 15;
        const high = ((bytes[at + 2 + (k >>> 2)] as number) >>> (2 * (k & 3))) & 3;
        scales[g + k] = d * ((low | (high << 4)) - 32);
        nibbles(bytes, at + 8 + 16 * k, q, 32 * (g + k), 0);
        lookUp(NON_LINEAR, q, 32 * (g + k));
      }
    },
  },
  MXFP4: {
    ...{ bits: 8, group: 32, hasMins: false },
    unpack(bytes, at, { q, scales }, g) {
      scales[g] = 2 ** ((bytes[at] as number) - 128);
      nibbles(bytes, at + 1, q, 32 * g, 0);
      lookUp(E2M1_DOUBLED, q, 32 * g);
    },
  },
};

const signed = (byte: number) => (byte << 24) >> 24;

/** 32 values from 16 bytes: value i is the low half of byte i, value i + 16 its high half, both less `minus`. */
function nibbles(bytes: Uint8Array, at: number, q: Int8Array, to: number, minus: number): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + i] as number;
    q[to + i] = (pair & 15) - minus;
    q[to + i + 16] = (pair >>> 4) - minus;
  }
}

/** Adds bit i of 4 bytes to value i as its fifth bit. */
function fifthBits(bytes: Uint8Array, at: number, q: Int8Array, to: number): void {
  for (let i = 0; i < 32; i++) {
    const bit = ((bytes[at + (i >>> 3)] as number) >>> (i & 7)) & 1;
    q[to + i] = (q[to + i] as number) + 16 * bit;
  }
}

/** 256 values from 64 bytes. Each half of 32 bytes has four rows of 32 values, the lowest bits first. */
function pairsOfBits(bytes: Uint8Array, at: number, q: Int8Array, to: number): void {
  for (let i = 0; i < 256; i++) {
    q[to + i] = ((bytes[at + 32 * (i >>> 7) + (i & 31)] as number) >>> (2 * ((i >>> 5) & 3))) & 3;
  }
}

/** 256 values from 128 bytes: each 32 bytes have 32 values in their low halves, then 32 in their high halves. */
function nibbleRows(bytes: Uint8Array, at: number, q: Int8Array, to: number): void {
  for (let i = 0; i < 256; i++) {
    q[to + i] = ((bytes[at + 32 * (i >>> 6) + (i & 31)] as number) >>> ((i >>> 3) & 4)) & 15;
  }
}

/** Scales and minimums of Q4_K and Q5_K: two F16 factors, then eight pairs of 6 bits in 12 bytes. */
function sixBitScales(bytes: Uint8Array, at: number, { scales, mins }: Groups, g: number): void {
  const [d, dMin] = [float16At(bytes, at), float16At(bytes, at + 2)];
  const packed = (i: number) => bytes[at + 4 + i] as number;
  for (let k = 0; k < 8; k++) {
    const [scale, min] =
      k < 4
        ? [packed(k) & 63, packed(k + 4) & 63]
        : [(packed(k + 4) & 15) | ((packed(k - 4) >>> 6) << 4), (packed(k + 4) >>> 4) | ((packed(k) >>> 6) << 4)];
    scales[g + k] = d * scale;
    mins[g + k] = -(dMin * min);
  }
}

function lookUp(values: readonly number[], q: Int8Array, to: number): void {
  for (let i = 0; i < 32; i++) q[to + i] = values[q[to + i] as number] as number;
}

/** Bits, values per scale, and whether groups have minimums, of the layout that a type is converted to. */
export const layoutOf = (type: GgufBlocks): Pick<Layout, "bits" | "group" | "hasMins"> => LAYOUTS[type];

/** Converts whole blocks to our layout, exactly. */
export function convertBlocks(type: GgufBlocks, bytes: Uint8Array): Quantized {
  const { bits, group, hasMins, unpack } = LAYOUTS[type];
  const { block, bytes: size } = GGUF_TYPES[type];
  const blocks = bytes.length / size;
  const groups = (blocks * block) / group;
  const into: Groups = {
    q: new Int8Array(blocks * block),
    scales: new Float32Array(groups),
    mins: new Float32Array(hasMins ? groups : 0),
  };
  for (let b = 0; b < blocks; b++) unpack(bytes, b * size, into, (b * block) / group);
  const codes = packCodes(into.q, bits, firstCode(bits, group, hasMins));
  return { codes, scales: into.scales, ...(hasMins && { mins: into.mins }) };
}

function packCodes(q: Int8Array, bits: Bits, first: number): Uint8Array<ArrayBuffer> {
  const codes = new Uint8Array(blockBytes(bits, q.length));
  if (bits === 8) {
    for (let i = 0; i < q.length; i++) codes[i] = (q[i] as number) + first;
  } else {
    for (let i = 0; i < codes.length; i++)
      codes[i] = ((q[2 * i] as number) + first) | (((q[2 * i + 1] as number) + first) << 4);
  }
  return codes;
}
