import { expect, test } from "vitest";
import { pointAt, scatterScene } from "../../../webview/charts/scatterLayout";

test("points follow their coordinates, and labels never overlap", () => {
  const word = (label: string, x: number, y: number, isExtra = false) => ({ label, x, y, isExtra });
  const points = [word("a", 0, 0), word("b", 10, 10), word("b", 10, 10), word("near", 10, 9.9, true), word("c", 5, 2)];
  const scene = scatterScene(points, { width: 400, height: 300 }, 1);
  const [[ax, ay], [bx, by]] = scene.at as [[number, number], [number, number]];
  expect(bx).toBeGreaterThan(ax);
  expect(by).toBeLessThan(ay);
  expect(scene.labels[0]).toMatchObject({ point: 1, text: "b ×2" });
  expect(scene.labels.map(({ text }) => text).sort()).toEqual(["a", "b ×2", "c"]);
  const boxes = scene.labels.map(({ x, y, text }) => ({ x, y, right: x + 6 * text.length }));
  for (const [i, a] of boxes.entries()) {
    for (const b of boxes.slice(i + 1)) {
      expect(a.right <= b.x || b.right <= a.x || Math.abs(a.y - b.y) >= 11).toBe(true);
    }
  }
  expect(pointAt(scene, ax + 3, ay - 3)).toBe(0);
  expect(pointAt(scene, (ax + bx) / 2, ay)).toBeNull();
});

test("points that coincide are still drawn", () => {
  const scene = scatterScene([{ label: "a", x: 0, y: 0, isExtra: false }], { width: 400, height: 300 }, null);
  expect(scene.at[0]?.every(Number.isFinite)).toBe(true);
});
