/** Every named value of a trace: its shape, the norm of the selected token, and its numbers on request. */

import { el, fill } from "../../base/dom";
import { formatDigits, formatShape } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { barsDrawing } from "../../charts/savedBars";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { matrixTable } from "../../parts/matrixTable";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import { norm, rowOf } from "../embedding/layout";
import { type Inspection, matrixOf, type View, type ViewContext } from "../inspection";
import { createGroup, type GroupPart } from "./group";
import {
  hasTokenVectors,
  headOf,
  isPerHead,
  streamNorms,
  titleOf,
  tokensOf,
  type ValueGroup,
  type ValueRow,
  valueGroups,
} from "./layout";
import { rowLabels, type ShownValue, valueChart } from "./valueChart";

/** Larger values are not shown: 4 million numbers are 16 MB. */
const MAX_VALUES = 4_000_000;

export function createLayersView({ section: makeSection, ...context }: ViewContext): View {
  const section = makeSection(t("Layers"));
  const values = createValueList(context);
  section.body.append(values.node);
  return {
    section,
    asksTensors: true,
    show(inspection) {
      section.summarize(blocksText(inspection));
      values.show(inspection);
    },
  };
}

export function blocksText({ trace }: Inspection): string {
  const blocks = valueGroups(trace.values).filter(({ block }) => block !== null).length;
  return blocks === 1 ? t("1 layer") : t("{0} layers", blocks);
}

export interface ValueList {
  readonly node: HTMLElement;
  readonly show: (inspection: Inspection) => void;
}

/** The values of a trace by block. The value that is chosen, here or in another view, shows its numbers. */
export function createValueList({ selection, save }: Pick<ViewContext, "selection" | "save">): ValueList {
  const list = el("div", { class: "layer-list" });
  let norms: Map<string, number> = new Map();
  let inspection: Inspection | null = null;
  let groups: readonly ValueGroup[] = [];
  let parts: GroupPart[] = [];
  /** The value whose numbers are shown, under its group. */
  let opened: ValueRow | null = null;
  let shown: ShownValue | null = null;

  const heatmap = createHeatmap((row) => {
    if (shown) selection.set(isOfSource(shown.row) ? { sourceToken: row } : { token: row });
  });
  /** Returns whether the rows of a value are tokens of a translator's source. */
  const isOfSource = (row: ValueRow) =>
    inspection !== null && tokensOf(inspection.trace, row).rows === inspection.trace.source?.tokens;
  /** Row of the selected token. */
  const tokenOf = (row: ValueRow) => (isOfSource(row) ? (selection.get().sourceToken ?? 0) : selection.get().token);
  const valueTitle = el("h4", { class: "subheading" });
  const problem = createProblem(() => void loadValue());
  const normProblem = createProblem(() => void updateNorms());
  const tooLong = el("p", { class: "small" }, t("Too large to show. Inspect a shorter text."));
  const valueData = createDataBar(
    {
      fileName: () => shown?.row.name ?? "value",
      table: () => shown && matrixTable(shown.row.name, rowLabels(shown), shown),
      of: () => shown?.of,
      drawing: heatmap.drawing,
    },
    save,
  );
  const pictures = el("div", {}, heatmap.node, valueData.node);
  const viewer = el("div", { class: "value-viewer" }, valueTitle, tooLong, problem.node, pictures);
  const data = createDataBar(
    {
      fileName: () => "layers",
      table: () => shapeTable(),
      of: () => inspection,
      drawing: () => normShapes(),
    },
    save,
  );
  const node = el(
    "div",
    {},
    el(
      "p",
      { class: "small muted" },
      t(
        "Shapes are [batch, position, dModel] or, per head, [batch, head, position, dHead]. Norms are those of the selected token. Select a value to see its numbers.",
      ),
    ),
    normProblem.node,
    list,
    data.node,
  );

  const shapeTable = () => {
    const rows = groups.flatMap(({ values }) => values);
    return {
      title: t("Values of the trace"),
      columns: ["value", "shape", "dimensions", "norm of the token"],
      rows: rows.length,
      row: (i: number) => {
        const row = rows[i] as ValueRow;
        return [row.name, formatShape(row.shape), row.dimensions.join(" × "), norms.get(row.name) ?? ""];
      },
    };
  };

  const normShapes = () =>
    barsDrawing({
      title: t("Norms of the selected token’s vectors"),
      bars: groups
        .flatMap(({ values }) => values)
        .flatMap(({ name, shape }) => {
          const value = norms.get(name);
          return value === undefined ? [] : [{ label: name, note: formatShape(shape), value }];
        }),
      format: formatDigits,
    });

  /** Shows the norms of the selected token: in the residual stream, and in the values of open groups. */
  const updateNorms = async () => {
    if (!inspection) return;
    const from = inspection;
    const { token, sourceToken } = selection.get();
    if (token >= from.trace.tokens.length) return;
    const known = streamNorms(from.trace, groups, selection.get());
    norms = known;
    normProblem.clear();
    const isCurrent = () =>
      inspection === from && selection.get().token === token && selection.get().sourceToken === sourceToken;
    const open = parts.filter(({ isOpen }) => isOpen()).flatMap(({ group }) => group.values);
    await Promise.all(
      open
        .filter((row) => hasTokenVectors(row) && !known.has(row.name))
        .map(async (row) => {
          const { cols, values } = matrixOf(await from.tensor(row.name));
          if (isCurrent()) known.set(row.name, norm(rowOf(values, cols, tokenOf(row))));
        }),
    ).catch((error) => isCurrent() && normProblem.say(error));
    if (!isCurrent()) return;
    const largest = Math.max(...known.values());
    for (const part of parts) part.showNorms(known, largest);
    data.update();
  };

  const loadValue = async () => {
    if (!inspection || !opened) return;
    const from = inspection;
    const row = opened;
    const { head } = selection.get();
    const perHead = isPerHead(row);
    const headText = perHead ? ` · ${t("head {0}", headOf(row, head, from.trace.model.config.nHeads))}` : "";
    fill(valueTitle, row.name, el("span", { class: "number" }, formatShape(row.shape) + headText));
    const isTooLarge = row.shape.slice(-2).reduce((a, b) => a * b, 1) > MAX_VALUES;
    problem.clear();
    tooLong.hidden = !isTooLarge;
    pictures.hidden = isTooLarge;
    if (isTooLarge) return setPending(pictures, "done");
    setPending(pictures, "computing");
    try {
      const tensor = await from.tensor(row.name, perHead ? head : undefined);
      if (inspection !== from || opened !== row || (perHead && selection.get().head !== head)) return;
      shown = { of: from, row, head, ...matrixOf(tensor) };
      setPending(pictures, "done");
      heatmap.show(valueChart(shown));
      heatmap.mark(tokenOf(row));
      valueData.update();
    } catch (error) {
      if (inspection !== from) return;
      shown = null;
      setPending(pictures, "failed");
      problem.say(error);
    }
  };

  const open = (row: ValueRow, group: GroupPart) => {
    opened = opened?.name === row.name ? null : row;
    for (const each of parts) each.markOpened(opened?.name ?? null);
    if (opened) {
      group.node.append(viewer);
      void loadValue();
    } else viewer.remove();
  };

  /** Opens the value that was chosen in another view. */
  const openChosen = () => {
    const { value } = selection.get();
    if (value === undefined || value === opened?.name) return;
    const group = parts.find((each) => each.group.values.some(({ name }) => name === value));
    const row = group?.group.values.find(({ name }) => name === value);
    if (!group || !row) return;
    group.unfold();
    open(row, group);
    group.node.scrollIntoView({ block: "start" });
  };

  const updateWhenSeen = whenSeen(list, () => void updateNorms());
  selection.subscribe((now, before) => {
    if (now.token !== before.token || now.sourceToken !== before.sourceToken) {
      if (shown) heatmap.mark(tokenOf(shown.row));
      updateWhenSeen();
    }
    if (now.head !== before.head && opened && isPerHead(opened)) void loadValue();
    if (now.value !== before.value) openChosen();
  });

  return {
    node,
    show(next) {
      inspection = next;
      groups = valueGroups(next.trace.values);
      const wasOpen = new Set(parts.filter(({ isOpen }) => isOpen()).map(({ group }) => titleOf(group)));
      const first = parts.length === 0;
      parts = groups.map((group) =>
        createGroup(group, first ? group.block === 0 : wasOpen.has(titleOf(group)), open, () => void updateNorms()),
      );
      fill(list, ...parts.map(({ node }) => node));
      const again = opened && parts.find(({ group }) => group.values.some(({ name }) => name === opened?.name));
      opened = again?.group.values.find(({ name }) => name === opened?.name) ?? null;
      if (opened && again) {
        again.node.append(viewer);
        again.markOpened(opened.name);
        void loadValue();
      } else viewer.remove();
      if (first) openChosen();
      void updateNorms();
    },
  };
}
