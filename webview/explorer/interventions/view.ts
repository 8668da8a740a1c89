/** The Interventions view: parts of the model are ablated or scaled, values are patched, and the effects are compared. */

import "../tracePair/tracePair.css";
import type { Part, PatchedValue } from "../../../src/protocol/traceApi";
import { el } from "../../base/dom";
import { createStore } from "../../base/store";
import { t } from "../../base/strings";
import { createModelGate } from "../../trace/fromFile";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { changed } from "../../trace/interventionHistory";
import { visibleText } from "../../trace/tokens/layout";
import { followSelection } from "../tracePair/tracePair";
import { createAttribution } from "./attribution";
import { createBeforeAfter } from "./beforeAfter";
import { withPatch } from "./changes";
import { stacksOf } from "./parts";
import { createPartsGrid } from "./partsGrid";
import { createPatching } from "./patching";
import { createSweep } from "./sweep";
import { partOf } from "./sweepPlan";
import { createTargetField, type Target } from "./target";

export function createInterventionsView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Interventions"));
  // Only the Model Explorer has this view.
  const tools = explorer as ExplorerTools;
  const { interventions } = tools;
  const watched = createStore<{ readonly target: Target | null }>({ target: null });
  /** The traces without and with the active interventions; null for the latter if there are none. */
  let base: Inspection | null = null;
  let intervened: Inspection | null = null;

  const grid = createPartsGrid(save, {
    interventions,
    select: (part) => selectPart(part),
    patch: (part) => patching.setUp(part),
  });
  const patching = createPatching(save, tools, {
    selection,
    patch: (patch) => {
      const history = interventions.get();
      interventions.set(changed(history, withPatch(history.list, patch)));
    },
    changed: () => prepareSweep(),
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
  const sweep = createSweep(
    save,
    createTargetField(watched, () => base),
    {
      release: tools.release,
      color: grid.color,
      pick(intervention) {
        selectPart(partOf(intervention));
        if (intervention.kind === "scale") return;
        const { value, position } = intervention;
        selection.set(value.stack === "encoder" ? { sourceToken: position } : { token: position });
      },
    },
  );
  const whole = el(
    "div",
    {},
    sweep.controls,
    grid.node,
    ofTranslator,
    ...comparison.nodes,
    patching.node,
    sweep.picture,
    attribution.node,
  );
  const gate = createModelGate(whole);
  section.body.append(...gate.nodes);

  const selectPart = (part: Part | PatchedValue) =>
    selection.set({ layer: part.layer, ...("head" in part && { head: part.head }) });
  const position = () => Math.min(selection.get().token, (base?.trace.tokens.length ?? 1) - 1);

  const compare = () => {
    void comparison.show(base, intervened, position());
    void drawAttribution();
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
    await attribution.show(intervened ? [of, intervened] : [of], at, target);
  };
  const prepareSweep = () => {
    const { target } = watched.get();
    if (!base || !target) return;
    sweep.prepare({ base, source: patching.source(), position: position(), target, stacks: stacksOf(base.trace) });
  };

  watched.subscribe(() => void drawAttribution());
  tools.intervening.subscribe(({ state }) => comparison.await(state));
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
      base = gate.admits(next) ? (next.base ?? next) : null;
      intervened = base && next.base ? next : null;
      if (base) {
        ofTranslator.hidden = !next.trace.source;
        grid.show(base);
        patching.show(base);
        patching.look();
      }
      compare();
    },
  };
}
