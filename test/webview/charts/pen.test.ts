import { expect, test } from "vitest";
import { moveIndex, scrollInto } from "../../../webview/charts/navigation";
import { type Drawing, svgOf } from "../../../webview/charts/pen";

const theme = { background: [255, 255, 255], monoFamily: "mono", fontFamily: '"Segoe UI"' } as const;
const svg = (draw: Drawing["draw"]) => svgOf({ title: "a < b", width: 10.2, height: 20, draw }, theme);

test("SVG has a title, the theme's background and font, and whole pixels", () => {
  const empty = svg(() => undefined);
  expect(empty).toContain('width="11" height="20" font-family="mono"');
  expect(empty).toContain("<title>a &lt; b</title>");
  expect(empty).toContain('fill="rgb(255 255 255)"');
  expect(svgOf({ title: "", width: 1, height: 1, font: "text", draw: () => undefined }, theme)).toContain(
    "&quot;Segoe UI&quot;",
  );
});

test("text in SVG is escaped and keeps its whitespace", () => {
  const text = svg((pen) => pen.text(1, 2, "<a>  &", { color: [0, 0, 0], anchor: "end", turned: true }));
  expect(text).toContain('xml:space="preserve"');
  expect(text).toContain('text-anchor="end" transform="rotate(-90 1 2)">&lt;a&gt;  &amp;</text>');
});

test("SVG has coordinates with two decimals and only the attributes that are set", () => {
  const black = { color: [0, 0, 0] } as const;
  expect(svg((pen) => pen.rect({ x: 1 / 3, y: 0, width: 2, height: 3 }, { fill: [1, 2, 3] }))).toContain(
    '<rect x="0.33" y="0" width="2" height="3" fill="rgb(1 2 3)"/>',
  );
  expect(
    svg((pen) =>
      pen.line(
        [
          [0, 0],
          [1, 1],
        ],
        { ...black, dash: [] },
      ),
    ),
  ).toContain('<polyline fill="none" stroke="rgb(0 0 0)" points="0,0 1,1"/>');
});

test("hatched boxes in SVG share one pattern and one path", () => {
  const boxes = [0, 10].map((y) => ({ x: 0, y, width: 5, height: 5 }));
  const hatched = svg((pen) => pen.hatch(boxes, { color: [0, 0, 0], opacity: 0.4 }));
  expect(hatched.match(/<pattern/g)).toHaveLength(1);
  expect(hatched).toContain('d="M0 0h5v5h-5zM0 10h5v5h-5z"');
});

test("keys move within a list", () => {
  expect(["ArrowUp", "ArrowDown", "PageDown", "Home", "End", "a"].map((key) => moveIndex(key, 3, 8))).toEqual([
    2,
    4,
    7,
    0,
    7,
    null,
  ]);
  expect(moveIndex("ArrowDown", 0, 0)).toBeNull();
});

test("scrolling moves no further than needed", () => {
  expect([0, 50, 95, 300].map((start) => scrollInto(40, start, 10, 60))).toEqual([0, 40, 45, 250]);
});
