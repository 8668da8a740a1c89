import { expect, test } from "vitest";
import { createStore } from "../../../webview/base/store";

test("a store notifies its listeners of changes only", () => {
  const store = createStore({ token: 0, layer: 0 });
  const changes: unknown[] = [];
  store.subscribe((now, before) => changes.push([now.token, before.token]));
  store.set({ token: 0 });
  store.set({ token: 2 });
  expect(changes).toEqual([[2, 0]]);
});
