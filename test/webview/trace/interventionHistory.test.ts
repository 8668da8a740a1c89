import { expect, test } from "vitest";
import {
  type ActiveIntervention,
  changed,
  historyKey,
  keptFor,
  NO_INTERVENTIONS,
  readHistory,
  redone,
  savedHistory,
  undone,
} from "../../../webview/trace/interventionHistory";

const scale = (layer: number, factor = 0): ActiveIntervention => ({
  kind: "scale",
  part: { kind: "mlp", layer },
  factor,
});
const patch: ActiveIntervention = {
  kind: "patch",
  value: { kind: "head", layer: 1, head: 2 },
  position: 3,
  from: { trace: "the cat", position: 2 },
};
/** The history after several changes, each with its own list. */
const after = (...lists: readonly (readonly ActiveIntervention[])[]) =>
  lists.reduce((history, list) => changed(history, list), NO_INTERVENTIONS);

test("undo and redo restore the lists in order, and stop at both ends", () => {
  const history = after([scale(0)], [scale(0), patch]);
  const back = undone(history);
  expect(back.list).toEqual([scale(0)]);
  expect(undone(back).list).toEqual([]);
  expect(undone(undone(undone(back))).list).toEqual([]);
  expect(redone(redone(undone(back)))).toEqual({ ...history, gesture: "" });
  expect(redone(history)).toBe(history);
});

test("a change after an undo discards what was undone", () => {
  const history = changed(undone(after([scale(0)], [scale(1)])), [scale(2)]);
  expect([history.past, history.future]).toEqual([[[], [scale(0)]], []]);
});

test("the changes of one drag are undone together, and those of the next drag separately", () => {
  const dragged = [0.9, 0.5, 0.2].reduce(
    (history, factor) => changed(history, [scale(0, factor)], "factor 0"),
    NO_INTERVENTIONS,
  );
  expect(undone(dragged).list).toEqual([]);
  const again = changed(dragged, [scale(0, 2)], "factor 1");
  expect(undone(again).list).toEqual([scale(0, 0.2)]);
  // Undoing ends a drag: a change under the same name is a new step.
  expect(undone(changed(undone(again), [scale(0, 3)], "factor 1")).list).toEqual([scale(0, 0.2)]);
});

test("fifty steps can be undone", () => {
  const history = after(...Array.from({ length: 60 }, (_, i) => [scale(i)]));
  expect([history.past.length, history.past[0]]).toEqual([50, [scale(9)]]);
});

test("Ctrl+Z or Cmd+Z undoes, Ctrl+Shift+Z and Ctrl+Y redo", () => {
  const key = (key: string, held: Partial<KeyboardEvent> = { ctrlKey: true }) =>
    historyKey({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...held });
  expect([key("z"), key("z", { metaKey: true }), key("Z", { ctrlKey: true })]).toEqual([undone, undone, undone]);
  expect([key("Z", { ctrlKey: true, shiftKey: true }), key("y")]).toEqual([redone, redone]);
  expect([key("z", {}), key("z", { ctrlKey: true, altKey: true }), key("x")]).toEqual([null, null, null]);
});

test("another text of the model keeps scaled parts and drops patches with their steps", () => {
  const history = undone(after([scale(0)], [scale(0), patch], [scale(0), scale(1), patch]));
  const kept = keptFor(history, { isSameModel: true, isSameText: false });
  expect(kept).toEqual({ past: [[]], list: [scale(0)], future: [[scale(0), scale(1)]], gesture: "" });
  const further = after([scale(0)], [scale(0), patch], [scale(1)]);
  expect(keptFor(further, { isSameModel: true, isSameText: false }).past).toEqual([[], [scale(0)]]);
  expect(keptFor(history, { isSameModel: true, isSameText: true })).toEqual(history);
  expect(keptFor(history, { isSameModel: false, isSameText: true })).toEqual(NO_INTERVENTIONS);
});

test("a saved history is read with its model, and without one there is nothing to save", () => {
  const history = undone(after([scale(0)], [scale(0), patch]));
  expect(readHistory(savedHistory(history, "tiny"))).toEqual({ model: "tiny", history });
  expect(savedHistory(NO_INTERVENTIONS, "tiny")).toBe("");
  expect(readHistory("")).toEqual({ model: "", history: NO_INTERVENTIONS });
});

test.each([
  ["no object", "null"],
  ["a list in place of lists", { past: [scale(0)] }],
  ["an unknown kind", { list: [{ kind: "zero" }] }],
  ["a part without a layer", { list: [{ kind: "scale", part: { kind: "mlp" }, factor: 0 }] }],
  ["a head without a number", { list: [{ kind: "scale", part: { kind: "crossHead", layer: 0 }, factor: 0 }] }],
  ["a patch from a trace by number", { list: [{ ...patch, from: { trace: 7, position: 0 } }] }],
  ["a negative position", { list: [{ ...patch, position: -1 }] }],
])("a saved history with %s is ignored", (_, saved) => {
  const text =
    typeof saved === "string" ? saved : JSON.stringify({ model: "m", past: [], list: [], future: [], ...saved });
  expect(readHistory(text)).toEqual({ model: "", history: NO_INTERVENTIONS });
});
