/** The Model Explorer: every view of one trace, at full size. This is its shell: the prompt, its tokens and the views shown. */

import "../base/theme.css";
// The views' styles, shared with the side panel.
import "../trace/trace.css";
import "./explorer.css";
import type { ExplorerEvents, ExplorerHost, HostAction } from "../../src/protocol/webviewApi";
import { el, fill } from "../base/dom";
import { formatMilliseconds } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { createStore } from "../base/store";
import { t } from "../base/strings";
import { button, registerControls } from "../base/toolkit";
import { emptyNotice, noteNotice, problemNotice } from "../parts/notices";
import { NO_SHADING, type Shading } from "../trace/attention/layout";
import { createAttentionShading } from "../trace/attention/shading";
import { createInspection, type ExplorerTools, type Inspection, type Selection } from "../trace/inspection";
import { keptFor, readHistory, savedHistory } from "../trace/interventionHistory";
import { createScrubber } from "../trace/scrubber";
import { shareSelection } from "../trace/sharedSelection";
import { createProgress, type Listeners, selectionIn, startPage } from "../trace/shell";
import { createIntervening } from "./intervening";
import { addHistoryKeys, createInterventionBar } from "./interventionBar";
import { tokenToSelect } from "./pageState";
import { createSharedTraces } from "./sharedTraces";
import { createTokenStrip } from "./tokenStrip";
import { createTopBar } from "./topBar";
import { createViewPanes } from "./viewPanes";

registerControls();
const host = connectHost<ExplorerHost, ExplorerEvents>();
document.body.classList.add("page-editor");

/** Kept while the panel is hidden and when the window is reloaded, after which the host reads `text` and `model`. */
const state = createStore(
  remembered({
    text: "",
    /** The folder of its model. */
    model: "",
    view: "overview",
    beside: "",
    token: -1,
    layer: 0,
    head: 0,
    shade: false as boolean,
    generation: "",
    read: "",
    interventions: "",
    prompts: "",
  }),
);
state.subscribe((now) => remember(now));

const main = el("main", { class: "explorer", attrs: { "aria-label": "Model Explorer" } });
document.body.append(main);
void startPage(
  host,
  ["trace", "busy", "follow", "toggleShading", "open", "select", "checkpoints", "problem", "empty"],
  mount,
);

function mount(follows: boolean): Listeners<ExplorerEvents> {
  const { text, token, layer, head } = state.get();
  const selection = createStore<Selection>({ token: Math.max(0, token), layer, head });
  const saved = readHistory(state.get().interventions);
  const interventions: ExplorerTools["interventions"] = createStore(saved.history);
  /** The trace without interventions, and the one that is shown: with active interventions they differ. */
  let base: Inspection | null = null;
  let shown: Inspection | null = null;

  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const others = createSharedTraces(
    async (dir, text) => {
      const trace = await host.call("inspectAlso", { dir, text });
      const source = { kind: "typed", label: trace.model.name, text, truncated: false } as const;
      return createInspection(trace, source, host);
    },
    ({ trace }) => void host.call("releaseTrace", { trace: trace.trace }).catch(() => undefined),
  );
  const explorer: ExplorerTools = {
    open: (view) => panes.open(view),
    run: (prompt) => run(prompt),
    memory: state,
    interventions,
    intervening: createStore<ReturnType<ExplorerTools["intervening"]["get"]>>({ state: "done" }),
    models: () => host.call("models", {}),
    promptSets: {
      list: () => host.call("promptSets", {}),
      save: (set) => host.call("savePromptSet", set),
      remove: (name) => host.call("deletePromptSet", { name }),
      import: () => host.call("importPrompts", {}),
    },
    alongside: others.take,
    release: others.release,
    shading: createStore<Shading>({ ...NO_SHADING, on: state.get().shade }),
  };
  explorer.shading.subscribe(({ on }) => state.set({ shade: on }));
  const act = (action: HostAction) => void host.call("act", { action });
  const panes = createViewPanes(state, { selection, save, explorer });
  const strip = createTokenStrip(selection);
  const bar = createTopBar(text, follows, {
    run: (prompt) => {
      state.set({ text: prompt });
      run(prompt);
    },
    follow: (follow) => void host.call("follow", { follow }),
    chooseModel: () => act("chooseModel"),
  });
  const scrubber = createScrubber((step) => host.call("scrub", { step }));
  const error = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const notice = el("div", { class: "notice" });
  const progress = createProgress(main);
  const status = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  const saveTrace = button(t("Save trace"), () => {
    if (shown) void host.call("saveTrace", { trace: shown.trace.trace }).catch(say);
  });
  const interventionBar = createInterventionBar(interventions);
  /** The Interventions view has the bar below its grid, where it moves nothing when it appears. */
  const updateBar = () => {
    const { past, list, future } = interventions.get();
    const { view, beside } = state.get();
    interventionBar.hidden =
      past.length + list.length + future.length === 0 || [view, beside].includes("interventions");
  };
  interventions.subscribe(updateBar);
  state.subscribe(updateBar);
  updateBar();
  addHistoryKeys(interventions);
  bar.buttons.before(scrubber.node);
  bar.buttons.append(saveTrace);
  main.append(
    el("h1", { class: "visually-hidden" }, t("Model Explorer")),
    progress.node,
    bar.node,
    interventionBar,
    error,
    notice,
    status,
    strip.node,
    panes.node,
  );
  const shading = createAttentionShading(
    selection,
    explorer.shading,
    (weights) => base && void host.call("shade", { trace: base.trace.trace, weights }).catch(() => undefined),
    say,
  );
  const setVisible = (visible: boolean) => {
    for (const part of [strip.node, panes.node, saveTrace]) part.hidden = !visible;
  };
  setVisible(false);

  function say(reason: unknown): void {
    error.textContent = reason instanceof Error ? reason.message : String(reason);
  }

  function run(prompt: string): void {
    bar.follow(false);
    host.call("inspectText", { text: prompt }).catch(say);
  }

  const show = (inspection: Inspection) => {
    // A trace with interventions belongs to this page, so the page releases it.
    if (shown?.base && shown !== inspection) explorer.release(shown);
    shown = inspection;
    bar.describe(inspection);
    strip.show(inspection);
    panes.show(inspection);
    shading.show(inspection);
  };

  const intervene = createIntervening(
    explorer,
    () => {
      const { list } = interventions.get();
      return base && list.length > 0 ? { base, list } : null;
    },
    {
      running() {
        progress.show(true);
        explorer.intervening.set({ state: "computing" });
      },
      done(intervened) {
        explorer.intervening.set({ state: "done" });
        show(intervened);
      },
      failed(reason) {
        explorer.intervening.set({ state: "failed" });
        if (base && shown !== base && shown?.base !== base) show(base);
        say(reason);
      },
      ended: () => progress.show(false),
    },
  );
  /** Shows the prompt with the active interventions, or without them again. */
  const showIntervened = () => {
    error.textContent = "";
    if (interventions.get().list.length > 0) return void intervene();
    explorer.intervening.set({ state: "done" });
    if (base) show(base);
  };
  interventions.subscribe((now, before) => {
    state.set({ interventions: savedHistory(now, base?.trace.model.name ?? saved.model) });
    if (now.list !== before.list) showIntervened();
  });

  const select = shareSelection(
    selection,
    () => base?.trace.trace,
    (selected) => void host.call("select", selected).catch(() => undefined),
  );
  selection.subscribe(({ token, layer, head }) => state.set({ token, layer, head }));

  return {
    trace({ trace, source, note }) {
      const before = base;
      const next = createInspection(trace, source, host);
      fill(notice, trace.opened && el("p", { class: "small muted" }, fromFileText()), note && noteNotice(note));
      error.textContent = "";
      setVisible(true);
      const { text, token } = state.get();
      const shownBefore = { text: before?.source.text ?? text, token, chosen: before?.source.chosen };
      // A trace from a file comes without its model.
      const isSameModel = !trace.opened && (before?.trace.model.name ?? saved.model) === trace.model.name;
      others.outdate();
      selection.set(selectionIn(trace, tokenToSelect(trace, source, shownBefore), selection.get()));
      state.set({ text: source.text, model: trace.model.dir });
      bar.source(source);
      base = next;
      const { list } = interventions.get();
      interventions.set(keptFor(interventions.get(), { isSameModel, isSameText: shownBefore.text === source.text }));
      // Another list is shown by its subscription.
      if (interventions.get().list === list) showIntervened();
      status.textContent = t("{0} tokens traced in {1}.", trace.tokens.length, formatMilliseconds(trace.milliseconds));
    },
    select,
    follow: ({ follow }) => bar.follow(follow),
    open: ({ view }) => panes.open(view),
    toggleShading() {
      panes.open("attention");
      explorer.shading.set({ on: !explorer.shading.get().on });
    },
    checkpoints: scrubber.show,
    busy: ({ busy }) => progress.busy(busy),
    problem(problem) {
      setVisible(false);
      bar.clear(problem.model ?? null);
      const retry = () => {
        void host.call("retry", {});
        // The button disappears once the trace arrives.
        bar.focus();
      };
      fill(notice, ...problemNotice(problem, act, { retry, run }));
    },
    empty(empty) {
      setVisible(false);
      bar.clear(null);
      fill(notice, emptyNotice(empty, act));
    },
  };
}

const fromFileText = () =>
  t(
    "This trace was opened from a file, without its model. Tokens, next token, hidden states, attention and the projection of embeddings are available. Architecture, logit lens, generation, interventions, comparison and neighbors need the model: type a prompt above to use the active one.",
  );
