/** Handwritten pickles, including invalid ones, as Latin-1 strings of their operations. */

const bytes = (length: number, write: (buffer: Buffer) => void): string => {
  const buffer = Buffer.alloc(length);
  write(buffer);
  return buffer.toString("latin1");
};
export const u8 = (n: number) => bytes(1, (b) => b.writeUInt8(n));
export const u16 = (n: number) => bytes(2, (b) => b.writeUInt16LE(n));
export const u32 = (n: number) => bytes(4, (b) => b.writeUInt32LE(n));
export const u64 = (n: bigint) => bytes(8, (b) => b.writeBigUInt64LE(n));

export const global = (module: string, name: string) => `c${module}\n${name}\n`;
export const text = (s: string) => `X${u32(s.length)}${s}`;
export const int = (n: number) => `J${bytes(4, (b) => b.writeInt32LE(n))}`;
/** An integer of 8 bytes. */
export const long = (n: bigint) => `\x8a${u8(8)}${bytes(8, (b) => b.writeBigInt64LE(n))}`;
export const tuple = (...items: string[]) => `(${items.join("")}t`;
export const dict = (...items: string[]) => `}(${items.join("")}u`;
export const ints = (...values: number[]) => tuple(...values.map(int));

export const storage = ({
  type = global("torch", "FloatStorage"),
  key = text("0"),
  elements = int(4),
  view = "",
} = {}) => `${tuple(text("storage"), type, key, text("cpu"), elements, view)}Q`;

/** A [2, 2] tensor in a storage of 4 elements, with overrides. */
export const tensor = ({ of = storage(), start = int(0), shape = ints(2, 2), strides = ints(2, 1) } = {}) =>
  `${global("torch._utils", "_rebuild_tensor_v2")}${tuple(of, start, shape, strides, "\x89", "}")}R`;

export const pickle = (body: string) => Buffer.from(`\x80\x02${body}.`, "latin1");
/** A model with one tensor, `w`. */
export const model = (w = tensor()) => pickle(dict(text("w"), w));

/** torch.save's format before zip archives. */
export function legacyFile({
  magic = pickle(`\x8a\x0a${Buffer.from("6cfc9c46f9206aa85019", "hex").toString("latin1")}`),
  version = pickle(int(1001)),
  system = pickle(dict(text("little_endian"), "\x88")),
  value = model(),
  keys = pickle(`](${text("0")}e`),
  data = Buffer.concat([Buffer.from(u64(4n), "latin1"), Buffer.alloc(16)]),
} = {}): Buffer {
  return Buffer.concat([magic, version, system, value, keys, data]);
}
