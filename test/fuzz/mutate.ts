/** Random changes of files: of their bytes, of their text, and of the values in their JSON. */

import type { Random } from "../../src/engine/random";

const among = <T>(values: readonly T[], { below }: Random): T => values[below(values.length)] as T;

/** Changes a file as its name suggests. JSON is changed as text too, one time in four. */
export function mutated(name: string, whole: Buffer, draw: Random): Buffer {
  if (!/\.jsonl?$/.test(name) || draw.below(4) === 0) return mutatedBytes(whole, draw);
  if (name.endsWith(".json")) return Buffer.from(mutatedJson(whole.toString(), draw));
  const lines = whole.toString().split("\n");
  const i = draw.below(lines.length);
  lines[i] = lines[i] ? mutatedJson(lines[i] as string, draw) : "[".repeat(draw.below(50_000));
  return Buffer.from(lines.join("\n"));
}

/** Numbers at which sizes and offsets go wrong. */
const LIMITS = [0n, 1n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 40n, 2n ** 32n - 1n, 2n ** 31n, 2n ** 16n];

/** Changes, cuts, repeats or removes bytes, in the first two kilobytes (headers) half of the time. */
export function mutatedBytes(whole: Buffer, draw: Random): Buffer {
  const { below } = draw;
  const at = () => below(below(2) === 0 ? Math.min(whole.length, 2048) : whole.length);
  const copy = Buffer.from(whole);
  const start = at();
  switch (below(6)) {
    case 0:
      for (let i = 0; i <= below(4); i++) copy[at()] = below(256);
      return copy;
    case 1:
      copy[start] = (copy[start] ?? 0) ^ (1 << below(8));
      return copy;
    case 2:
      return whole.subarray(0, start);
    case 3:
      return Buffer.concat([whole.subarray(0, start), whole.subarray(start + 1 + below(16))]);
    case 4:
      return Buffer.concat([
        whole.subarray(0, at()),
        whole.subarray(start, start + 1 + below(64)),
        whole.subarray(at()),
      ]);
    default:
      if (copy.length >= 8) copy.writeBigUInt64LE(among(LIMITS, draw), Math.min(start, copy.length - 8));
      return copy;
  }
}

const STRANGE: readonly unknown[] = [
  null,
  0,
  -1,
  0.5,
  3,
  512,
  65_536,
  2 ** 31,
  1e15,
  1e300,
  -1e300,
  true,
  false,
  "",
  "auto",
  "\u0000\u001b[31m\n\u2028\u202e",
  "\\|`![x](http://127.0.0.1/y)<img src=x onerror=alert(1)>",
  "(a+)+$",
  "../../../etc/passwd",
  "x".repeat(100_000),
  [],
  [[]],
  [null],
  [1e9, 1e9],
  {},
  { type: "Replace", pattern: { String: "a" }, content: "aa" },
  { type: "Sequence", normalizers: null },
  { rope_type: "yarn" },
  { rope_type: "linear", factor: "4" },
  { __proto__: null, constructor: { prototype: 1 } },
];

/** Replaces, removes, renames, repeats or nests values of a JSON text; sometimes as only Python writes them. */
function mutatedJson(text: string, draw: Random): string {
  const root = { value: JSON.parse(text) as unknown };
  // A repeated value is shared, so that a later change of it would count many times.
  for (let changes = 1 + draw.below(3); changes > 0 && change(root, draw) !== "repeated"; changes--);
  const json = JSON.stringify(root.value) ?? "";
  const python = ["NaN", "Infinity", "-Infinity"] as const;
  return draw.below(20) === 0 ? json.replace(/:\s*-?\d+/, `: ${among(python, draw)}`) : json;
}

/** Characters of JSON. */
const LARGEST_REPEATED = 5e6;

/** Walks down at random and changes what it arrives at. */
function change(root: { value: unknown }, draw: Random): "repeated" | "changed" {
  let parent: Record<string, unknown> = root;
  let key = "value";
  for (let depth = draw.below(8); depth > 0; depth--) {
    const value = parent[key];
    if (typeof value !== "object" || value === null || Object.keys(value).length === 0) break;
    parent = value as Record<string, unknown>;
    key = among(Object.keys(parent), draw);
  }
  const kind = draw.below(8);
  if (kind === 0) delete parent[key];
  else if (kind === 1) {
    parent[`${key}\u0007`] = parent[key];
    delete parent[key];
  } else if (kind === 2) {
    let nested = parent[key];
    for (let depth = 10 ** (1 + draw.below(3)); depth > 0; depth--) nested = [nested];
    parent[key] = nested;
  } else if (kind === 3) {
    // The fuzzer itself must stay below the limit of memory.
    const most = Math.floor(LARGEST_REPEATED / (JSON.stringify(parent[key]) ?? "").length);
    const value = parent[key];
    parent[key] = Array.from({ length: Math.min(1 + draw.below(2000), most) }, () => value);
    return "repeated";
  } else {
    // A copy, because later changes may go into it.
    parent[key] = structuredClone(among(STRANGE, draw));
  }
  return "changed";
}
