/** Copies a value from another text: which text, how its tokens stand beside this one's, and which value. */

import type { PatchedValue } from "../../../src/protocol/traceApi";
import { createHeatmap } from "../../charts/heatmap";
import { el } from "../../dom";
import type { ExplorerTools, Inspection } from "../../inspection";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { runText } from "../../parts/provenance";
import { t } from "../../strings";
import { button, dropdown } from "../../toolkit";
import { attentionSize } from "../attention/layout";
import { type AlignedTokens, alignTokens } from "../pair/layout";
import { tokenLabel } from "../tokens/layout";
import type { Patch, SweepSource } from "./layout";

const KINDS = ["residPre", "residPost", "attnOut", "mlpOut", "head"] as const;

export interface Patching {
  readonly node: HTMLElement;
  /** Another run is changed; the text to copy from is run again where the model is another. */
  readonly show: (base: Inspection) => void;
  /** A token of the base is looked at, or another layer or head: what stands beside it would be copied. */
  readonly look: (position: number) => void;
  /** What there is to copy from; null while there is nothing. */
  readonly source: () => SweepSource | null;
}

/** What the view around it is told and asked. */
export interface PatchingHooks {
  /** The layer and head that are chosen. */
  readonly place: () => { readonly layer: number; readonly head: number };
  readonly select: (chosen: { readonly token?: number; readonly layer?: number; readonly head?: number }) => void;
  readonly copy: (patch: Patch) => void;
  /** There is something else to copy from. */
  readonly changed: () => void;
  /** A run that there is no more copying from. */
  readonly left: (run: Inspection) => void;
}

export function createPatching(save: Save, tools: ExplorerTools, hooks: PatchingHooks): Patching {
  let base: Inspection | null = null;
  let other: Inspection | null = null;
  let aligned: readonly AlignedTokens[] = [];
  let kind: (typeof KINDS)[number] = "residPost";
  let source: SweepSource | null = null;
  let asked = 0;

  const text = el("textarea", {
    class: "prompt",
    attrs: {
      rows: 1,
      spellcheck: "false",
      "aria-label": t("Text to copy from"),
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
    if (a !== null) hooks.select({ token: a });
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
            return [a ?? "", base ? labelAt(base, a) : "", b ?? "", other ? labelAt(other, b) : ""];
          },
        },
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const kinds = dropdown(t("Value to copy"), (value) => {
    kind = value as (typeof KINDS)[number];
    choose();
  });
  const layers = dropdown(t("Layer"), (value) => hooks.select({ layer: Number(value) }));
  const heads = dropdown(t("Head"), (value) => hooks.select({ head: Number(value) }));
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
    const [own, others] = [base, other].map(({ trace }) => trace.tokens.map(({ id }) => id)) as [number[], number[]];
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
      text: (row, col) => labelAt(row === 0 ? here : there, aligned[col]?.[row === 0 ? "a" : "b"] ?? null),
      describe: (_, col) => {
        const { a, b } = aligned[col] as AlignedTokens;
        const part = (inspection: Inspection, at: number | null) =>
          at === null ? t("nothing") : t("“{0}” at {1}", labelAt(inspection, at), at);
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

  const layerText = (value: PatchedValue) =>
    value.kind === "head" ? t("head {0} of layer {1}", value.head, value.layer) : `blocks.${value.layer}.${value.kind}`;
  const valueNow = (): PatchedValue => {
    const { layer, head } = hooks.place();
    return kind === "head" ? { kind, layer, head } : { kind, layer };
  };
  const patchNow = (): Patch | null => {
    const [position, from] = [Number(here.value), Number(there.value)];
    if (!base || !other || !isAt(base, position) || !isAt(other, from)) return null;
    return { kind: "patch", value: valueNow(), position, from: { trace: other.trace.trace, position: from } };
  };
  /** What would be copied now, said beside the button. */
  const choose = () => {
    if (!base || !other) return;
    kinds.update(
      KINDS.map((value) => ({ value, label: value === "head" ? t("the head’s z") : value })),
      kind,
    );
    const { layer, head } = hooks.place();
    const { layers: L, heads: H } = attentionSize(base.trace);
    layers.update(
      numbered(L, (l) => t("layer {0}", l)),
      String(layer),
    );
    heads.update(
      numbered(H, (h) => t("head {0}", h)),
      String(head),
    );
    heads.node.hidden = kind !== "head";
    const patch = patchNow();
    add.disabled = patch === null;
    const before = source;
    source = patch ? { trace: other.trace.trace, aligned, pair: { a: patch.position, b: patch.from.position } } : null;
    said.textContent = patch
      ? t(
          "{0}: “{1}” at {2} gets what it is of “{3}” at {4}",
          layerText(patch.value),
          labelAt(base, patch.position),
          patch.position,
          labelAt(other, patch.from.position),
          patch.from.position,
        )
      : t("Positions are those of tokens, counted from 0.");
    const column = aligned.findIndex(({ a }) => a === Number(here.value));
    heatmap.mark(null, column < 0 ? null : column);
    if (column >= 0) heatmap.reveal({ row: 0, col: column });
    const isSame = before?.pair.a === source?.pair.a && before?.pair.b === source?.pair.b;
    if (before && source && !isSame) hooks.changed();
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
    show(next) {
      if (next === base) return;
      const isOtherModel = base && base.trace.model.dir !== next.trace.model.dir;
      base = next;
      if (isOtherModel && other) void run();
      else draw();
    },
    look(position) {
      if (Number(here.value) === position) return choose();
      here.value = String(position);
      placeBeside();
      choose();
    },
    source: () => source,
  };
}

const numbered = (count: number, label: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => ({ value: String(i), label: label(i) }));

const isAt = ({ trace }: Inspection, position: number): boolean =>
  Number.isInteger(position) && position >= 0 && position < trace.tokens.length;

function labelAt({ trace }: Inspection, position: number | null): string {
  const token = position === null ? undefined : trace.tokens[position];
  return token ? tokenLabel(token) : "";
}
