import { describe, expect, test } from "vitest";
import { lineDrawing } from "../../../webview/charts/lineDrawing";
import { svgOf } from "../../../webview/charts/pen";

describe("a line chart as SVG", () => {
  const plot = {
    title: 'Loss of "a" & b',
    x: { name: "step", format: String },
    y: { format: (value: number) => value.toFixed(2), log: true },
    lines: [
      {
        name: "a",
        points: { x: [1, 2, 3], y: [10, 0, 1] },
        color: [18, 52, 86] as const,
        dash: [4, 2],
        style: "line" as const,
      },
    ],
    marks: [{ x: 2, label: "here" }],
    foreground: [0, 0, 0] as const,
    muted: [136, 136, 136] as const,
  };

  test("has its text as text, and leaves out values without a logarithm", () => {
    const svg = svgOf(lineDrawing(plot), { background: [255, 255, 255], monoFamily: "mono", fontFamily: "sans-serif" });
    expect(svg).toContain("Loss of &quot;a&quot; &amp; b</text>");
    expect(svg).toContain(">here</text>");
    const points = /stroke-dasharray="4 2" points="([^"]*)"/.exec(svg)?.[1]?.split(" ");
    expect(points).toHaveLength(2);
    expect(svg).not.toContain("NaN");
  });
});
