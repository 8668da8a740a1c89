/** The first view: one picture from the text to the next token, whose parts open the views that show them in detail. */

import "./overview.css";
import type { Lens, Overview } from "../../../src/protocol/traceApi";
import { el, setAttr } from "../../base/dom";
import { formatPercent } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { canvasPen } from "../../charts/pen";
import { createDataBar } from "../../parts/dataBar";
import { createExplanation } from "../../parts/explanation";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { overviewData, overviewTable } from "./data";
import { overviewLayout } from "./layout";
import { createPartButtons } from "./partButtons";
import { type Part, partsOf } from "./parts";
import { overviewDrawing, type Shown } from "./picture";
import { createPlayer } from "./player";

/** Space below the picture that stays in view, and the height of the lowest window that it fits. */
const BELOW = 56;
const LEAST_HEIGHT = 300;
/** Tokens of the logit lens and of the prediction. */
const GUESSES = 10;

export function createOverviewView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Overview"));
  const canvas = el("canvas", { attrs: { "aria-hidden": "true" } });
  const problem = createProblem(() => void load());
  let inspection: Inspection | null = null;
  let overview: Overview | null = null;
  let lens: Lens | null = null;
  let position = 0;
  let shown: Shown | null = null;
  let emphasized: number | null = null;
  let progress = 1;

  const open = ({ view, select }: Part) => {
    // The view must be open to scroll to what is selected.
    explorer?.open(view);
    selection.set(select);
  };
  const parts = createPartButtons(t("Parts of the model"), open, (part) => {
    emphasized = part?.layer ?? null;
    redraw();
  });
  const scroller = el("div", { class: "overview-scroller" }, canvas, parts.node);
  const player = createPlayer({
    at: () => ({ position, length: inspection?.trace.tokens.length ?? 0 }),
    async go(token) {
      selection.set({ token });
      await loading;
    },
    draw(part) {
      progress = part;
      redraw();
    },
  });
  const data = createDataBar(
    {
      fileName: () => `overview-${position}`,
      table: () => shown && overviewTable(shown.data),
      of: () => inspection,
      drawing: () => shown && overviewDrawing({ ...shown, emphasized: null, progress: 1 }, readTheme()),
    },
    save,
  );
  section.body.append(
    el(
      "div",
      { class: "overview-controls" },
      player.node,
      createExplanation(
        "overview",
        explorer?.memory,
        t(
          "The stream of the selected token runs from its embedding to the next token. Attention reads the dotted tokens and writes to it from above, the MLP from below; thickness is the L2 norm. Select a part to open its view.",
        ),
      ).node,
    ),
    problem.node,
    scroller,
    data.node,
  );

  const redraw = () => {
    if (!shown) return;
    const theme = readTheme();
    const drawing = overviewDrawing({ ...shown, emphasized, progress }, theme);
    drawing.draw(canvasPen(canvas, drawing, theme));
  };

  /** Lays the picture out for the space of the pane. */
  const draw = () => {
    if (!inspection || scroller.clientWidth === 0) return;
    const now = overviewData(inspection, position, overview, lens);
    const top = scroller.getBoundingClientRect().top + (scroller.closest(".pane")?.scrollTop ?? 0);
    const height = Math.max(LEAST_HEIGHT, window.innerHeight - top - BELOW);
    const layout = overviewLayout(now, scroller.clientWidth, height);
    const title = t("From “{0}” to the next token, {1}", now.tokens[position] ?? "", traceText(inspection));
    shown = { layout, data: now, title, emphasized: null, progress: 1 };
    parts.show(partsOf(layout, now).filter(({ view }) => view !== "lens" || !now.isOpened));
    redraw();
    data.update();
    const [best] = now.next;
    section.summarize(
      best ? t("after “{0}”: “{1}” {2}", now.tokens[position] ?? "", best.label, formatPercent(best.probability)) : "",
    );
  };

  let loading: Promise<void> = Promise.resolve();
  const load = () => {
    loading = loadNumbers();
    return loading;
  };
  const loadNumbers = async () => {
    const from = inspection;
    if (!from) return;
    const { length } = from.trace.tokens;
    const at = Math.min(selection.get().token, length - 1);
    position = at;
    [overview, lens] = [null, null];
    const isStale = () => inspection !== from || position !== at;
    problem.clear();
    draw();
    setAttr(scroller, "aria-busy", true);
    try {
      const asked = from.ask("overview", { position: at });
      const read = from.trace.opened ? null : from.ask("lens", { positions: [at, at + 1], count: GUESSES });
      // The picture is drawn when either has arrived, but a failure of the second is not lost.
      read?.catch(() => undefined);
      const answered = await asked;
      if (isStale()) return;
      overview = answered;
      draw();
      const reading = await read;
      if (isStale()) return;
      lens = reading;
      draw();
    } catch (error) {
      if (!isStale()) problem.say(error);
    }
    if (!isStale()) setAttr(scroller, "aria-busy", null);
  };

  const follow = whenSeen(scroller, () => {
    if (selection.get().token !== position) void load();
  });
  selection.subscribe((now, before) => {
    if (now.token !== before.token) follow();
  });
  let width = 0;
  new ResizeObserver(() => {
    if (scroller.clientWidth === width) return;
    width = scroller.clientWidth;
    draw();
  }).observe(scroller);
  onThemeChange(redraw);

  return {
    section,
    asksTensors: true,
    show(next) {
      player.stop();
      inspection = next;
      void load();
    },
  };
}
