/** What follows when parts of the model are switched off, scaled, or given what they were in another text. */

import "../../parts/slider.css";
import "../tracePair/tracePair.css";
import type { Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatValue } from "../../base/format";
import { createStore } from "../../base/store";
import { t } from "../../base/strings";
import { button, progressRing } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { tellAwaited } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { runText } from "../../trace/provenance";
import { visibleText } from "../../trace/tokens/layout";
import { interventionChip, interventionText } from "../interventionChips";
import { createAttentionPair } from "../tracePair/attentionPair";
import { createDivergenceStrip } from "../tracePair/divergence";
import { createLensColumns } from "../tracePair/lensColumns";
import { createNextTokensPair } from "../tracePair/nextTokens";
import { isElsewhere, refusal, type TracePair } from "../tracePair/tracePair";
import { createAttribution } from "./attribution";
import { factorOf, NO_PART, nextFactor, partGrid, stacksOf, withFactor, withPatch } from "./layout";
import { createPatching } from "./patching";
import { createSweep } from "./sweep";
import { createTargetField, type Target } from "./target";

/** A slider that is moved rests for so long before the text is run. */
const REST = 200;

export function createInterventionsView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Interventions"));
  // Only the Explorer has this view.
  const tools = explorer as ExplorerTools;
  const watched = createStore<{ readonly target: Target | null }>({ target: null });
  /** The run as it is, and with the changes below; `isOwn`: no other view shows that one. */
  let base: Inspection | null = null;
  let changed: Inspection | null = null;
  let isOwn = false;
  let list: readonly Intervention[] = [];
  let chosen: Part | null = null;
  /** What can be changed in the base. */
  let grid = partGrid([]);
  /** Counts what was asked, so that an answer to an earlier question is left alone. */
  let asked = 0;
  let resting: ReturnType<typeof setTimeout> | undefined;
  /** Runs that were copied from, kept while something copied from them is in force. */
  const sources = new Set<Inspection>();

  const refused = el("p", { class: "empty" });
  const parts = createHeatmap((row, col) => {
    const part = grid.at(row, col);
    if (!part) return;
    chosen = part;
    selectPlace(part);
    setFactor(nextFactor(factorOf(list, part)));
  });
  const partsData = createDataBar(
    {
      fileName: () => "interventions",
      table: () => ({
        title: t("What each part is multiplied by"),
        columns: ["stack", "layer", ...grid.columns],
        rows: grid.rows.length,
        row: (row) => [
          grid.layers[row]?.stack ?? "",
          grid.layers[row]?.layer ?? "",
          ...grid.columns.map((_, col) => {
            const part = grid.at(row, col);
            return part ? factorOf(list, part) : "";
          }),
        ],
      }),
      of: () => base,
      picture: parts.picture,
      svg: parts.svg,
    },
    save,
  );
  const slider = el("input", {
    class: "slider",
    attrs: { type: "range", min: -1, max: 3, step: 0.05, value: 1 },
    on: { input: () => setFactor(Number(slider.value)) },
  });
  const sliderLabel = el("span", { class: "small" });
  const chips = el("ul", { class: "chips", attrs: { "aria-label": t("Changes of this view") } });
  // Both are disabled by what they do: who pressed them goes on with the parts.
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
    if (isInForce()) tools.interventions.set({ list: [] });
    parts.focus();
  });
  const busy = progressRing(t("Running with the changes"));
  busy.hidden = true;
  const spoken = el("span", { class: "small", attrs: { role: "status" } });
  const problem = createProblem(() => void whileBusy(run()));
  const patching = createPatching(save, tools, {
    selection,
    copy: (patch) => setList(withPatch(list, patch)),
    changed: () => prepareSweep(),
    left: (run) => {
      sources.add(run);
      letGo();
    },
  });

  const tokens = createNextTokensPair("interventions-next-token", save, ({ id, label }) =>
    watched.set({ target: { id, label, isChosen: true } }),
  );
  const lens = createLensColumns("interventions-lens", save);
  const attention = createAttentionPair("interventions-attention", save, selection);
  const strip = createDivergenceStrip("interventions-kl", save, (token) => selection.set({ token }));
  const pairProblem = createProblem(() => {
    void whileBusy(drawPair());
    void whileBusy(drawAttribution());
  });
  const compared = el("div", { class: "pair-parts" }, tokens.node, lens.node, attention.node, strip.node);
  const nothingChanged = el(
    "p",
    { class: "small muted" },
    t("Nothing is changed yet. Choose a head, an attention, an MLP or a layer above, or copy a value."),
  );
  const ofTranslator = el(
    "p",
    { class: "small muted" },
    t("The translation stays as it was written: what changes is what is expected after each of its tokens."),
  );
  const attribution = createAttribution(save, ({ layer, head }) => {
    if (layer !== null) selection.set({ layer, ...(head !== null && { head }) });
  });
  const sweep = createSweep(save, tools.release, (change) => {
    selectPlace(change.kind === "scale" ? change.part : change.value);
    if (change.kind === "scale") return;
    const { value, position } = change;
    selection.set(value.stack === "encoder" ? { sourceToken: position } : { token: position });
  });

  const whole = el(
    "div",
    {},
    el(
      "p",
      { class: "small muted" },
      t(
        "Click a part, or choose it by arrow keys and Enter: off, doubled, and as it was. The slider sets any factor. The numbers are factors of what the part adds to the residual stream; the colors show how far they are from 1.",
      ),
    ),
    parts.node,
    partsData.node,
    el("div", { class: "pair-controls" }, el("label", {}, sliderLabel, slider), apply, clear, busy, spoken),
    chips,
    problem.node,
    patching.node,
    el("h3", { class: "subheading" }, t("Before and after")),
    ofTranslator,
    nothingChanged,
    pairProblem.node,
    compared,
    el("h3", { class: "subheading" }, t("Watched token")),
    createTargetField(watched, () => base),
    attribution.node,
    sweep.node,
  );
  section.body.append(refused, whole);

  const selectPlace = (place: Part | PatchedValue) =>
    selection.set({ layer: place.layer, ...("head" in place && { head: place.head }) });
  const position = () => Math.min(selection.get().token, (base?.trace.tokens.length ?? 1) - 1);

  const setFactor = (factor: number) => {
    if (!chosen) return;
    setList(withFactor(list, chosen, factor));
    spoken.textContent = interventionText({ kind: "scale", part: chosen, factor });
  };
  const setList = (next: readonly Intervention[]) => {
    list = next;
    spoken.textContent = "";
    drawChanges();
    clearTimeout(resting);
    resting = setTimeout(() => void whileBusy(run()), REST);
  };

  /** Runs the text with the changes. */
  const run = async () => {
    const of = base;
    const question = ++asked;
    problem.clear();
    if (!of) return;
    const wanted = list;
    if (wanted.length === 0) return setChanged(null, false);
    try {
      const next = await of.intervened(wanted);
      if (question === asked) setChanged(next, true);
      else tools.release(next);
    } catch (error) {
      if (question === asked) problem.say(error);
    }
  };

  /** Says that something runs until all of it is done. */
  let running = 0;
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
    letGo();
    void whileBusy(drawPair());
    void whileBusy(drawAttribution());
  };

  /** Lets go of the runs that nothing is copied from any more, here or in the other views. */
  const letGo = () => {
    const inForce = [...list, ...tools.interventions.get().list];
    for (const source of sources) {
      if (inForce.some((each) => each.kind === "patch" && each.from.trace === source.trace.trace)) continue;
      sources.delete(source);
      tools.release(source);
    }
  };

  const drawChanges = () => {
    if (!base || !chosen) return;
    const { rows, columns } = grid;
    const factorAt = (row: number, col: number) => {
      const part = grid.at(row, col);
      return part ? factorOf(list, part) : 1;
    };
    parts.show({
      title: t("What each part is multiplied by"),
      rows: rows.length,
      cols: columns.length,
      values: Float32Array.from({ length: rows.length * columns.length }, (_, i) => {
        return factorAt(Math.floor(i / columns.length), i % columns.length) - 1;
      }),
      max: 1,
      scale: "diverging",
      masked: (row, col) => grid.at(row, col) === null,
      rowLabels: rows,
      colLabels: columns,
      rowHeight: 22,
      text: (row, col) => {
        if (grid.at(row, col) === null) return "";
        const factor = factorAt(row, col);
        return factor === 1 ? "1" : factor === 0 ? t("off") : `× ${Number(factor.toPrecision(3))}`;
      },
      describe: (row, col) => {
        const part = grid.at(row, col);
        if (!part) return NO_PART();
        const text = interventionText({ kind: "scale", part, factor: factorOf(list, part) });
        return base ? `${text}\n${runText(base)}` : text;
      },
    });
    const factor = factorOf(list, chosen);
    slider.value = String(factor);
    const named = interventionText({ kind: "scale", part: chosen, factor });
    sliderLabel.textContent = t("Factor: {0}", named);
    slider.setAttribute("aria-label", t("Factor"));
    slider.setAttribute("aria-valuetext", named);
    clear.disabled = list.length === 0 && !isInForce();
    apply.disabled = isApplied();
    fill(chips, ...list.map(drawChip));
    markPart();
    partsData.update();
  };
  /** Whether anything is changed in all views. */
  const isInForce = () => tools.interventions.get().list.length > 0;
  const isApplied = () => {
    const { list: now } = tools.interventions.get();
    return JSON.stringify(now) === JSON.stringify(list);
  };
  const drawChip = (each: Intervention) =>
    interventionChip(each, () => setList(list.filter((other) => other !== each)));
  const markPart = () => {
    if (!chosen) return;
    const { row, col } = grid.placeOf(chosen);
    parts.mark(row, col);
  };

  const pairNow = (): TracePair | null =>
    base && changed
      ? { inspections: [base, changed], names: [t("before"), t("after")], positions: [position(), position()] }
      : null;

  const drawPair = async () => {
    const pair = pairNow();
    pairProblem.clear();
    compared.hidden = pair === null;
    nothingChanged.hidden = pair !== null;
    section.summarize(changed || !base ? "" : t("nothing changed"));
    tellAwaited(compared, pair ? "computed" : "there");
    if (!pair) return;
    const [before, after] = pair.inspections;
    const isCurrent = () => base === before && changed === after;
    try {
      const lenses = await tokens.show(pair);
      if (!lenses || !isCurrent()) return;
      lens.show(pair, lenses);
      await attention.show(pair);
      const difference = await before.compareTraces(after.trace.trace);
      if (!isCurrent()) return;
      tellAwaited(compared, "there");
      strip.show(pair, difference);
      strip.mark(position());
      const bits = difference.divergence[position()] as number;
      section.summarize(t("KL {0} bits after token {1}", formatValue(bits), position()));
    } catch (error) {
      if (!isCurrent()) return;
      tellAwaited(compared, "failed");
      pairProblem.say(error);
    }
  };

  /** What is watched where nothing was chosen: what the unchanged run expects most. */
  const drawAttribution = async () => {
    const of = base;
    if (!of) return attribution.fail();
    const at = position();
    attribution.await();
    if (!watched.get().target?.isChosen) {
      try {
        const answer = await of.lens({ positions: [at, at + 1], count: 1 });
        const id = answer.ids.at(-1) as number;
        if (base !== of || position() !== at || watched.get().target?.isChosen) return;
        if (watched.get().target?.id !== id) {
          // Which draws this again.
          return watched.set({
            target: { id, label: visibleText(answer.tokens[id] ?? "") || `#${id}`, isChosen: false },
          });
        }
      } catch (error) {
        if (base !== of) return;
        attribution.fail();
        pairProblem.say(error);
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
    if (base && target) {
      const stacks = stacksOf(base.trace);
      sweep.prepare({ base, source: patching.source(), position: position(), target, stacks });
    }
  };

  watched.subscribe(() => void drawAttribution());
  tools.interventions.subscribe(() => drawChanges());
  const lookAgain = whenSeen(whole, () => {
    if (!base) return;
    patching.look();
    void whileBusy(drawPair());
    void whileBusy(drawAttribution());
  });
  const placeAgain = whenSeen(whole, () => {
    if (!base) return;
    patching.look();
    const pair = pairNow();
    if (pair) attention.show(pair).catch(pairProblem.say);
  });
  selection.subscribe((now, before) => {
    if (now.token !== before.token) lookAgain();
    else if (isElsewhere(now, before)) placeAgain();
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      const { trace } = next;
      const reason = refusal(next);
      refused.textContent = reason;
      refused.hidden = reason === "";
      whole.hidden = reason !== "";
      asked += 1;
      clearTimeout(resting);
      base = reason === "" ? (next.base ?? next) : null;
      list = trace.interventions ?? [];
      if (list.length === 0) spoken.textContent = "";
      if (!base) return setChanged(null, false);
      ofTranslator.hidden = !trace.source;
      grid = partGrid(stacksOf(base.trace));
      const { row, col } = chosen ? grid.placeOf(chosen) : { row: 0, col: 0 };
      chosen = grid.at(row, col) ?? grid.at(0, 0);
      patching.show(base);
      patching.look();
      drawChanges();
      setChanged(next.base ? next : null, false);
    },
  };
}
