/** Tokens as chips in the lines of their text; one of them is selected. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import { el, fill, setAttr } from "../../base/dom";
import { t } from "../../base/strings";
import { readTheme, type Theme } from "../../base/theme";
import { type ColorScale, toCss } from "../../charts/colorScale";
import { type ChipBox, textColorOn } from "./chipPicture";
import { chipGroups, type TokenChip, tokenChips } from "./layout";

interface ShownChips {
  readonly tokens: readonly TokenSpan[];
  /** The text that the tokens' offsets refer to. */
  readonly text: string;
  readonly glyphs: boolean;
  /** Text below a token, and its tooltip. */
  readonly below: (token: TokenSpan, index: number) => string;
  readonly title: (token: TokenSpan, index: number) => string;
  /** A number per token, NaN where there is none, and the color scale; null for chips without colors. */
  readonly colors: { readonly values: Float32Array; readonly scale: (theme: Theme) => ColorScale } | null;
}

export interface Chips {
  readonly node: HTMLElement;
  readonly show: (shown: ShownChips) => void;
  /** Updates the colors after a change of theme. */
  readonly paint: () => void;
  readonly mark: (index: number) => void;
  /** Highlights the tokens that share characters with a token of another list. */
  readonly link: (from: number, end: number) => void;
  /** Positions and texts of the chips, for a saved picture. */
  readonly boxes: () => { readonly height: number; readonly chips: readonly ChipBox[] };
}

/** `point` is called with the token under the pointer or with the focus, or null. */
export function createChips(
  label: string,
  choose: (index: number) => void,
  point: (index: number | null) => void = () => undefined,
): Chips {
  const node = el("div", {
    class: "token-strip",
    attrs: { role: "listbox", "aria-label": label, "aria-orientation": "horizontal" },
  });
  let chips: readonly HTMLElement[] = [];
  let shown: ShownChips | null = null;
  let labels: readonly TokenChip[] = [];
  let chosen = 0;
  let linked: readonly HTMLElement[] = [];

  const indexOf = (target: EventTarget | null): number => {
    const chip = target instanceof Element ? target.closest<HTMLElement>(".token") : null;
    return chip ? Number(chip.dataset.token) : -1;
  };
  node.addEventListener("click", ({ target }) => {
    const index = indexOf(target);
    if (index >= 0) choose(index);
  });
  const pointAt = ({ target }: Event) => {
    const index = indexOf(target);
    point(index < 0 ? null : index);
  };
  node.addEventListener("pointerover", pointAt);
  node.addEventListener("focusin", pointAt);
  node.addEventListener("pointerleave", () => point(null));
  node.addEventListener("focusout", () => point(null));
  node.addEventListener("keydown", (event) => {
    const to = moveToken(event.key, chosen, chips.length);
    if (to === null) return;
    event.preventDefault();
    choose(to);
    chips[to]?.focus();
  });

  const mark = (index: number) => {
    const before = chips[chosen];
    if (before) {
      setAttr(before, "aria-selected", "false");
      before.tabIndex = -1;
    }
    chosen = Math.max(0, index);
    const chip = chips[chosen];
    if (!chip) return;
    setAttr(chip, "aria-selected", "true");
    chip.tabIndex = 0;
    scrollTo(node, chip);
  };

  const paint = () => {
    const colors = shown?.colors;
    node.classList.toggle("colored", Boolean(colors));
    const theme = readTheme();
    const scale = colors?.scale(theme);
    chips.forEach((chip, i) => {
      const value = colors?.values[i] ?? Number.NaN;
      const color = scale && !Number.isNaN(value) ? scale.colorAt(value) : null;
      chip.style.background = color ? toCss(color) : "";
      chip.style.color = color ? toCss(textColorOn(color, theme)) : "";
    });
  };

  return {
    node,
    show(next) {
      shown = next;
      const { tokens, text, glyphs, below, title } = next;
      labels = tokenChips(tokens, text, glyphs);
      chips = labels.map((chip, i) => {
        const token = tokens[i] as TokenSpan;
        return drawChip(chip, below(token, i), title(token, i));
      });
      let line = el("div", { class: "token-line" });
      fill(node, line);
      for (const [first, end] of chipGroups(labels)) {
        const group = chips.slice(first, end);
        if (group.length === 1) line.append(...group);
        else line.append(drawGroup(group, characterOf(tokens.slice(first, end), text)));
        if (labels[end - 1]?.breakAfter && end < chips.length) {
          line = el("div", { class: "token-line" });
          node.append(line);
        }
      }
      linked = [];
      paint();
      mark(Math.min(chosen, chips.length - 1));
    },
    paint,
    mark,
    link(from, end) {
      for (const chip of linked) chip.classList.remove("linked");
      linked = chips.slice(from, end);
      for (const chip of linked) chip.classList.add("linked");
    },
    boxes() {
      const theme = readTheme();
      const scale = shown?.colors?.scale(theme);
      const { left, top } = node.getBoundingClientRect();
      return {
        height: node.scrollHeight,
        chips: chips.map((chip, i) => {
          const box = chip.getBoundingClientRect();
          const value = shown?.colors?.values[i] ?? Number.NaN;
          return {
            x: box.left - left,
            y: box.top - top + node.scrollTop,
            width: box.width,
            height: box.height,
            text: labels[i]?.label ?? "",
            below: chip.querySelector(".token-id")?.textContent ?? "",
            fill: scale && !Number.isNaN(value) ? scale.colorAt(value) : null,
          };
        }),
      };
    },
  };
}

/** Scrolls the strip, not the page. */
function scrollTo(strip: HTMLElement, chip: HTMLElement): void {
  const { top } = strip.getBoundingClientRect();
  const box = chip.getBoundingClientRect();
  if (box.top < top) strip.scrollTop += box.top - top;
  else if (box.bottom > top + strip.clientHeight) strip.scrollTop += box.bottom - top - strip.clientHeight;
}

function drawChip({ index, label, kind, joined }: TokenChip, below: string, title: string): HTMLElement {
  const chip = el(
    "div",
    {
      class: `token ${kind}${joined ? " joined" : ""}`,
      title,
      attrs: { role: "option", tabindex: -1, "aria-selected": "false" },
    },
    el("span", { class: "token-text" }, label),
    el("span", { class: "visually-hidden" }, ", "),
    el("span", { class: "token-id" }, below),
    el("span", { class: "visually-hidden" }, t(", position {0}", index)),
  );
  chip.dataset.token = String(index);
  return chip;
}

/** Tokens that form one character, with that character. */
function drawGroup(chips: readonly HTMLElement[], character: string): HTMLElement {
  const label = t("“{0}”: {1} tokens form one character", character, chips.length);
  return el(
    "div",
    { class: "token-group", attrs: { role: "group", "aria-label": label } },
    el("span", { class: "token-character", title: label, attrs: { "aria-hidden": "true" } }, character),
    el("div", { class: "token-parts" }, ...chips),
  );
}

const characterOf = (tokens: readonly TokenSpan[], text: string): string =>
  text.slice(tokens[0]?.start, tokens.at(-1)?.end);

/** The token that a key moves to; null for keys that do not move. */
export function moveToken(key: string, from: number, count: number): number | null {
  const last = count - 1;
  if (last < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return Math.min(last, from + 1);
  if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(0, from - 1);
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}
