/** Hostile text in every Markdown text of the extension, rendered by the parser that VS Code uses. */

import { marked } from "marked";
import { expect, test } from "vitest";
import { hoverText } from "../../src/extension/explore/hoverText";
import { codeSpan, codeSpanInCell, plainText } from "../../src/extension/markdown";
import { scoredTokenText, statusTooltip } from "../../src/extension/surprisal/surprisalText";
import { excerpt } from "../../src/text/untrusted";

const PARTS = [
  "\\",
  "|",
  "`",
  "``",
  "\n",
  "\n\n",
  "  \n",
  "![x](http://127.0.0.1/y)",
  "[x](command:workbench.action.quit)",
  "<img src=x onerror=alert(1)>",
  "<span style=x>",
  "</span>",
  "<!--",
  "http://evil.example/x",
  "www.evil.example",
  "me@evil.example",
  "<http://evil.example>",
  "$(sync~spin)",
  "# ",
  "1. ",
  "- ",
  "> ",
  "| a | b |\n|---|---|\n| c | d |",
  "*_~",
  "&lt;img&gt;",
  "&#60;img src=x&#62;",
  "[x]: http://evil.example",
  "\u001b[31m\u202e",
  "x".repeat(300),
  "漢字",
];

const texts = [...PARTS, ...PARTS.flatMap((a) => PARTS.map((b) => a + b)), ...PARTS.map((part) => `\\|${part}|\\`)];

/** Tags of a rendered Markdown text. */
const tagsOf = (markdown: string): string[] => {
  const html = marked.parse(markdown, { gfm: true, async: false });
  return [...html.matchAll(/<(\/?[a-z][^>]*)>/gi)].map(([, tag]) => tag as string);
};
const harmless = /^\/?(p|br|code|em|strong|table|thead|tbody|tr|t[hd]( align="right")?)$/;
const swatch = /^span style="background-color:var\(--vscode-decoderLab-surprisal\d\);"$|^\/span$/;

const bytes = new Uint8Array([1, 2]);
const spanOf = (token: string, id = 3) => ({ id, token, start: 0, end: 1, special: false, bytes });
const place = { line: 0, character: 0 };
const cost = { bits: 1, bytes: 1, unscored: 1, unknown: 1 };

const BUILDERS: Readonly<Record<string, (text: string) => string>> = {
  plainText,
  codeSpan,
  "codeSpanInCell, in a table": (text) => `| a | b |\n|---|--:|\n| ${codeSpanInCell(text)} | 1 |`,
  "the hover of a token": (text) =>
    hoverText({ span: spanOf(text), index: 0, text, start: place, end: place, model: text }),
  "the hover of a token outside the vocabulary": (text) =>
    hoverText({ span: spanOf(text, -1), index: 0, text: "", start: place, end: place, model: text }),
  "the surprisal hover": (text) =>
    scoredTokenText({
      span: spanOf(text),
      start: 0,
      end: 1,
      surprisal: 1,
      entropy: 1,
      rank: 1,
      alternatives: [{ id: 1, text, probability: 0.5 }],
    } as Parameters<typeof scoredTokenText>[0]),
  "the tooltip of the surprisal": (text) =>
    statusTooltip({ model: text, cost, selection: false, scored: 1, problem: null } as Parameters<
      typeof statusTooltip
    >[0]),
  "the tooltip of a problem": (text) =>
    statusTooltip({ model: null, cost, selection: true, scored: 1, problem: text } as Parameters<
      typeof statusTooltip
    >[0]),
};

test.each(Object.entries(BUILDERS))("%s has no markup of its text", (name, build) => {
  const usual = tagsOf(build("usual"))
    .map((tag) => tag.replace(/ .*/, ""))
    .sort();
  for (const text of texts) {
    const markdown = build(text);
    const tags = tagsOf(markdown);
    const allowed = name === "the tooltip of the surprisal" ? [harmless, swatch] : [harmless];
    for (const tag of tags)
      expect(
        allowed.some((pattern) => pattern.test(tag)),
        `${JSON.stringify(text)}: <${tag}>`,
      ).toBe(true);
    // The structure is that of a usual text: as many lines, cells and spans.
    if (text.trim() !== "" && name.startsWith("the"))
      expect(
        tags
          .map((tag) => tag.replace(/ .*/, ""))
          .filter((tag) => !/code/.test(tag))
          .sort(),
        JSON.stringify(text),
      ).toEqual(usual.filter((tag) => !/code/.test(tag)));
    expect(markdown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    if (name.includes("tooltip")) expect(markdown).not.toContain("$(sync");
  }
});

test("plain text is rendered as it is, cut to 200 characters", () => {
  for (const text of texts.filter((each) => each === each.trim())) {
    const html = marked.parse(`a ${plainText(text)}`, { async: false }).replace(/^<p>a |<\/p>\s*$/g, "");
    const rendered = html.replace(/&(?:#(\d+)|lt|gt|amp|quot|#39);/g, (entity, code) =>
      code
        ? String.fromCodePoint(Number(code))
        : ({ "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"' }[entity] ?? entity),
    );
    expect(rendered).toBe(excerpt(text).replace(/\s+/g, " "));
  }
});
