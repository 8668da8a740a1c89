/** Tokens as chips in the lines of their text, of which one is chosen. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import { el, fill, setAttr } from "../../base/dom";
import { t } from "../../base/strings";
import { readTheme, type Theme } from "../../base/theme";
import { type ColorScale, toCss } from "../../charts/colorScale";
import { type ChipBox, textColorOn } from "./chipPicture";
import { chipGroups, type TokenChip, tokenChips } from "./layout";

export interface ShownChips {
  readonly tokens: readonly TokenSpan[];
  /** What the tokens' offsets are of. */
  readonly text: string;
  readonly glyphs: boolean;
  /** What is written below a token, and what is said of it on hover. */
  readonly below: (token: TokenSpan, index: number) => string;
  readonly title: (token: TokenSpan, index: number) => string;
  /** A number for each token, not a number where there is none, and its color; null leaves the chips without. */
  readonly colors: { readonly values: Float32Array; readonly scale: (theme: Theme) => ColorScale } | null;
}

export interface Chips {
  readonly node: HTMLElement;
  readonly show: (shown: ShownChips) => void;
  /** The colors again, of another theme. */
  readonly paint: () => void;
  readonly mark: (index: number) => void;
  /** Sets off the tokens that are of the same text as one in another list. */
  readonly link: (from: number, end: number) => void;
  /** Where the chips are, to draw them. */
  readonly boxes: () => { readonly height: number; readonly chips: readonly ChipBox[] };
}

/** `look` is told the token under the pointer or with the focus, and null where there is none any more. */
export function createChips(
  label: string,
  choose: (index: number) => void,
  look: (index: number | null) => void = () => undefined,
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
  const lookAt = ({ target }: Event) => {
    const index = indexOf(target);
    look(index < 0 ? null : index);
  };
  node.addEventListener("pointerover", lookAt);
  node.addEventListener("focusin", lookAt);
  node.addEventListener("pointerleave", () => look(null));
  node.addEventListener("focusout", () => look(null));
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
          const place = chip.getBoundingClientRect();
          const value = shown?.colors?.values[i] ?? Number.NaN;
          return {
            x: place.left - left,
            y: place.top - top + node.scrollTop,
            width: place.width,
            height: place.height,
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
  const place = chip.getBoundingClientRect();
  if (place.top < top) strip.scrollTop += place.top - top;
  else if (place.bottom > top + strip.clientHeight) strip.scrollTop += place.bottom - top - strip.clientHeight;
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

/** Tokens that make one character, with that character. */
function drawGroup(chips: readonly HTMLElement[], character: string): HTMLElement {
  const said = t("“{0}”: {1} tokens of one character", character, chips.length);
  return el(
    "div",
    { class: "token-group", attrs: { role: "group", "aria-label": said } },
    el("span", { class: "token-character", title: said, attrs: { "aria-hidden": "true" } }, character),
    el("div", { class: "token-parts" }, ...chips),
  );
}

const characterOf = (tokens: readonly TokenSpan[], text: string): string =>
  text.slice(tokens[0]?.start, tokens.at(-1)?.end);

/** The token that a key moves to; null for other keys. */
export function moveToken(key: string, from: number, count: number): number | null {
  const last = count - 1;
  if (last < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return Math.min(last, from + 1);
  if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(0, from - 1);
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}
