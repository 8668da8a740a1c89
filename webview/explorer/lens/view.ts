/** The logit lens: the next-token distribution read off the residual stream after each layer, at each position. */

import { el } from "../../base/dom";
import { formatCount, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, checkbox, dropdown, textField } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createExplanation } from "../../parts/explanation";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { searched } from "../../trace/nextToken/layout";
import { traceText } from "../../trace/provenance";
import { tokenLabel, visibleText } from "../../trace/tokens/layout";
import { createLensDetail } from "./detail";
import { colorValue, depthLabel, type LensCell, type LensColor, lensTable, shownDepths } from "./layout";
import { LensLoader, type TrackedToken } from "./loader";

const TYPING_PAUSE = 300;
/** Selects the last depth of any model. */
const LAST = Number.POSITIVE_INFINITY;

export function createLensView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Logit lens"));
  let current: Inspection | null = null;
  let tracked: TrackedToken | null = null;
  let color: LensColor = "probability";
  let withMid = true;
  /** Index of the depth whose tokens are listed. */
  let depth = LAST;

  const loader = new LensLoader({
    loaded: () => {
      depth = Math.min(depth, loader.depths.length - 1);
      setPending(pictures, "done");
      draw();
    },
    failed: (error, isEmpty) => {
      if (isEmpty) setPending(pictures, "failed");
      problem.say(error);
    },
  });
  const intro = createExplanation("lens", explorer?.memory);
  const problem = createProblem(() => void restart());
  const notFound = el("span", { class: "small", attrs: { role: "status" } });
  const colors = dropdown(t("Cell color"), (value) => {
    color = value as LensColor;
    draw();
  });
  const midway = checkbox(t("Show after attention"), withMid, (checked) => {
    withMid = checked;
    draw();
  });
  const track = textField(t("Token to track"), t("Track a token: text or #id"));
  const untrack = button(t("Stop tracking"), () => setTracked(null));
  const rows = () => shownDepths(loader.depths, withMid);
  const heatmap = createHeatmap(
    (row, col) => {
      const chosen = rows()[row] as number;
      depth = chosen;
      const layer = /^blocks\.(\d+)\./.exec(loader.depths[chosen] ?? "")?.[1];
      selection.set({ token: col, ...(layer !== undefined && { layer: Number(layer) }) });
      drawMark();
      drawDetail();
    },
    () => void load(),
  );
  const detail = createLensDetail(save, (token) => setTracked(token));
  const labels = () => current?.trace.tokens.map(tokenLabel) ?? [];
  const data = createDataBar(
    {
      fileName: () => "logit-lens",
      table: () =>
        loader.columns.size > 0
          ? lensTable(loader.depths, loader.columns, labels(), t("Logit lens of the loaded positions"))
          : null,
      of: () => current,
      drawing: heatmap.drawing,
    },
    save,
  );
  const pictures = el("div", {}, heatmap.node, data.node, detail.node);
  section.body.append(
    intro.node,
    el("div", { class: "lens-controls" }, colors.node, midway, track, untrack, notFound),
    problem.node,
    pictures,
  );

  let typing: ReturnType<typeof setTimeout> | undefined;
  track.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => void find(), TYPING_PAUSE);
  });
  const find = async () => {
    const from = current;
    const query = track.value;
    if (!from || query === "") return setTracked(null);
    try {
      const { found } = await from.find(searched(query), 1);
      if (current !== from || track.value !== query) return;
      const best = found[0];
      notFound.textContent = best ? "" : t("No token has this text.");
      if (best) setTracked({ id: best.id, label: visibleText(query.startsWith("#") ? best.token : query) });
    } catch (error) {
      if (current === from) problem.say(error);
    }
  };
  const setTracked = (next: TrackedToken | null) => {
    notFound.textContent = "";
    if (next === null) track.value = "";
    if (next?.id === tracked?.id) return;
    tracked = next;
    color = next ? "tracked" : "probability";
    void restart();
  };

  /** Loads everything again, for another trace or tracked token. */
  const restart = async () => {
    if (!current) return;
    loader.reset(current, tracked);
    problem.clear();
    setPending(pictures, "computing");
    const { token } = selection.get();
    await loader.load(token, token + 1);
    revealSelected();
    await load();
  };

  /** Loads the positions in view and the selected one. */
  const load = async () => {
    const view = heatmap.inView();
    if (!current || !view) return;
    const { token } = selection.get();
    await loader.load(view.firstCol, view.endCol);
    await loader.load(token, token + 1);
  };

  const draw = () => {
    const { depths, columns, convention } = loader;
    if (!current || depths.length === 0) return;
    const shown = rows();
    const names = labels();
    const T = names.length;
    const values = new Float32Array(shown.length * T).fill(Number.NaN);
    for (const [position, cells] of columns) {
      shown.forEach((p, row) => {
        values[row * T + position] = colorValue(cells[p] as LensCell, color);
      });
    }
    const cellAt = (row: number, col: number) => columns.get(col)?.[shown[row] as number];
    const hasMid = shown.some((p) => /\.residMid$/.test(depths[p] as string));
    intro.say(
      [
        convention,
        t("Read upward, layer by layer. Each column shows what follows its token."),
        hasMid && t("“mid” is after the attention of a layer, “post” after the whole layer."),
      ]
        .filter((part) => typeof part === "string")
        .join(" "),
    );
    colors.update(
      [
        { value: "probability", label: t("Probability of the top token") },
        { value: "entropy", label: t("Entropy in bits") },
        ...(tracked ? [{ value: "tracked", label: t("Probability of “{0}”", tracked.label) }] : []),
      ],
      color,
    );
    untrack.hidden = tracked === null;
    heatmap.show({
      title: t("Logit lens"),
      rows: shown.length,
      cols: T,
      values,
      scale: "sequential",
      ...(color === "entropy" ? {} : { max: 1 }),
      rowLabels: shown.map((p) => depthLabel(depths[p] as string)),
      colLabels: names,
      rowHeight: 20,
      text: (row, col) => cellAt(row, col)?.top[0]?.label ?? "…",
      describe: (row, col) => describe(cellAt(row, col), depths[shown[row] as number] as string, col),
    });
    drawMark();
    drawDetail();
    data.update();
  };

  const describe = (cell: LensCell | undefined, name: string, position: number): string => {
    const head = `${name}[0, ${position}] ${t("after “{0}”", labels()[position] ?? "")}`;
    if (!cell || !current) return head;
    const trackedText =
      cell.tracked &&
      tracked &&
      t("“{0}”: {1}, rank {2}", tracked.label, formatValue(cell.tracked.probability), formatCount(cell.tracked.rank));
    const top = cell.top.map(({ label, probability }) => `“${label}” ${formatValue(probability)}`).join(", ");
    return [head, top, t("entropy {0} bits", formatValue(cell.entropyBits)), trackedText, traceText(current)]
      .filter((line) => line !== null)
      .join("\n");
  };

  const drawDetail = () => {
    if (!current) return;
    const { token: position } = selection.get();
    const { depths, columns } = loader;
    detail.show({ inspection: current, position, depths, depth, cells: columns.get(position), tracked });
  };
  /** Marks the selected cell. */
  const drawMark = () => {
    const row = rows().indexOf(depth);
    heatmap.mark(row < 0 ? null : row, selection.get().token);
  };
  const revealSelected = () => heatmap.reveal({ row: 0, col: selection.get().token });

  selection.subscribe((now, before) => {
    if (now.token === before.token || !current) return;
    drawMark();
    revealSelected();
    void load().then(drawDetail);
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      const isOther = next.trace.model.dir !== current?.trace.model.dir;
      current = next;
      if (isOther) {
        tracked = null;
        track.value = "";
        if (color === "tracked") color = "probability";
      }
      depth = LAST;
      void restart();
    },
  };
}
