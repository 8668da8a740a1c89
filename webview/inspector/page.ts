/** The Layer Inspector: one text, run through the active model once, and everything that happened inside. */

import "../base/theme.css";
import "../trace/trace.css";
import type {
  HostAction,
  InspectedSource,
  InspectorEvents,
  InspectorHost,
  ScrubberEvents,
  ScrubberHost,
} from "../../src/protocol/webviewApi";
import { el, fill, setAttr } from "../base/dom";
import { formatMilliseconds, formatParameters } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { createStore } from "../base/store";
import { t, useStrings } from "../base/strings";
import { checkbox, registerControls, textField } from "../base/toolkit";
import { emptyNotice, noteNotice, problemNotice } from "../parts/notices";
import { createSection } from "../parts/section";
import { attentionSize } from "../trace/attention/layout";
import { createAttentionView } from "../trace/attention/view";
import { createEmbeddingView } from "../trace/embedding/view";
import { createInspection, type Inspection, type Selection, type View, type ViewContext } from "../trace/inspection";
import { createLayersView } from "../trace/layers/view";
import { createNextTokenView } from "../trace/nextToken/view";
import { createScrubber } from "../trace/scrubber";
import { shareSelection } from "../trace/sharedSelection";
import { createTokensView } from "../trace/tokens/view";
import { tokensText } from "../trace/tokensText";
import { createWaiting } from "../trace/whenMounted";
import { createSample } from "./sample";

/** Typing pauses this long before the text is inspected. */
const TYPING_PAUSE = 350;

registerControls();
const host = connectHost<InspectorHost & ScrubberHost, InspectorEvents & ScrubberEvents>();

/** Kept while the view is hidden; `folded` names the sections that are closed. */
const state = createStore(remembered({ typed: "", token: -1, layer: 0, head: 0, folded: "" }));
state.subscribe((now) => remember(now));

const main = el("main", { class: "inspector", attrs: { "aria-label": "Layer Inspector" } });
document.body.append(main);
void start();

async function start(): Promise<void> {
  const { whenMounted, mount: mounted } = createWaiting<ReturnType<typeof mount>>();
  host.on("trace", (event) => whenMounted((page) => page.trace(event)));
  host.on("checkpoints", (event) => whenMounted((page) => page.checkpoints(event)));
  host.on("busy", ({ busy }) => whenMounted((page) => page.busy(busy)));
  host.on("follow", ({ follow }) => whenMounted((page) => page.follow(follow)));
  host.on("select", (event) => whenMounted((page) => page.select(event)));
  host.on("problem", (event) => whenMounted((page) => page.problem(event)));
  host.on("empty", (event) => whenMounted((page) => page.empty(event)));

  const { strings, follow } = await host.call("ready", {});
  useStrings(strings);
  mounted(mount(follow));
}

/** Builds the page and answers what the host's events do to it. */
function mount(follows: boolean) {
  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const selection = createStore<Selection>({ token: 0, layer: state.get().layer, head: state.get().head });
  selection.subscribe((now) => state.set({ ...now }));
  const select = shareSelection(
    selection,
    () => shown?.trace.trace,
    (selected) => void host.call("select", selected).catch(() => undefined),
  );
  /** Views that are folded and have not seen the trace. */
  const waiting = new Set<View>();
  const opened = () => {
    for (const view of waiting) {
      if (!view.section.isOpen() || !shown) continue;
      waiting.delete(view);
      view.show(shown);
    }
  };
  const context: ViewContext = { selection, save, section: (title) => section(title, opened) };
  const views = [createTokensView, createEmbeddingView, createLayersView, createAttentionView, createNextTokenView].map(
    (create) => create(context),
  );

  const input = textField(t("Text to inspect"), t("Type text to look inside…"));
  const follow = checkbox(t("Follow editor"), follows, (checked) => void host.call("follow", { follow: checked }));
  if (!follows) input.value = state.get().typed;
  let typing: ReturnType<typeof setTimeout> | undefined;
  const inspectTyped = () => {
    clearTimeout(typing);
    typing = undefined;
    follow.checked = false;
    state.set({ typed: input.value });
    void host
      .call("inspectText", { text: input.value })
      .catch((error: Error) => page.problem({ message: error.message, action: null }));
  };
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(inspectTyped, TYPING_PAUSE);
  });
  input.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") inspectTyped();
  });

  const progress = el("div", {
    class: "progress",
    attrs: { role: "progressbar", "aria-label": t("Running the model") },
  });
  progress.hidden = true;
  const scrubber = createScrubber((step) => host.call("scrub", { step }));
  const sample = createSample();
  sample.node.hidden = true;
  const scrubbing = el("div", { class: "scrubbing" }, scrubber.node, sample.node);
  // The views' titles stay below it.
  const measure = () => main.style.setProperty("--scrubbing", `${scrubbing.offsetHeight}px`);
  new ResizeObserver(measure).observe(scrubbing);
  const source = el("p", { class: "source" });
  const modelLine = el("p", { class: "model-line small muted" });
  const notice = el("div", { class: "notice" });
  const pictures = el("div", { class: "pictures" }, ...views.map(({ section: part }) => part.node));
  pictures.hidden = true;
  const spoken = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  main.append(
    el("h1", { class: "visually-hidden" }, t("Layer Inspector")),
    progress,
    el("div", { class: "inputs" }, input, el("div", { class: "input-row" }, follow, source), modelLine),
    scrubbing,
    notice,
    spoken,
    pictures,
  );

  const act = (action: HostAction) => void host.call("act", { action });

  let shown: Inspection | null = null;
  let shownKind: InspectedSource["kind"] | null = null;
  const page = {
    trace({ trace, source: from, note }: InspectorEvents["trace"]) {
      const inspection = createInspection(trace, from, host);
      fill(notice, note && noteNotice(note));
      pictures.hidden = false;
      source.textContent = sourceText(from);
      source.title = from.label;
      fill(
        modelLine,
        el("span", { class: "model-name" }, trace.model.name),
        ` · ${t("{0} parameters", formatParameters(trace.model.parameters))} · ${trace.device} · ${tokensText(trace, from)} · ${formatMilliseconds(trace.milliseconds)}`,
      );
      // What the user is typing is newer than what comes back, also when it was typed just before the focus went.
      const isTyping = document.activeElement === input || typing !== undefined;
      if (from.kind === "typed") {
        if (!isTyping) input.value = from.text;
        follow.checked = false;
      } else if (shownKind === "typed" && !isTyping) {
        // The host leaves typed text only to follow the editor again.
        input.value = "";
        state.set({ typed: "" });
        follow.checked = true;
      }
      shownKind = from.kind;

      const { layers, heads } = attentionSize(trace);
      const { layer, head, token } = selection.get();
      const isSameText =
        shown?.source.text === from.text &&
        shown.source.label === from.label &&
        shown.trace.model.name === trace.model.name;
      const last = trace.tokens.length - 1;
      // The last token is the one whose continuation is shown, so it is the first choice for a new text.
      selection.set({
        token: isSameText ? Math.min(token, last) : last,
        layer: Math.min(layer, Math.max(0, layers - 1)),
        head: Math.min(head, Math.max(0, heads - 1)),
      });
      shown = inspection;
      if (!scrubber.node.hidden) sample.show(inspection);
      for (const view of views) {
        if (view.section.isOpen() || !view.asksTensors) view.show(inspection);
        else {
          view.section.summarize("");
          waiting.add(view);
        }
      }
      // Of a text that is seen at another checkpoint, the slider says which.
      if (!isSameText) {
        spoken.textContent = t(
          "{0} tokens inspected in {1}.",
          trace.tokens.length,
          formatMilliseconds(trace.milliseconds),
        );
      }
    },
    checkpoints(event: ScrubberEvents["checkpoints"]) {
      scrubber.show(event);
      if (scrubber.node.hidden) sample.node.hidden = true;
      else if (shown && sample.node.hidden) sample.show(shown);
    },
    follow(follows: boolean) {
      follow.checked = follows;
    },
    select,
    busy(busy: boolean) {
      progress.hidden = !busy;
      setAttr(main, "aria-busy", String(busy));
    },
    problem(problem: InspectorEvents["problem"]) {
      pictures.hidden = true;
      fill(modelLine, problem.model && el("span", { class: "model-name" }, problem.model));
      fill(notice, ...problemNotice(problem, act, () => void host.call("retry", {})));
    },
    empty(empty: InspectorEvents["empty"]) {
      pictures.hidden = true;
      source.textContent = "";
      fill(modelLine);
      fill(notice, emptyNotice(empty, act));
    },
  };
  return page;
}

function section(title: string, opened: () => void) {
  const folded = new Set(state.get().folded.split("\n").filter(Boolean));
  return createSection(title, !folded.has(title), (open) => {
    const now = new Set(state.get().folded.split("\n").filter(Boolean));
    if (open) now.delete(title);
    else now.add(title);
    state.set({ folded: [...now].join("\n") });
    if (open) opened();
  });
}

const sourceText = ({ label, truncated }: InspectedSource): string => (truncated ? t("{0} (its end)", label) : label);
