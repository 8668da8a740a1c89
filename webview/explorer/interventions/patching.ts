/** Patches a value from another text: the text, the alignment of its tokens with this one's, and the value. */

import type { Part } from "../../../src/protocol/traceApi";
import type { AlignedTokens } from "../../../src/text/align";
import { el } from "../../base/dom";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { button, dropdown } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { type ExplorerTools, type Inspection, type Selection, sourceTokenOf } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { partText } from "../interventionText";
import { createPrompt } from "../prompt";
import { type Patch, VALUES } from "./changes";
import {
  alignedTable,
  alignTexts,
  kindsOf,
  labelIn,
  type PatchKind,
  type PatchTexts,
  patchOf,
  selectedIn,
  stackOf,
} from "./patchState";
import type { SweepSource } from "./sweepPlan";

export interface Patching {
  readonly node: HTMLElement;
  /** Shows another trace. The other text is traced again if the model changed. */
  readonly show: (base: Inspection) => void;
  /** Follows the selection of a token, layer or head. */
  readonly look: () => void;
  /** The trace and positions to patch from; null while there are none. */
  readonly source: () => SweepSource | null;
  /** Sets up a patch of a part, and moves the focus to what is missing for it. */
  readonly setUp: (part: Part) => void;
}

export interface PatchingHooks {
  readonly selection: Store<Selection>;
  readonly patch: (patch: Patch) => void;
  /** `source` changed. */
  readonly changed: () => void;
}

export function createPatching(save: Save, tools: ExplorerTools, hooks: PatchingHooks): Patching {
  const { selection } = hooks;
  let base: Inspection | null = null;
  let other: Inspection | null = null;
  let isEncoder = false;
  let aligned: readonly AlignedTokens[] = [];
  let kind: PatchKind = "residPost";
  let source: SweepSource | null = null;
  /** Counts requests, so that outdated answers are dropped. */
  let request = 0;
  const texts = () => base && other && { base, other, isEncoder };

  const prompt = createPrompt(t("Text to patch from"), t("Another text to patch values from…"), () => void run());
  const problem = createProblem(() => void run());
  const heatmap = createHeatmap((_, col) => {
    const { a, b } = aligned[col] as AlignedTokens;
    if (a !== null) to.value = String(a);
    if (b !== null) from.value = String(b);
    if (a !== null) selection.set(isEncoder ? { sourceToken: a } : { token: a });
    choose();
  });
  const data = createDataBar(
    {
      fileName: () => "aligned-tokens",
      table: () => {
        const both = texts();
        return both && alignedTable(aligned, both);
      },
      of: () => base && other && [base, other],
      drawing: heatmap.drawing,
    },
    save,
  );
  const stackPicker = dropdown(t("Stack to patch"), (value) => {
    isEncoder = value === "encoder";
    draw();
    look();
    hooks.changed();
  });
  const kinds = dropdown(t("Value to patch"), (value) => {
    kind = value as PatchKind;
    choose();
  });
  const layers = dropdown(t("Layer"), (value) => selection.set({ layer: Number(value) }));
  const heads = dropdown(t("Head"), (value) => selection.set({ head: Number(value) }));
  const positionField = (label: string) =>
    el("input", {
      attrs: { type: "number", min: 0, step: 1, value: 0, "aria-label": label },
      on: { input: () => choose() },
    });
  const to = positionField(t("Position in this text"));
  const from = positionField(t("Position in the other text"));
  const description = el("span", { class: "small" });
  const add = button(t("Patch"), () => {
    const patch = patchNow();
    if (patch) hooks.patch(patch);
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
      el("label", {}, t("from position"), from),
      el("label", {}, t("to position"), to),
      add,
      description,
    ),
  );
  detail.hidden = true;

  const run = async () => {
    const of = base;
    const own = ++request;
    const before = other;
    problem.clear();
    if (!of) return;
    try {
      const next = prompt.value === "" ? null : await tools.alongside(of.trace.model.dir, prompt.value);
      if (own !== request) {
        if (next) tools.release(next);
        return;
      }
      other = next;
      draw();
      if (before) tools.release(before);
      hooks.changed();
    } catch (error) {
      if (own === request) problem.say(error);
    }
  };

  const draw = () => {
    const both = texts();
    detail.hidden = !both;
    if (!both) {
      source = null;
      return;
    }
    const alignment = alignTexts(both);
    ({ aligned } = alignment);
    drawAlignment(both, alignment.differs);
    followAlignment();
    choose();
    data.update();
  };

  const drawAlignment = ({ base, other }: PatchTexts & { base: Inspection; other: Inspection }, differs: boolean[]) => {
    const label = (inspection: Inspection, position: number | null) => labelIn(inspection, isEncoder, position);
    const cols = aligned.length;
    heatmap.show({
      title: t("Aligned tokens of the two texts; colored where they differ"),
      rows: 2,
      cols,
      values: Float32Array.from({ length: 2 * cols }, (_, i) => (differs[i % cols] ? 0.6 : 0)),
      max: 1,
      scale: "sequential",
      masked: (row, col) => aligned[col]?.[row === 0 ? "a" : "b"] === null,
      rowLabels: [t("this text"), t("other text")],
      colLabels: aligned.map(({ a }) => (a === null ? "" : String(a))),
      rowHeight: 22,
      text: (row, col) => label(row === 0 ? base : other, aligned[col]?.[row === 0 ? "a" : "b"] ?? null),
      describe: (_, col) => {
        const { a, b } = aligned[col] as AlignedTokens;
        const part = (inspection: Inspection, position: number | null) =>
          position === null ? t("nothing") : t("“{0}” at {1}", label(inspection, position), position);
        return `${part(base, a)} · ${part(other, b)}\n${traceText(base)} · ${traceText(other)}`;
      },
    });
  };

  /** Sets the position to patch from to the token aligned with the selected one. */
  const followAlignment = () => {
    const beside = aligned.find(({ a }) => a === Number(to.value))?.b;
    if (beside !== undefined && beside !== null) from.value = String(beside);
  };

  const patchNow = (): Patch | null => {
    const both = texts();
    return both && patchOf(both, kind, selection.get(), Number(to.value), Number(from.value));
  };

  /** Updates the controls and describes the patch beside its button. */
  const choose = () => {
    if (!base || !other) return;
    const stack = stackOf(base, isEncoder);
    stackPicker.node.hidden = stack.stack === undefined;
    stackPicker.update(
      [
        { value: "encoder", label: t("Encoder") },
        { value: "decoder", label: t("Decoder") },
      ],
      isEncoder ? "encoder" : "decoder",
    );
    const offered = kindsOf(stack);
    if (!offered.includes(kind)) kind = "residPost";
    kinds.update(
      offered.map((value) => ({ value, label: HEAD_VALUES[value]?.() ?? value })),
      kind,
    );
    const { layer, head } = selectedIn(stack, selection.get());
    layers.update(
      numbered(stack.layers, (l) => t("layer {0}", l)),
      String(layer),
    );
    heads.update(
      numbered(stack.heads, (h) => t("head {0}", h)),
      String(head),
    );
    heads.node.hidden = HEAD_VALUES[kind] === undefined;
    const patch = patchNow();
    add.disabled = patch === null;
    const before = source;
    source = patch && {
      trace: other.trace.trace,
      stack,
      aligned,
      pair: { a: patch.position, b: patch.from.position },
    };
    description.textContent = patch
      ? t(
          "{0}: replace “{1}” ({2}) with “{3}” ({4})",
          partText(patch.value),
          labelIn(base, isEncoder, patch.position),
          patch.position,
          labelIn(other, isEncoder, patch.from.position),
          patch.from.position,
        )
      : t("Enter token positions, counted from 0.");
    const column = aligned.findIndex(({ a }) => a === Number(to.value));
    heatmap.mark(null, column < 0 ? null : column);
    if (column >= 0) heatmap.reveal({ row: 0, col: column });
    const isSame = before?.pair.a === source?.pair.a && before?.pair.b === source?.pair.b;
    if (before && source && !isSame) hooks.changed();
  };

  const look = () => {
    if (!base) return;
    const now = selection.get();
    const position = isEncoder ? sourceTokenOf(now, base.trace) : Math.min(now.token, base.trace.tokens.length - 1);
    if (Number(to.value) !== position) {
      to.value = String(position);
      followAlignment();
    }
    choose();
  };

  const node = el(
    "section",
    { class: "pair-part wide" },
    el("h3", { class: "subheading" }, t("Patch from another text")),
    el(
      "div",
      { class: "pair-controls" },
      prompt,
      button(t("Run"), () => void run()),
    ),
    problem.node,
    detail,
  );
  return {
    node,
    look,
    setUp(part) {
      kind = VALUES[part.kind];
      if (base?.trace.source) isEncoder = part.stack === "encoder";
      draw();
      look();
      node.scrollIntoView({ block: "nearest" });
      if (other) add.focus();
      else prompt.focus();
    },
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

/** Names of the values that belong to one head. */
const HEAD_VALUES: { readonly [K in PatchKind]?: () => string } = {
  head: () => t("z of the head"),
  crossHead: () => t("z of the cross-attention head"),
};
