/** The active interventions with their undo history, as pure state that survives a reload of the window. */

import type { Intervention } from "../../src/protocol/traceApi";

/** Patches name the text that they take values from: trace numbers do not survive a reload. */
export type ActiveIntervention = Intervention<string>;

export interface InterventionHistory {
  /** The lists before `list`, the oldest first. */
  readonly past: readonly (readonly ActiveIntervention[])[];
  readonly list: readonly ActiveIntervention[];
  /** The lists that were undone, the next one first. */
  readonly future: readonly (readonly ActiveIntervention[])[];
  /** Names the gesture of the latest change, such as one drag of a slider; "" if there is none. */
  readonly gesture: string;
}

export const NO_INTERVENTIONS: InterventionHistory = { past: [], list: [], future: [], gesture: "" };

const MAX_UNDO = 50;

/** The history after a change. Changes of one `gesture` are undone together. */
export function changed(
  { past, list, gesture: before }: InterventionHistory,
  next: readonly ActiveIntervention[],
  gesture = "",
): InterventionHistory {
  const isContinued = gesture !== "" && gesture === before;
  return { past: isContinued ? past : [...past, list].slice(-MAX_UNDO), list: next, future: [], gesture };
}

/** The history one step back; the same one if there is nothing to undo. */
export function undone(history: InterventionHistory): InterventionHistory {
  const { past, list, future } = history;
  const before = past.at(-1);
  return before ? { past: past.slice(0, -1), list: before, future: [list, ...future], gesture: "" } : history;
}

/** The history one step forward; the same one if there is nothing to redo. */
export function redone(history: InterventionHistory): InterventionHistory {
  const { past, list, future } = history;
  const [next, ...rest] = future;
  return next ? { past: [...past, list], list: next, future: rest, gesture: "" } : history;
}

/** The change that a key combination makes, as in editors; null for other keys. */
export function historyKey(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? redone : undone;
  return key === "y" && !event.shiftKey ? redone : null;
}

/**
 * The history that stays on a new trace. Checkpoints are the same model; another model has other parts, and another text has other positions, so that
 * patches end there.
 */
export function keptFor(
  { past, list, future, gesture }: InterventionHistory,
  { isSameModel, isSameText }: { readonly isSameModel: boolean; readonly isSameText: boolean },
): InterventionHistory {
  if (!isSameModel) return NO_INTERVENTIONS;
  if (isSameText) return { past, list, future, gesture };
  const scales = (of: readonly ActiveIntervention[]) => of.filter(({ kind }) => kind === "scale");
  const now = scales(list);
  const [before, after] = [past.map(scales), future.map(scales)];
  return {
    // Steps that only changed patches are no steps any more.
    past: before.filter((each, i) => !isSame(each, before[i + 1] ?? now)),
    list: now,
    future: after.filter((each, i) => !isSame(each, after[i - 1] ?? now)),
    gesture: "",
  };
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Writes a history for the page's saved state. `model` is the name of the model that it belongs to. */
export const savedHistory = ({ past, list, future }: InterventionHistory, model: string): string =>
  past.length + list.length + future.length === 0 ? "" : JSON.stringify({ model, past, list, future });

/** Reads what `savedHistory` wrote. Another version of the extension may have written it: unknown content is ignored. */
export function readHistory(saved: string): { readonly model: string; readonly history: InterventionHistory } {
  const unknown = { model: "", history: NO_INTERVENTIONS };
  try {
    const { model, past, list, future } = JSON.parse(saved) as Record<string, unknown>;
    if (typeof model !== "string" || !isLists(past) || !isLists([list]) || !isLists(future)) return unknown;
    return { model, history: { past, list: list as ActiveIntervention[], future, gesture: "" } };
  } catch {
    return unknown;
  }
}

const isLists = (value: unknown): value is ActiveIntervention[][] =>
  Array.isArray(value) && value.every((list) => Array.isArray(list) && list.every(isIntervention));

function isIntervention(value: unknown): value is ActiveIntervention {
  const { kind, part, factor, value: patched, position, from } = (value ?? {}) as Record<string, unknown>;
  if (kind === "scale") return isInLayer(part) && typeof factor === "number";
  const source = (from ?? {}) as Record<string, unknown>;
  return (
    kind === "patch" &&
    isInLayer(patched) &&
    isIndex(position) &&
    typeof source.trace === "string" &&
    isIndex(source.position)
  );
}

function isInLayer(value: unknown): boolean {
  const { kind, layer, head } = (value ?? {}) as Record<string, unknown>;
  return typeof kind === "string" && isIndex(layer) && (kind.toLowerCase().endsWith("head") ? isIndex(head) : true);
}

const isIndex = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
