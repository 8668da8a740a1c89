/** Copies a value from another text: which text, how its tokens stand beside this one's, and which value. */

import type { PatchedValue } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { button, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { type ExplorerTools, type Inspection, type Selection, sourceTokenOf } from "../../trace/inspection";
import { runText } from "../../trace/provenance";
import { tokenLabel } from "../../trace/tokens/layout";
import { partText } from "../interventionChips";
import { type AlignedTokens, alignTokens } from "../tracePair/layout";
import { layerIn, type Patch, type Stack, type SweepSource, stacksOf } from "./layout";

const KINDS = ["residPre", "residPost", "attnOut", "crossOut", "mlpOut", "head", "crossHead"] as const;
const CROSS_KINDS: readonly string[] = ["crossOut", "crossHead"];

export interface Patching {
  readonly node: HTMLElement;
  /** Another run is changed; the text to copy from is run again where the model is another. */
  readonly show: (base: Inspection) => void;
  /** Another token, layer or head is selected: what stands beside it would be copied. */
  readonly look: () => void;
  /** What there is to copy from; null while there is nothing. */
  readonly source: () => SweepSource | null;
}

/** What the view around it is told and asked. */
export interface PatchingHooks {
  readonly selection: Store<Selection>;
  readonly copy: (patch: Patch) => void;
  /** There is something else to copy from. */
  readonly changed: () => void;
  /** A run that there is no more copying from. */
  readonly left: (run: Inspection) => void;
}

export function createPatching(save: Save, tools: ExplorerTools, hooks: PatchingHooks): Patching {
  const { selection } = hooks;
  let base: Inspection | null = null;
  let other: Inspection | null = null;
  let aligned: readonly AlignedTokens[] = [];
  /** Of a translator, whether what is copied is of its encoder, and over the source's tokens. */
  let isEncoder = false;
  let kind: (typeof KINDS)[number] = "residPost";
  let source: SweepSource | null = null;
  let asked = 0;

  const text = el("textarea", {
    class: "prompt",
    attrs: {
      rows: 1,
      spellcheck: "false",
      "aria-label": t("Text to patch from"),
      placeholder: t("Another text, to copy values from…"),
    },
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void run();
  });
  const problem = createProblem(() => void run());
  const heatmap = createHeatmap((_, col) => {
    const { a, b } = aligned[col] as AlignedTokens;
    if (a !== null) here.value = String(a);
    if (b !== null) there.value = String(b);
    if (a !== null) selection.set(isEncoder ? { sourceToken: a } : { token: a });
    choose();
  });
  const data = createDataBar(
    {
      fileName: () => "aligned-tokens",
      table: () =>
        base &&
        other && {
          title: t("Tokens of the two texts, aligned"),
          columns: ["position here", "token here", "position there", "token there"],
          rows: aligned.length,
          row: (i) => {
            const { a, b } = aligned[i] as AlignedTokens;
            return [a ?? "", base ? labelIn(base, a) : "", b ?? "", other ? labelIn(other, b) : ""];
          },
        },
      of: () => base && other && [base, other],
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const stackPicker = dropdown(t("Stack to copy in"), (value) => {
    isEncoder = value === "encoder";
    draw();
    look();
    hooks.changed();
  });
  const kinds = dropdown(t("Value to copy"), (value) => {
    kind = value as (typeof KINDS)[number];
    choose();
  });
  const layers = dropdown(t("Layer"), (value) => selection.set({ layer: Number(value) }));
  const heads = dropdown(t("Head"), (value) => selection.set({ head: Number(value) }));
  const number = (label: string) =>
    el("input", {
      attrs: { type: "number", min: 0, step: 1, value: 0, "aria-label": label },
      on: { input: () => choose() },
    });
  const here = number(t("Position in this text"));
  const there = number(t("Position in the other text"));
  const said = el("span", { class: "small" });
  const add = button(t("Copy this value"), () => {
    const patch = patchNow();
    if (patch) hooks.copy(patch);
  });
  const detail = el(
    "div",
    {},
    heatmap.node,
    data.node,
    el(
      "div",
      { class: "pair-controls" },
      stackPicker.node,
      kinds.node,
      layers.node,
      heads.node,
      el("label", {}, t("from position"), there),
      el("label", {}, t("to position"), here),
      add,
      said,
    ),
  );
  detail.hidden = true;

  const run = async () => {
    const of = base;
    const question = ++asked;
    const before = other;
    problem.clear();
    if (!of) return;
    try {
      const next = text.value === "" ? null : await tools.alongside(of.trace.model.dir, text.value);
      if (question !== asked) {
        if (next) tools.release(next);
        return;
      }
      other = next;
      draw();
      if (before) hooks.left(before);
      hooks.changed();
    } catch (error) {
      if (question === asked) problem.say(error);
    }
  };

  const draw = () => {
    detail.hidden = !base || !other;
    if (!base || !other) {
      source = null;
      return;
    }
    const [own, others] = [base, other].map((run) => tokensIn(run).map(({ id }) => id)) as [number[], number[]];
    aligned = alignTokens(own, others);
    const [here, there] = [base, other];
    const differs = (i: number) => {
      const { a, b } = aligned[i] as AlignedTokens;
      return a === null || b === null || own[a] !== others[b];
    };
    const cols = aligned.length;
    heatmap.show({
      title: t("Tokens of the two texts, aligned; strong where they differ"),
      rows: 2,
      cols,
      values: Float32Array.from({ length: 2 * cols }, (_, i) => (differs(i % cols) ? 0.6 : 0)),
      max: 1,
      scale: "sequential",
      masked: (row, col) => aligned[col]?.[row === 0 ? "a" : "b"] === null,
      rowLabels: [t("this text"), t("other text")],
      colLabels: aligned.map(({ a }) => (a === null ? "" : String(a))),
      rowHeight: 22,
      text: (row, col) => labelIn(row === 0 ? here : there, aligned[col]?.[row === 0 ? "a" : "b"] ?? null),
      describe: (_, col) => {
        const { a, b } = aligned[col] as AlignedTokens;
        const part = (inspection: Inspection, at: number | null) =>
          at === null ? t("nothing") : t("“{0}” at {1}", labelIn(inspection, at), at);
        return `${part(here, a)} · ${part(there, b)}\n${runText(here)} · ${runText(there)}`;
      },
    });
    placeBeside();
    choose();
    data.update();
  };
  /** Copies are from what stands beside the token that is looked at. */
  const placeBeside = () => {
    const beside = aligned.find(({ a }) => a === Number(here.value))?.b;
    if (beside !== undefined && beside !== null) there.value = String(beside);
  };

  const tokensIn = ({ trace }: Inspection) => (isEncoder ? (trace.source?.tokens ?? []) : trace.tokens);
  const labelIn = (run: Inspection, position: number | null): string => {
    const token = position === null ? undefined : tokensIn(run)[position];
    return token ? tokenLabel(token) : "";
  };
  const isAt = (run: Inspection, position: number): boolean =>
    Number.isInteger(position) && position >= 0 && position < tokensIn(run).length;
  /** The stack that is copied in; a decoder has no other. */
  const stackOf = (run: Inspection): Stack => {
    const stacks = stacksOf(run.trace);
    return stacks.find(({ stack }) => (stack === "encoder") === isEncoder) ?? (stacks.at(-1) as Stack);
  };
  /** The selected layer and head, as far as the stack has them. */
  const placeIn = (of: Stack) => {
    const { layer, head } = selection.get();
    return { layer: Math.min(layer, of.layers - 1), head: Math.min(head, of.heads - 1) };
  };
  const valueNow = (of: Stack): PatchedValue => {
    const { layer, head } = placeIn(of);
    const place = layerIn(of, layer);
    return kind === "head" || kind === "crossHead" ? { kind, ...place, head } : { kind, ...place };
  };
  const patchNow = (): Patch | null => {
    const [position, from] = [Number(here.value), Number(there.value)];
    if (!base || !other || !isAt(base, position) || !isAt(other, from)) return null;
    const value = valueNow(stackOf(base));
    return { kind: "patch", value, position, from: { trace: other.trace.trace, position: from } };
  };
  /** What would be copied now, said beside the button. */
  const choose = () => {
    if (!base || !other) return;
    const stack = stackOf(base);
    stackPicker.node.hidden = stack.stack === undefined;
    stackPicker.update(
      [
        { value: "encoder", label: t("Encoder") },
        { value: "decoder", label: t("Decoder") },
      ],
      isEncoder ? "encoder" : "decoder",
    );
    if (!stack.crosses && CROSS_KINDS.includes(kind)) kind = "residPost";
    kinds.update(
      KINDS.filter((value) => stack.crosses || !CROSS_KINDS.includes(value)).map((value) => ({
        value,
        label: ZS[value]?.() ?? value,
      })),
      kind,
    );
    const { layer, head } = placeIn(stack);
    layers.update(
      numbered(stack.layers, (l) => t("layer {0}", l)),
      String(layer),
    );
    heads.update(
      numbered(stack.heads, (h) => t("head {0}", h)),
      String(head),
    );
    heads.node.hidden = ZS[kind] === undefined;
    const patch = patchNow();
    add.disabled = patch === null;
    const before = source;
    source = patch && {
      trace: other.trace.trace,
      stack,
      aligned,
      pair: { a: patch.position, b: patch.from.position },
    };
    said.textContent = patch
      ? t(
          "{0}: “{1}” at {2} gets what it is of “{3}” at {4}",
          partText(patch.value),
          labelIn(base, patch.position),
          patch.position,
          labelIn(other, patch.from.position),
          patch.from.position,
        )
      : t("Positions are those of tokens, counted from 0.");
    const column = aligned.findIndex(({ a }) => a === Number(here.value));
    heatmap.mark(null, column < 0 ? null : column);
    if (column >= 0) heatmap.reveal({ row: 0, col: column });
    const isSame = before?.pair.a === source?.pair.a && before?.pair.b === source?.pair.b;
    if (before && source && !isSame) hooks.changed();
  };

  const look = () => {
    if (!base) return;
    const now = selection.get();
    const position = isEncoder ? sourceTokenOf(now, base.trace) : Math.min(now.token, base.trace.tokens.length - 1);
    if (Number(here.value) !== position) {
      here.value = String(position);
      placeBeside();
    }
    choose();
  };

  return {
    node: el(
      "section",
      { class: "pair-part wide" },
      el("h3", { class: "subheading" }, t("Copy from another text")),
      el(
        "div",
        { class: "pair-controls" },
        text,
        button(t("Run"), () => void run()),
      ),
      problem.node,
      detail,
    ),
    look,
    show(next) {
      if (next === base) return;
      if (!next.trace.source) isEncoder = false;
      const isOtherModel = base && base.trace.model.dir !== next.trace.model.dir;
      base = next;
      if (isOtherModel && other) void run();
      else draw();
    },
    source: () => source,
  };
}

const numbered = (count: number, label: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => ({ value: String(i), label: label(i) }));

/** What heads have, in words: what their values are called without them. */
const ZS: { readonly [K in (typeof KINDS)[number]]?: () => string } = {
  head: () => t("the head’s z"),
  crossHead: () => t("the head’s z, of attention to the source"),
};
