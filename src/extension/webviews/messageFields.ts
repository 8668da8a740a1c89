/** Reads the fields of what a page sent, each with what it must be. */

type Fields = Readonly<Record<string, unknown>>;

export const fields = (params: unknown): Fields => {
  if (typeof params !== "object" || params === null) throw new Error("The view sent no parameters.");
  // An object that is not null can be read by any key.
  return params as Fields;
};

export function flag(params: unknown, name: string): boolean {
  const value = fields(params)[name];
  if (typeof value !== "boolean") throw new Error(`The view sent a ${name} that is not true or false.`);
  return value;
}

export function text(params: unknown, name: string, longest: number): string {
  const value = fields(params)[name];
  if (typeof value !== "string" || value.length > longest) {
    throw new Error(`The view sent a ${name} that is not a text of at most ${longest} characters.`);
  }
  return value;
}

export function index(params: unknown, name: string): number {
  const value = fields(params)[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`The view sent a ${name} that is not a whole number.`);
  }
  return value;
}

/** Of a folder's path. */
export const LONGEST_PATH = 4096;

/** A number that is one: neither NaN nor endless. */
export function finite(params: unknown, name: string): number {
  const value = fields(params)[name];
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new Error(`The view sent a ${name} that is not a number.`);
  }
  return value;
}

/** A list of at most so many, each read by `read`. */
export function list<T>(params: unknown, name: string, most: number, read: (item: unknown) => T): T[] {
  const value = fields(params)[name];
  if (!Array.isArray(value) || value.length > most) {
    throw new Error(`The view sent ${name} that are not a list of at most ${most}.`);
  }
  return value.map(read);
}

/** One of a few words. */
export function choice<T extends string>(params: unknown, name: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === fields(params)[name]);
  if (found === undefined) throw new Error(`The view sent a ${name} that is none of ${choices.join(", ")}.`);
  return found;
}

/** Whole numbers from 0, as lists of them are sent. */
export function whole(item: unknown): number {
  if (typeof item !== "number" || !Number.isSafeInteger(item) || item < 0) {
    throw new Error("The view sent a list with something in it that is not a whole number.");
  }
  return item;
}

/** A field that may be left out. */
export function optional<Name extends string, T>(
  params: unknown,
  name: Name,
  read: (params: unknown, name: Name) => T,
): { [N in Name]?: T } {
  // One field of the name, which TypeScript widens to any string.
  return fields(params)[name] === undefined ? {} : ({ [name]: read(params, name) } as { [N in Name]?: T });
}
