/** Another tokenizer's tokens of the same text; pointing at a token highlights those that share its characters. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import { el, fill } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { ExplorerTools, Inspection } from "../inspection";
import { chipsDrawing } from "./chipPicture";
import { createChips } from "./chips";
import { charactersPerToken, idText, tokenLabel, tokensOver, tokenTable } from "./layout";

interface Compared {
  /** Highlights tokens of the trace. */
  readonly linked: (from: number, end: number) => void;
  /** Selects a token of the trace. */
  readonly choose: (index: number) => void;
  readonly changed: () => void;
}

export function createComparison(
  { models }: Pick<ExplorerTools, "models">,
  save: Save,
  { linked, choose, changed }: Compared,
) {
  let of: Inspection | null = null;
  let own: readonly TokenSpan[] = [];
  let text = "";
  let glyphs = true;
  let known: readonly { readonly dir: string; readonly name: string }[] = [];
  /** Folder of the other tokenizer's model; "" for none. */
  let dir = "";
  let other: readonly TokenSpan[] = [];

  const overMine = (index: number): [number, number] => {
    const token = other[index];
    return token ? tokensOver(own, token) : [0, 0];
  };
  const strip = createChips(
    t("Tokens of the other tokenizer"),
    (index) => {
      strip.mark(index);
      const [first, end] = overMine(index);
      if (end > first) choose(first);
    },
    (index) => linked(...overMine(index ?? -1)),
  );
  const title = el("h3", { class: "subheading" });
  const problem = createProblem(() => void tokenize());
  const parts = () => [{ title: nameOf(), ...strip.boxes() }];
  const data = createDataBar(
    {
      fileName: () => `tokens-${nameOf()}`,
      table: () => tokenTable(t("Tokens of {0}", nameOf()), other, null),
      drawing: () => chipsDrawing(parts()),
    },
    save,
  );
  const body = el("div", { class: "other-tokens" }, title, strip.node, data.node);
  const node = el("div", {}, problem.node, body);
  const choice = dropdown(t("Compare with another tokenizer"), (value) => {
    dir = value;
    void tokenize();
  });
  const nameOf = () => known.find((model) => model.dir === dir)?.name ?? "";

  const draw = () => {
    body.hidden = other.length === 0;
    const choices = known.filter((model) => model.dir !== of?.trace.model.dir);
    choice.node.hidden = choices.length === 0;
    choice.update(
      [
        { value: "", label: t("No other tokenizer") },
        ...choices.map(({ dir, name }) => ({ value: dir, label: t("Compare with {0}", name) })),
      ],
      dir,
    );
    if (other.length > 0) fill(title, countsText(nameOf(), other, text));
    strip.show({
      tokens: other,
      text,
      glyphs,
      below: idText,
      title: (token, i) => t("Token {0}: “{1}”, id {2}", i, tokenLabel(token), idText(token)),
      colors: null,
    });
    data.update();
    changed();
  };

  /** Tokenizes the part of the text that the trace's tokens cover: the end of a long text. */
  const tokenize = async () => {
    const [from, fromDir] = [of, dir];
    problem.clear();
    other = [];
    linked(0, 0);
    if (!from || dir === "") return draw();
    try {
      const start = own.find(({ end }) => end > 0)?.start ?? 0;
      const spans = await from.tokenize(text.slice(start), dir);
      if (from !== of || fromDir !== dir) return;
      other = spans.map((span) => ({ ...span, start: span.start + start, end: span.end + start }));
    } catch (error) {
      if (from !== of || fromDir !== dir) return;
      problem.say(error);
    }
    draw();
  };

  return {
    node,
    choice: choice.node,
    isShown: () => other.length > 0,
    draw(withGlyphs: boolean) {
      glyphs = withGlyphs;
      draw();
    },
    /** Highlights the tokens that share characters with a token of the trace. */
    link(token: TokenSpan | undefined) {
      if (token) strip.link(...tokensOver(other, token));
      else strip.link(0, 0);
    },
    async show(inspection: Inspection, tokens: readonly TokenSpan[], tokenizedText: string, withGlyphs: boolean) {
      of = inspection;
      own = tokens;
      text = tokenizedText;
      glyphs = withGlyphs;
      if (inspection.trace.model.dir === dir) dir = "";
      try {
        known = await models();
      } catch (error) {
        problem.say(error);
      }
      if (of === inspection) await tokenize();
    },
  };
}

/** Reads as `tiny-stories: 14 tokens, 3.21 characters per token`. */
export const countsText = (name: string, tokens: readonly TokenSpan[], text: string): string =>
  t(
    "{0}: {1} tokens, {2} characters per token",
    name,
    formatCount(tokens.length),
    charactersPerToken(tokens, text).toFixed(2),
  );
