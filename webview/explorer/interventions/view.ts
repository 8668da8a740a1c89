/** The Interventions view: parts of the model are ablated or scaled, values are patched, and the effects are compared. */

import "../tracePair/tracePair.css";
import type { Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { createStore } from "../../base/store";
import { t } from "../../base/strings";
import { button, progressRing } from "../../base/toolkit";
import { createProblem } from "../../parts/problem";
import { createModelGate } from "../../trace/fromFile";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { visibleText } from "../../trace/tokens/layout";
import { interventionChip, interventionText } from "../interventionChips";
import { followSelection } from "../tracePair/tracePair";
import { createAttribution } from "./attribution";
import { createBeforeAfter } from "./beforeAfter";
import { patchesFrom, withFactor, withPatch } from "./changes";
import { stacksOf } from "./parts";
import { createPartsTable } from "./partsTable";
import { createPatching } from "./patching";
import { createSweep } from "./sweep";
import { createTargetField, type Target } from "./target";

/** The prompt runs once the slider has rested for this long, in ms. */
const REST = 200;

export function createInterventionsView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Interventions"));
  // Only the Model Explorer has this view.
  const tools = explorer as ExplorerTools;
  const watched = createStore<{ readonly target: Target | null }>({ target: null });
  /** The traces without and with the interventions of `list`. */
  let base: Inspection | null = null;
  let changed: Inspection | null = null;
  /** True if this view made `changed` and must release it. */
  let isOwn = false;
  let list: readonly Intervention[] = [];
  /** Counts requests, so that outdated answers are dropped. */
  let request = 0;
  let resting: ReturnType<typeof setTimeout> | undefined;
  /** Traces that were replaced as the source of patches, kept while a patch from them is active. */
  const sources = new Set<Inspection>();

  const parts = createPartsTable(save, {
    select: (part) => selectPart(part),
    setFactor: (part, factor) => {
      setList(withFactor(list, part, factor));
      status.textContent = interventionText({ kind: "scale", part, factor });
    },
  });
  const chips = el("ul", { class: "chips", attrs: { "aria-label": t("Interventions of this view") } });
  // Pressing either disables it, so the focus moves back to the parts.
  const apply = button(
    t("Apply to all views"),
    () => {
      tools.interventions.set({ list: [...list] });
      parts.focus();
    },
    "primary",
  );
  const clear = button(t("Clear"), () => {
    setList([]);
    if (isActive()) tools.interventions.set({ list: [] });
    parts.focus();
  });
  const busy = progressRing(t("Running with interventions"));
  busy.hidden = true;
  const status = el("span", { class: "small", attrs: { role: "status" } });
  const problem = createProblem(() => void whileBusy(run()));
  const patching = createPatching(save, tools, {
    selection,
    patch: (patch) => setList(withPatch(list, patch)),
    changed: () => prepareSweep(),
    replaced: (other) => {
      sources.add(other);
      releaseSources();
    },
  });
  const comparison = createBeforeAfter(
    { selection, save },
    {
      watch: ({ id, label }) => watched.set({ target: { id, label, isChosen: true } }),
      retry: () => compare(),
      summarize: section.summarize,
    },
  );
  const ofTranslator = el(
    "p",
    { class: "small muted" },
    t("The translation itself stays the same. Interventions change only the distribution after each of its tokens."),
  );
  const attribution = createAttribution(save, ({ layer, head }) => {
    if (layer !== null) selection.set({ layer, ...(head !== null && { head }) });
  });
  const sweep = createSweep(save, tools.release, (intervention) => {
    selectPart(intervention.kind === "scale" ? intervention.part : intervention.value);
    if (intervention.kind === "scale") return;
    const { value, position } = intervention;
    selection.set(value.stack === "encoder" ? { sourceToken: position } : { token: position });
  });
  const whole = el(
    "div",
    {},
    el(
      "p",
      { class: "small muted" },
      t(
        "Click a part, or select it with the arrow keys and press Enter, to cycle through ablated, × 2 and unchanged. The slider sets any factor. A factor scales what the part adds to the residual stream; colors show the distance from 1.",
      ),
    ),
    ...parts.nodes,
    el("div", { class: "pair-controls" }, parts.slider, apply, clear, busy, status),
    chips,
    problem.node,
    patching.node,
    el("h3", { class: "subheading" }, t("Before and after")),
    ofTranslator,
    ...comparison.nodes,
    el("h3", { class: "subheading" }, t("Watched token")),
    createTargetField(watched, () => base),
    attribution.node,
    sweep.node,
  );
  const gate = createModelGate(whole);
  section.body.append(...gate.nodes);

  const selectPart = (part: Part | PatchedValue) =>
    selection.set({ layer: part.layer, ...("head" in part && { head: part.head }) });
  const position = () => Math.min(selection.get().token, (base?.trace.tokens.length ?? 1) - 1);
  const isActive = () => tools.interventions.get().list.length > 0;

  const setList = (next: readonly Intervention[]) => {
    list = next;
    status.textContent = "";
    draw();
    clearTimeout(resting);
    resting = setTimeout(() => void whileBusy(run()), REST);
  };

  /** Runs the prompt with the interventions. */
  const run = async () => {
    const of = base;
    const own = ++request;
    problem.clear();
    if (!of) return;
    if (list.length === 0) return setChanged(null, false);
    try {
      const next = await of.intervened(list);
      if (own === request) setChanged(next, true);
      else tools.release(next);
    } catch (error) {
      if (own === request) problem.say(error);
    }
  };

  let running = 0;
  /** Shows the progress ring until all work has ended. */
  const whileBusy = async (work: Promise<unknown>) => {
    running += 1;
    busy.hidden = false;
    await work;
    running -= 1;
    busy.hidden = running === 0;
  };

  const setChanged = (next: Inspection | null, own: boolean) => {
    if (changed && changed !== next && isOwn) tools.release(changed);
    changed = next;
    isOwn = own;
    releaseSources();
    compare();
  };

  /** Releases the traces that no patch comes from any more, here or in the other views. */
  const releaseSources = () => {
    const used = patchesFrom([...list, ...tools.interventions.get().list]);
    for (const source of sources) {
      if (used.has(source.trace.trace)) continue;
      sources.delete(source);
      tools.release(source);
    }
  };

  const draw = () => {
    parts.show(list);
    clear.disabled = list.length === 0 && !isActive();
    apply.disabled = JSON.stringify(tools.interventions.get().list) === JSON.stringify(list);
    fill(chips, ...list.map((each) => interventionChip(each, () => setList(list.filter((other) => other !== each)))));
  };

  const compare = () => {
    void whileBusy(comparison.show(base, changed, position()));
    void whileBusy(drawAttribution());
  };

  /** Sets the watched token to the most likely one of the base, unless the user chose one, and draws its attribution. */
  const drawAttribution = async () => {
    const of = base;
    if (!of) return attribution.fail();
    const at = position();
    attribution.await();
    if (!watched.get().target?.isChosen) {
      try {
        const answer = await of.ask("lens", { positions: [at, at + 1], count: 1 });
        const id = answer.ids.at(-1) as number;
        if (base !== of || position() !== at || watched.get().target?.isChosen) return;
        if (watched.get().target?.id !== id) {
          // Setting the target draws the attribution again.
          return watched.set({
            target: { id, label: visibleText(answer.tokens[id] ?? "") || `#${id}`, isChosen: false },
          });
        }
      } catch (error) {
        if (base !== of) return;
        attribution.fail();
        comparison.say(error);
        return;
      }
    }
    const { target } = watched.get();
    if (!target) return;
    prepareSweep();
    await attribution.show(changed ? [of, changed] : [of], at, target);
  };
  const prepareSweep = () => {
    const { target } = watched.get();
    if (!base || !target) return;
    sweep.prepare({ base, source: patching.source(), position: position(), target, stacks: stacksOf(base.trace) });
  };

  watched.subscribe(() => void drawAttribution());
  tools.interventions.subscribe(draw);
  const followBy = (show: () => void) => () => {
    if (!base) return;
    patching.look();
    show();
  };
  followSelection(selection, whole, followBy(compare), followBy(comparison.showAttention));

  return {
    section,
    asksTensors: true,
    show(next) {
      request += 1;
      clearTimeout(resting);
      base = gate.admits(next) ? (next.base ?? next) : null;
      list = next.trace.interventions ?? [];
      if (list.length === 0) status.textContent = "";
      if (!base) return setChanged(null, false);
      ofTranslator.hidden = !next.trace.source;
      parts.setBase(base);
      patching.show(base);
      patching.look();
      draw();
      setChanged(next.base ? next : null, false);
    },
  };
}
