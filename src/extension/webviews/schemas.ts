/** Schemas of what pages send. A page shows text from anywhere, so its messages are not trusted. */

import * as v from "valibot";
import { excerpt } from "../../text/untrusted";

/** A check of the parameters of a message. It drops fields that are not in `entries`. */
export const fields = <const Entries extends v.ObjectEntries>(entries: Entries) => {
  const schema = v.object(entries);
  return (params: unknown): v.InferOutput<typeof schema> => {
    const { success, issues, output } = v.safeParse(schema, params, { abortEarly: true });
    if (success) return output;
    const path = v.getDotPath(issues[0]);
    throw new Error(
      `The view sent an invalid ${path ? `parameter (${excerpt(path, 80)})` : "message"}. Close and reopen it.`,
    );
  };
};

export const noParams = () => ({});

/** A whole number of at least 0. */
export const index = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A whole number of at least 0, lowered to `max`. */
export const upTo = (max: number) =>
  v.pipe(
    index,
    v.transform((value) => Math.min(value, max)),
  );

export const finite = v.pipe(v.number(), v.finite());

export const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));

export const list = <Item extends v.GenericSchema>(item: Item, maxLength: number) =>
  v.pipe(v.array(item), v.maxLength(maxLength));

/** The path of a model folder. */
export const folder = text(4096);
