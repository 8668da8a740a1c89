/** Handwritten zip archives with the offsets of their parts, so that tests can damage them. */

interface ZipLayout {
  /** Offset of each local header. */
  readonly locals: readonly number[];
  /** Offset of each directory entry. */
  readonly central: readonly number[];
  readonly directory: number;
  readonly end: number;
}

export type Spoil = (bytes: Buffer, layout: ZipLayout) => Buffer | undefined;

/** An archive of uncompressed entries. The checksums are zero, since nothing reads them. */
export function zipFile(entries: readonly (readonly [name: string, data: Uint8Array])[], spoil?: Spoil): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  const add = (part: Uint8Array): number => {
    parts.push(Buffer.from(part));
    at += part.length;
    return at - part.length;
  };
  const locals = entries.map(([name, data]) => {
    const header = Buffer.alloc(30);
    header.write("PK\x03\x04", "latin1");
    header.writeUInt32LE(data.length, 18);
    header.writeUInt32LE(data.length, 22);
    header.writeUInt16LE(Buffer.byteLength(name), 26);
    const start = add(header);
    add(Buffer.from(name));
    add(data);
    return start;
  });
  const directory = at;
  const central = entries.map(([name, data], i) => {
    const header = Buffer.alloc(46);
    header.write("PK\x01\x02", "latin1");
    header.writeUInt32LE(data.length, 20);
    header.writeUInt32LE(data.length, 24);
    header.writeUInt16LE(Buffer.byteLength(name), 28);
    header.writeUInt32LE(locals[i]!, 42);
    const start = add(header);
    add(Buffer.from(name));
    return start;
  });
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  for (const field of [8, 10]) end.writeUInt16LE(Math.min(entries.length, 0xffff), field);
  end.writeUInt32LE(at - directory, 12);
  end.writeUInt32LE(directory, 16);
  const endAt = add(end);
  const bytes = Buffer.concat(parts);
  return spoil?.(bytes, { locals, central, directory, end: endAt }) ?? bytes;
}

/** A pickle and one storage of 4 floats in the layout of torch.save. */
export const torchZip = (pickle: Uint8Array, spoil?: Spoil, more: readonly (readonly [string, Uint8Array])[] = []) =>
  zipFile([["m/data.pkl", pickle], ["m/data/0", new Uint8Array(16)], ...more], spoil);
