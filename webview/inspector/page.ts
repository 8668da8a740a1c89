/** The Layer Inspector: the trace of one prompt, in the side panel. */

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
import { el, fill } from "../base/dom";
import { deviceName, formatMilliseconds, formatParameters } from "../base/format";
import { connectHost, remember, remembered } from "../base/host";
import { createStore } from "../base/store";
import { t } from "../base/strings";
import { checkbox, registerControls, textField } from "../base/toolkit";
import { emptyNotice, noteNotice, problemNotice } from "../parts/notices";
import { createSection } from "../parts/section";
import { createAttentionView } from "../trace/attention/view";
import { createEmbeddingView } from "../trace/embedding/view";
import { createInspection, type Inspection, type Selection, type View, type ViewContext } from "../trace/inspection";
import { createLayersView } from "../trace/layers/view";
import { createNextTokenView } from "../trace/nextToken/view";
import { createScrubber } from "../trace/scrubber";
import { shareSelection } from "../trace/sharedSelection";
import { createProgress, type Listeners, selectionIn, startPage, submitTyped } from "../trace/shell";
import { createTokensView } from "../trace/tokens/view";
import { tokensText } from "../trace/tokensText";
import { createSample } from "./sample";

/** A typed prompt is traced after this pause, in ms. */
const TYPING_PAUSE = 350;

registerControls();
type Events = InspectorEvents & ScrubberEvents;
const host = connectHost<InspectorHost & ScrubberHost, Events>();

/** Kept while the view is hidden; `folded` lists the titles of the folded sections, one a line. */
const state = createStore(remembered({ typed: "", token: -1, layer: 0, head: 0, folded: "" }));
state.subscribe((now) => remember(now));

const main = el("main", { class: "inspector", attrs: { "aria-label": "Layer Inspector" } });
document.body.append(main);
void startPage(host, ["trace", "checkpoints", "busy", "follow", "select", "problem", "empty"], mount);

function mount(follows: boolean): Listeners<Events> {
  const save = (name: string, data: Uint8Array) => void host.call("save", { name, data }).catch(() => undefined);
  const selection = createStore<Selection>({ token: 0, layer: state.get().layer, head: state.get().head });
  selection.subscribe((now) => state.set({ ...now }));
  const select = shareSelection(
    selection,
    () => shown?.trace.trace,
    (selected) => void host.call("select", selected).catch(() => undefined),
  );
  /** Folded views that have not been shown the trace yet. */
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

  const input = textField(t("Prompt"), t("Type a prompt…"));
  const follow = checkbox(t("Follow editor"), follows, (checked) => void host.call("follow", { follow: checked }));
  if (!follows) input.value = state.get().typed;
  const run = (text: string) => {
    follow.checked = false;
    state.set({ typed: text });
    void host
      .call("inspectText", { text })
      .catch((error: Error) => page.problem({ message: error.message, action: null }));
  };
  const typing = submitTyped(input, TYPING_PAUSE, () => run(input.value));

  const progress = createProgress(main);
  const scrubber = createScrubber((step) => host.call("scrub", { step }));
  const sample = createSample();
  sample.node.hidden = true;
  const scrubbing = el("div", { class: "scrubbing" }, scrubber.node, sample.node);
  // The sticky titles of the views stay below it.
  const measure = () => main.style.setProperty("--scrubbing", `${scrubbing.offsetHeight}px`);
  new ResizeObserver(measure).observe(scrubbing);
  const source = el("p", { class: "source" });
  const modelLine = el("p", { class: "model-line small muted" });
  const notice = el("div", { class: "notice" });
  const pictures = el("div", { class: "pictures" }, ...views.map(({ section: part }) => part.node));
  pictures.hidden = true;
  const status = el("p", { class: "visually-hidden", attrs: { role: "status" } });
  main.append(
    el("h1", { class: "visually-hidden" }, t("Layer Inspector")),
    progress.node,
    el("div", { class: "inputs" }, input, el("div", { class: "input-row" }, follow, source), modelLine),
    scrubbing,
    notice,
    status,
    pictures,
  );

  const act = (action: HostAction) => void host.call("act", { action });

  let shown: Inspection | null = null;
  let shownKind: InspectedSource["kind"] | null = null;
  const page: Listeners<Events> = {
    trace({ trace, source: from, note }) {
      const inspection = createInspection(trace, from, host);
      fill(notice, note && noteNotice(note));
      pictures.hidden = false;
      source.textContent = sourceText(from);
      source.title = from.label;
      fill(
        modelLine,
        el("span", { class: "model-name" }, trace.model.name),
        ` · ${t("{0} parameters", formatParameters(trace.model.parameters))} · ${deviceName(trace.device)} · ${tokensText(trace, from)} · ${formatMilliseconds(trace.milliseconds)}`,
      );
      // Text that the user is typing is newer than this one, even if the field has just lost the focus.
      const isTyping = document.activeElement === input || typing.isPending();
      if (from.kind === "typed") {
        if (!isTyping) input.value = from.text;
        follow.checked = false;
      } else if (shownKind === "typed" && !isTyping) {
        // The host drops a typed prompt only to follow the editor again.
        input.value = "";
        state.set({ typed: "" });
        follow.checked = true;
      }
      shownKind = from.kind;

      const isSameText =
        shown?.source.text === from.text &&
        shown.source.label === from.label &&
        shown.trace.model.name === trace.model.name;
      const now = selection.get();
      const last = trace.tokens.length - 1;
      // The continuation of the last token is shown, so it is the one to start with in a new prompt.
      selection.set(selectionIn(trace, isSameText ? Math.min(now.token, last) : last, now));
      shown = inspection;
      if (!scrubber.node.hidden) sample.show(inspection);
      for (const view of views) {
        if (view.section.isOpen() || !view.asksTensors) view.show(inspection);
        else {
          view.section.summarize("");
          waiting.add(view);
        }
      }
      // When only the checkpoint changed, the slider announces it.
      if (!isSameText) {
        status.textContent = t(
          "{0} tokens traced in {1}.",
          trace.tokens.length,
          formatMilliseconds(trace.milliseconds),
        );
      }
    },
    checkpoints(event) {
      scrubber.show(event);
      if (scrubber.node.hidden) sample.node.hidden = true;
      else if (shown && sample.node.hidden) sample.show(shown);
    },
    follow({ follow: isFollowing }) {
      follow.checked = isFollowing;
    },
    select,
    busy: ({ busy }) => progress.busy(busy),
    problem(problem) {
      pictures.hidden = true;
      fill(modelLine, problem.model && el("span", { class: "model-name" }, problem.model));
      const retry = () => void host.call("retry", {});
      const runSuggestion = (text: string) => {
        input.value = text;
        run(text);
      };
      fill(notice, ...problemNotice(problem, act, { retry, run: runSuggestion }));
    },
    empty(empty) {
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

const sourceText = ({ label, truncated }: InspectedSource): string =>
  truncated ? t("{0} (end of text)", label) : label;
