/** The Explorer: every view of one run, with room. The shell: what is run, its tokens, and which views are shown. */

import "../base/theme.css";
// The views' own styles are there, beside those of the side panel's frame.
import "../trace/trace.css";
import "./explorer.css";
import type { TraceInfo } from "../../src/protocol/engineApi";
import type { Intervention } from "../../src/protocol/traceApi";
import type { ExplorerEvents, ExplorerHost, HostAction, InspectedSource } from "../../src/protocol/webviewApi";
import { el, fill, setAttr } from "../base/dom";
import { formatCount, formatMilliseconds, formatParameters, formatShort } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { createStore } from "../base/store";
import { t, useStrings } from "../base/strings";
import { button, checkbox, registerControls } from "../base/toolkit";
import { emptyNotice, noteNotice, problemNotice } from "../parts/notices";
import { attentionSize } from "../trace/attention/layout";
import { createAttentionShading, NO_SHADING, type Shading } from "../trace/attention/shading";
import { createInspection, type ExplorerTools, type Inspection, type Selection } from "../trace/inspection";
import { createScrubber } from "../trace/scrubber";
import { shareSelection } from "../trace/sharedSelection";
import { tokensText } from "../trace/tokensText";
import { createWaiting } from "../trace/whenMounted";
import { createInterventionChips } from "./interventionChips";
import { createTokenStrip } from "./tokenStrip";
import { createViewPanes } from "./viewPanes";

/** Typing pauses this long before the text is run. */
const TYPING_PAUSE = 500;

registerControls();
const host = connectHost<ExplorerHost, ExplorerEvents>();
document.body.classList.add("page-editor");

/** Kept while the panel is hidden, and over a reload of the window: the host reads `text` then. */
const state = createStore(
  remembered({
    text: "",
    view: "tokens",
    beside: "",
    token: -1,
    layer: 0,
    head: 0,
    shade: false as boolean,
    generation: "",
  }),
);
state.subscribe((now) => remember(now));

const main = el("main", { class: "explorer", attrs: { "aria-label": "Explorer" } });
document.body.append(main);
void start();

async function start(): Promise<void> {
  const { whenMounted, mount: mounted } = createWaiting<ReturnType<typeof mount>>();
  host.on("trace", (event) => whenMounted((page) => page.trace(event)));
  host.on("busy", ({ busy }) => whenMounted((page) => page.busy(busy)));
  host.on("follow", ({ follow }) => whenMounted((page) => page.follow(follow)));
  host.on("toggleShading", () => whenMounted((page) => page.toggleShading()));
  host.on("open", (event) => whenMounted((page) => page.open(event)));
  host.on("select", (selected) => whenMounted((page) => page.select(selected)));
  host.on("checkpoints", (event) => whenMounted((page) => page.checkpoints(event)));
  host.on("problem", (event) => whenMounted((page) => page.problem(event)));
  host.on("empty", (event) => whenMounted((page) => page.empty(event)));

  const { strings, follow } = await host.call("ready", {});
  useStrings(strings);
  mounted(mount(follow));
}

/** Builds the page and answers what the host's events do to it. */
function mount(follows: boolean) {
  const { token, layer, head } = state.get();
  const selection = createStore<Selection>({ token: Math.max(0, token), layer, head });
  const interventions = createStore<{ readonly list: readonly Intervention[] }>({ list: [] });
  /** The run as it is, and the run that is shown: with interventions another one. */
  let base: Inspection | null = null;
  let shown: Inspection | null = null;

  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const explorer: ExplorerTools = {
    open: (view) => panes.open(view),
    run: (text) => runText(text),
    memory: state,
    interventions,
    models: () => host.call("models", {}),
    alongside: async (dir, text) => {
      const trace = await host.call("inspectAlso", { dir, text });
      const source = { kind: "typed", label: trace.model.name, text, truncated: false } as const;
      return createInspection(trace, source, host);
    },
    release: ({ trace }) => void host.call("releaseTrace", { trace: trace.trace }).catch(() => undefined),
    shading: createStore<Shading>({ ...NO_SHADING, on: state.get().shade }),
  };
  explorer.shading.subscribe(({ on }) => state.set({ shade: on }));
  const panes = createViewPanes(state, { selection, save, explorer });
  const strip = createTokenStrip(selection);
  const bar = createTopBar(follows, runText);
  const scrubber = createScrubber((step) => host.call("scrub", { step }));
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const notice = el("div", { class: "notice" });
  const progress = el("div", {
    class: "progress",
    attrs: { role: "progressbar", "aria-label": t("Running the model") },
  });
  progress.hidden = true;
  const spoken = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  const saveTrace = button(t("Save trace"), () => {
    if (shown) void host.call("saveTrace", { trace: shown.trace.trace }).catch(say);
  });
  bar.buttons.before(scrubber.node);
  bar.buttons.append(saveTrace);
  main.append(
    el("h1", { class: "visually-hidden" }, t("Explorer")),
    progress,
    bar.node,
    createInterventionChips(interventions),
    problem,
    notice,
    spoken,
    strip.node,
    panes.node,
  );
  const shading = createAttentionShading(
    selection,
    explorer.shading,
    (weights) => base && void host.call("shade", { trace: base.trace.trace, weights }).catch(() => undefined),
    say,
  );
  const setShown = (visible: boolean) => {
    for (const part of [strip.node, panes.node, saveTrace]) part.hidden = !visible;
  };
  setShown(false);

  function say(error: unknown): void {
    problem.textContent = error instanceof Error ? error.message : String(error);
  }

  function runText(text: string): void {
    bar.follow(false);
    host.call("inspectText", { text }).catch(say);
  }

  const show = (inspection: Inspection) => {
    // A run with interventions is this page's own: nobody else lets go of it.
    if (shown?.base && shown !== inspection) explorer.release(shown);
    shown = inspection;
    bar.describe(inspection);
    strip.show(inspection);
    panes.show(inspection);
    shading.show(inspection);
  };

  /** Runs the text again with what is in force, or goes back to the first run. */
  const intervene = async () => {
    const of = base;
    if (!of) return;
    const { list } = interventions.get();
    problem.textContent = "";
    if (list.length === 0) return show(of);
    try {
      progress.hidden = false;
      const trace = await of.intervene({ interventions: list });
      if (base === of && interventions.get().list === list) show(createInspection(trace, of.source, host, of));
    } catch (error) {
      if (base === of) say(error);
    } finally {
      progress.hidden = true;
    }
  };
  interventions.subscribe(() => void intervene());

  const select = shareSelection(
    selection,
    () => base?.trace.trace,
    (selected) => void host.call("select", selected).catch(() => undefined),
  );
  selection.subscribe(({ token, layer, head }) => state.set({ token, layer, head }));

  const act = (action: HostAction) => void host.call("act", { action });

  return {
    trace({ trace, source, note }: ExplorerEvents["trace"]) {
      const before = base;
      const next = createInspection(trace, source, host);
      fill(notice, trace.opened && el("p", { class: "small muted" }, ofFile()), note && noteNotice(note));
      problem.textContent = "";
      setShown(true);
      const sameText = source.text === (before?.source.text ?? state.get().text);
      const { token, layer, head } = selection.get();
      const { layers, heads } = attentionSize(trace);
      const last = trace.tokens.length - 1;
      const { chosen } = source;
      const isChosen = chosen !== undefined && !(sameText && before?.source.chosen === chosen);
      const asked = isChosen ? trace.tokens.findIndex(({ start, end }) => start <= chosen && chosen < end) : -1;
      // The last token is the one whose continuation is shown, so it is the first choice for a new text.
      const usual = sameText && state.get().token >= 0 ? Math.min(token, last) : last;
      selection.set({
        token: asked >= 0 ? asked : usual,
        layer: Math.min(layer, Math.max(0, layers - 1)),
        head: Math.min(head, Math.max(0, heads - 1)),
      });
      state.set({ text: source.text });
      bar.source(source);
      base = next;
      // What was taken from other runs is gone with them; another model has other parts.
      const { list } = interventions.get();
      const kept = before?.trace.model.dir === trace.model.dir ? list.filter(({ kind }) => kind === "scale") : [];
      if (kept.length === 0) show(next);
      if (list.length > 0) interventions.set({ list: kept });
      spoken.textContent = t("{0} tokens run in {1}.", trace.tokens.length, formatMilliseconds(trace.milliseconds));
    },
    select,
    follow: bar.follow,
    open({ view }: ExplorerEvents["open"]) {
      panes.open(view);
    },
    toggleShading() {
      panes.open("attention");
      explorer.shading.set({ on: !explorer.shading.get().on });
    },
    checkpoints(event: ExplorerEvents["checkpoints"]) {
      scrubber.show(event);
    },
    busy(busy: boolean) {
      progress.hidden = !busy;
      setAttr(main, "aria-busy", String(busy));
    },
    problem(problem: ExplorerEvents["problem"]) {
      setShown(false);
      bar.forget(problem.model ?? null);
      const retry = () => {
        void host.call("retry", {});
        // The button goes when the run comes.
        bar.focus();
      };
      fill(notice, ...problemNotice(problem, act, retry));
    },
    empty(empty: ExplorerEvents["empty"]) {
      setShown(false);
      bar.forget(null);
      fill(notice, emptyNotice(empty, act));
    },
  };
}

/** What a run can show that was opened from a file. */
const ofFile = () =>
  t(
    "This run is from a file, without its model: tokens, next token, hidden states, attention and the projection of embeddings show it. Architecture, logit lens, generation, interventions, comparing and neighbors need the model; type a text above to run it with the active one.",
  );

/** How near the engine is known to come to another. */
function parityFact({ maxDifference, of }: NonNullable<TraceInfo["model"]["parity"]>): Element {
  const says = t(
    "In tests with tiny models of this kind, no value from embeddings to logits differed by more from what {0} computes.",
    of,
  );
  return el("span", { class: "explained", title: says }, t("within {0} of {1}", formatShort(maxDifference), of));
}

/** What is run, by which model, and what that took. */
function createTopBar(follows: boolean, run: (text: string) => void) {
  const model = el(
    "button",
    {
      class: "model-button",
      title: t("Choose the model"),
      attrs: { type: "button" },
      on: { click: () => void host.call("act", { action: "chooseModel" }) },
    },
    t("Choose the model"),
  );
  const prompt = el("textarea", {
    class: "prompt",
    attrs: {
      rows: 1,
      spellcheck: "false",
      "aria-label": t("Text to run"),
      placeholder: t("Type text to look inside…"),
    },
  });
  prompt.value = state.get().text;
  let typing: ReturnType<typeof setTimeout> | undefined;
  const runTyped = () => {
    clearTimeout(typing);
    state.set({ text: prompt.value });
    run(prompt.value);
  };
  prompt.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(runTyped, TYPING_PAUSE);
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    runTyped();
  });
  const follow = checkbox(t("Follow editor"), follows, (checked) => void host.call("follow", { follow: checked }));
  const facts = el("p", { class: "facts small muted" });
  const from = el("span", { class: "source" });
  const buttons = el("div", { class: "buttons" });
  const node = el(
    "header",
    { class: "top-bar" },
    el("div", { class: "run-row" }, model, prompt, follow),
    el("div", { class: "facts-row" }, facts, from, buttons),
  );
  return {
    node,
    buttons,
    follow: (on: boolean) => {
      follow.checked = on;
    },
    source({ kind, label, text, truncated }: InspectedSource) {
      // What the user is typing is newer than what comes back.
      if (document.activeElement !== prompt) prompt.value = text;
      from.textContent = truncated ? t("{0} (its end)", label) : label;
      from.title = label;
      if (kind === "typed") follow.checked = false;
    },
    focus: () => prompt.focus(),
    /** What was said of a run that is not there any more; `name`: of the model that was to be run instead. */
    forget(name: string | null) {
      model.textContent = name ?? t("Choose the model");
      facts.textContent = "";
      from.textContent = "";
    },
    describe({ trace, source }: Inspection) {
      model.textContent = trace.model.name;
      const { device, milliseconds } = trace;
      const { parameters, precision, step, parity } = trace.model;
      const parts = [
        t("{0} parameters", formatParameters(parameters)),
        precision,
        step > 0 && t("step {0}", formatCount(step)),
        device,
        tokensText(trace, source),
        formatMilliseconds(milliseconds),
      ].filter((part) => typeof part === "string");
      fill(facts, parts.join(" · "), parity && ` · `, parity && parityFact(parity));
    },
  };
}
