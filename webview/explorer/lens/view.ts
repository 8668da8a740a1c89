/** The logit lens: what each place of the residual stream would predict, at each position, as the user scrolls there. */

import type { Lens } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatCount, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, checkbox, dropdown, textField } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { createLineChart } from "../../charts/lineChart";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { searched } from "../../trace/nextToken/layout";
import { traceText } from "../../trace/provenance";
import { tokenLabel, visibleText } from "../../trace/tokens/layout";
import {
  colorValue,
  columnsOf,
  type LensCell,
  type LensColor,
  lensTable,
  missingTiles,
  placeLabel,
  rankPath,
  shownPlaces,
  trackTable,
} from "./layout";

const TOP = 10;
const TYPING_PAUSE = 300;

export function createLensView({ section: makeSection, selection, save }: ViewContext): View {
  const section = makeSection(t("Logit lens"));
  let current: Inspection | null = null;
  let places: readonly string[] = [];
  let convention = "";
  let columns = new Map<number, readonly LensCell[]>();
  let tracked: { readonly id: number; readonly label: string } | null = null;
  let color: LensColor = "probability";
  let afterAttention = true;
  /** The place whose tokens are listed: the last one until another is chosen. */
  let place = Number.POSITIVE_INFINITY;
  /** Counts what was asked, so that an answer to an earlier question is left alone. */
  let asked = 0;

  const said = el("p", { class: "small muted" });
  const problem = createProblem(() => void restart());
  const notFound = el("span", { class: "small", attrs: { role: "status" } });
  const colors = dropdown(t("Color of the cells"), (value) => {
    color = value as LensColor;
    draw();
  });
  const midway = checkbox(t("After attention too"), afterAttention, (checked) => {
    afterAttention = checked;
    draw();
  });
  const track = textField(t("Token to track"), t("Track a token: text or #id"));
  const untrack = button(t("Track none"), () => setTracked(null));
  const heatmap = createHeatmap(
    (row, col) => {
      const chosen = shownPlaces(places, afterAttention)[row] as number;
      place = chosen;
      const layer = /^blocks\.(\d+)\./.exec(places[chosen] ?? "")?.[1];
      selection.set({ token: col, ...(layer !== undefined && { layer: Number(layer) }) });
      drawMark();
      drawCell();
    },
    () => void load(),
  );
  const cellTitle = el("h3", { class: "subheading" });
  const list = el("ol", { class: "bars lens-top" });
  const path = el("p", { class: "small" });
  const chart = createLineChart({
    title: t("The tracked token along the layers"),
    height: 160,
    formatAxis: formatPercent,
  });
  const trackedTable = () => {
    const cells = columns.get(selection.get().token);
    if (!tracked || !cells) return null;
    return trackTable(places, cells, t("“{0}” along the layers", tracked.label));
  };
  const chartData = createDataBar(
    {
      fileName: () => `logit-lens-token-${tracked?.id}`,
      table: trackedTable,
      of: () => current,
      picture: chart.picture,
      svg: chart.svg,
    },
    save,
  );
  const chartPart = el(
    "div",
    {},
    el("h3", { class: "subheading" }, t("The tracked token along the layers")),
    path,
    chart.node,
    chartData.node,
  );
  const labels = () => current?.trace.tokens.map(tokenLabel) ?? [];
  const data = createDataBar(
    {
      fileName: () => "logit-lens",
      table: () =>
        columns.size > 0
          ? lensTable(places, columns, labels(), t("Logit lens, of the positions that were in view"))
          : null,
      of: () => current,
      picture: heatmap.picture,
      svg: heatmap.svg,
    },
    save,
  );
  const pictures = el(
    "div",
    {},
    heatmap.node,
    data.node,
    el("div", { class: "lens-detail" }, el("div", {}, cellTitle, list), chartPart),
  );
  section.body.append(
    said,
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
      notFound.textContent = best ? "" : t("No token of the vocabulary has this text.");
      if (best) setTracked({ id: best.id, label: visibleText(query.startsWith("#") ? best.token : query) });
    } catch (error) {
      if (current === from) problem.say(error);
    }
  };
  const setTracked = (next: typeof tracked) => {
    notFound.textContent = "";
    if (next === null) track.value = "";
    if (next?.id === tracked?.id) return;
    tracked = next;
    color = next ? "tracked" : "probability";
    void restart();
  };

  /** Asks anew: another run, or another token to track. */
  const restart = async () => {
    asked += 1;
    columns = new Map();
    problem.clear();
    setPending(pictures, "computing");
    const T = current?.trace.tokens.length ?? 0;
    for (const [from, to] of missingTiles(selection.get().token, selection.get().token + 1, T, () => false)) {
      await loadTile(from, to);
    }
    revealSelected();
    await load();
  };

  /** What is in view and not there yet, and the selected token. */
  const load = async () => {
    const view = heatmap.inView();
    if (!current || !view) return;
    const T = current.trace.tokens.length;
    const has = (position: number) => columns.has(position);
    const { token } = selection.get();
    const tiles = [...missingTiles(view.firstCol, view.endCol, T, has), ...missingTiles(token, token + 1, T, has)];
    for (const [from, to] of tiles) await loadTile(from, to);
  };

  const loadTile = async (from: number, to: number) => {
    const inspection = current;
    const question = asked;
    if (!inspection || columns.has(from)) return;
    try {
      const lens: Lens = await inspection.ask("lens", {
        positions: [from, to],
        count: TOP,
        ...(tracked && { token: tracked.id }),
      });
      if (question !== asked) return;
      ({ places, convention } = lens);
      if (place >= places.length) place = places.length - 1;
      for (const [position, cells] of columnsOf(lens)) columns.set(position, cells);
      setPending(pictures, "done");
      draw();
    } catch (error) {
      if (question !== asked) return;
      if (columns.size === 0) setPending(pictures, "failed");
      problem.say(error);
    }
  };

  const draw = () => {
    if (!current || places.length === 0) return;
    const shown = shownPlaces(places, afterAttention);
    const names = labels();
    const T = names.length;
    const values = new Float32Array(shown.length * T).fill(Number.NaN);
    for (const [position, cells] of columns) {
      shown.forEach((p, row) => {
        values[row * T + position] = colorValue(cells[p] as LensCell, color);
      });
    }
    const cellAt = (row: number, col: number) => columns.get(col)?.[shown[row] as number];
    const hasMid = shown.some((p) => /\.residMid$/.test(places[p] as string));
    said.textContent = [
      convention,
      t("Read it upwards; each column is what comes after its token."),
      hasMid && t("“mid” is after a block’s attention, “post” after all of it."),
    ]
      .filter((part) => typeof part === "string")
      .join(" ");
    colors.update(
      [
        { value: "probability", label: t("Probability of the best token") },
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
      rowLabels: shown.map((p) => placeLabel(places[p] as string)),
      colLabels: names,
      rowHeight: 20,
      text: (row, col) => cellAt(row, col)?.top[0]?.label ?? "…",
      describe: (row, col) => describe(cellAt(row, col), places[shown[row] as number] as string, col),
    });
    drawMark();
    drawCell();
    data.update();
  };

  const describe = (cell: LensCell | undefined, name: string, position: number): string => {
    const head = `${name}[0, ${position}] ${t("after “{0}”", labels()[position] ?? "")}`;
    if (!cell || !current) return head;
    const ofTracked =
      cell.tracked && tracked
        ? [
            t(
              "“{0}”: {1}, rank {2}",
              tracked.label,
              formatValue(cell.tracked.probability),
              formatCount(cell.tracked.rank),
            ),
          ]
        : [];
    const best = cell.top.map(({ label, probability }) => `“${label}” ${formatValue(probability)}`).join(", ");
    return [head, best, t("entropy {0} bits", formatValue(cell.entropyBits)), ...ofTracked, traceText(current)].join(
      "\n",
    );
  };

  /** The chosen cell's tokens, and the tracked one's way up at the selected token. */
  const drawCell = () => {
    const { token } = selection.get();
    const cells = columns.get(token);
    const cell = cells?.[place];
    cellTitle.textContent = t("{0} after “{1}”", places[place] ?? "", labels()[token] ?? "");
    fill(
      list,
      ...(cell?.top ?? []).map(({ label, id, probability }) => {
        const fillBar = el("span", { class: "bar-fill" });
        fillBar.style.width = `${100 * probability}%`;
        const press = () => setTracked({ id, label });
        const value = `${places[place] ?? ""}[0, ${token}] → #${id}: ${formatValue(probability)}`;
        return el(
          "li",
          { class: "bar", title: current ? `${value}\n${traceText(current)}` : value },
          el(
            "button",
            { class: "bar-label mono action", attrs: { type: "button", title: t("Track it") }, on: { click: press } },
            label,
          ),
          el("span", { class: "bar-note number" }, `#${id}`),
          el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, fillBar),
          el("span", { class: "bar-value number" }, formatPercent(probability)),
        );
      }),
    );
    chartPart.hidden = tracked === null || !cells;
    if (!tracked || !cells) return;
    const along = cells.map((each) => each.tracked?.probability ?? Number.NaN);
    path.textContent = t(
      "“{0}”, rank by place: {1}",
      tracked.label,
      rankPath(cells.map((each) => each.tracked?.rank ?? 0)),
    );
    chart.show(
      [
        {
          name: `“${tracked.label}”`,
          points: { x: along.map((_, p) => p), y: along },
          color: 0,
          style: "line",
          format: formatPercent,
        },
      ],
      { x: { name: t("place"), format: (p) => placeLabel(places[p] ?? ""), whole: true }, log: false },
    );
    chartData.update();
  };

  /** The chosen cell. */
  const drawMark = () => {
    const row = shownPlaces(places, afterAttention).indexOf(place);
    heatmap.mark(row < 0 ? null : row, selection.get().token);
  };
  const revealSelected = () => heatmap.reveal({ row: 0, col: selection.get().token });

  selection.subscribe((now, before) => {
    if (now.token === before.token || !current) return;
    drawMark();
    revealSelected();
    void load().then(drawCell);
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
      places = [];
      place = Number.POSITIVE_INFINITY;
      void restart();
    },
  };
}
