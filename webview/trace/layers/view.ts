/** Every named value of the run: its shape, the selected token's norm along the layers, and the numbers on request. */

import { el, fill, setAttr } from "../../base/dom";
import { formatNorm, formatShape, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { saveable } from "../../charts/pen";
import { barsDrawing } from "../../charts/savedBars";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { matrixTable } from "../../parts/matrixTable";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import { attentionKinds } from "../attention/layout";
import { norm, rowOf } from "../embedding/layout";
import { type Inspection, matrixOf, type View, type ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import {
  ENCODER,
  hasTokenVectors,
  headOf,
  isPerHead,
  residualNorm,
  tokensOf,
  type ValueGroup,
  type ValueRow,
  valueGroups,
} from "./layout";

/** Larger values are not fetched whole: 4 million numbers are 16 MB. */
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
  return blocks === 1 ? t("1 block") : t("{0} blocks", blocks);
}

export interface ValueList {
  readonly node: HTMLElement;
  readonly show: (inspection: Inspection) => void;
}

/** Every named value of a run by block; the one that is chosen, here or in another view, shows its numbers. */
export function createValueList({ selection, save }: Pick<ViewContext, "selection" | "save">): ValueList {
  const list = el("div", { class: "layer-list" });
  const norms = new Map<string, number>();
  let inspection: Inspection | null = null;
  let groups: readonly ValueGroup[] = [];
  let drawn: DrawnGroup[] = [];
  /** The value whose numbers are shown under its group. */
  let opened: ValueRow | null = null;
  let shown: {
    readonly of: Inspection;
    readonly row: ValueRow;
    readonly labels: readonly string[];
    readonly rows: number;
    readonly cols: number;
    readonly values: Float32Array;
  } | null = null;

  const heatmap = createHeatmap((row) => {
    if (shown) selection.set(isOfSource(shown.row) ? { sourceToken: row } : { token: row });
  });
  /** Whether the rows of a value are what a translator reads. */
  const isOfSource = (row: ValueRow) =>
    inspection !== null && tokensOf(inspection.trace, row).rows === inspection.trace.source?.tokens;
  /** The row of the selected token. */
  const tokenOf = (row: ValueRow) => (isOfSource(row) ? (selection.get().sourceToken ?? 0) : selection.get().token);
  const valueTitle = el("h4", { class: "subheading" });
  const problem = createProblem(() => void drawValue());
  const normProblem = createProblem(() => void updateNorms());
  const tooLong = el("p", { class: "small" }, t("Too large to show here; inspect a shorter text."));
  const valueData = createDataBar(
    {
      fileName: () => shown?.row.name ?? "value",
      table: () => shown && matrixTable(shown.row.name, shown.labels, shown),
      of: () => shown?.of,
      picture: heatmap.picture,
      svg: heatmap.svg,
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
      ...saveable(() => normShapes()),
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
        "Shapes are [batch, position, dModel], per head [batch, head, position, dHead]. Norms are the selected token’s. Choose a value to see its numbers.",
      ),
    ),
    normProblem.node,
    list,
    data.node,
  );

  const shapeTable = () => {
    const rows = groups.flatMap(({ values }) => values);
    return {
      title: t("Values of the run"),
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
      format: formatNorm,
    });

  /** The norms of the selected token that are known or cheap: the stream's always, others of groups that are open. */
  const updateNorms = async () => {
    if (!inspection) return;
    const { trace } = inspection;
    const { token, sourceToken = 0 } = selection.get();
    if (token >= trace.tokens.length) return;
    norms.clear();
    normProblem.clear();
    for (const { block, stack: kind } of groups) {
      const isEncoder = kind === "encoder";
      const stack = isEncoder ? trace.source : trace;
      const at = isEncoder ? sourceToken : token;
      if (block === null || !stack || at >= stack.tokens.length) continue;
      const prefix = `${isEncoder ? ENCODER : ""}blocks.${block}`;
      norms.set(`${prefix}.residPre`, residualNorm(stack, block, at));
      norms.set(`${prefix}.residPost`, residualNorm(stack, block + 1, at));
    }
    const isSame = () =>
      inspection === asked && selection.get().token === token && (selection.get().sourceToken ?? 0) === sourceToken;
    const asked = inspection;
    const open = drawn.filter(({ isOpen }) => isOpen()).flatMap(({ group }) => group.values);
    await Promise.all(
      open
        .filter((row) => hasTokenVectors(row) && !norms.has(row.name))
        .map(async (row) => {
          const { cols, values } = matrixOf(await asked.tensor(row.name));
          if (isSame()) norms.set(row.name, norm(rowOf(values, cols, tokenOf(row))));
        }),
    ).catch((error) => isSame() && normProblem.say(error));
    if (!isSame()) return;
    const largest = Math.max(...norms.values());
    for (const group of drawn) group.showNorms(norms, largest);
    data.update();
  };

  const drawValue = async () => {
    if (!inspection || !opened) return;
    const asked = inspection;
    const row = opened;
    const { head } = selection.get();
    const perHead = isPerHead(row);
    const kvHead = headOf(row, head, inspection.trace.model.config.nHeads);
    const size = row.shape.slice(-2).reduce((a, b) => a * b, 1);
    fill(
      valueTitle,
      row.name,
      el("span", { class: "number" }, formatShape(row.shape) + (perHead ? ` · ${t("head {0}", kvHead)}` : "")),
    );
    const tooLarge = size > MAX_VALUES;
    problem.clear();
    tooLong.hidden = !tooLarge;
    pictures.hidden = tooLarge;
    if (tooLarge) return setPending(pictures, "done");
    setPending(pictures, "computing");
    try {
      const tensor = await asked.tensor(row.name, perHead ? head : undefined);
      if (inspection !== asked || opened !== row || (perHead && selection.get().head !== head)) return;
      const { rows: rowTokens, cols: colTokens } = tokensOf(asked.trace, row);
      const tokens = rowTokens.map(tokenLabel);
      const { rows, cols, values } = matrixOf(tensor);
      // Rows are tokens, except of values with one number per token: ids and mask.
      const labels = row.shape.length === 2 ? [row.label] : tokens;
      shown = { of: asked, row, labels, rows, cols, values };
      setPending(pictures, "done");
      const square = colTokens !== null;
      const columns = row.shape.length === 2 ? tokens : (colTokens?.map(tokenLabel) ?? "numbers");
      const isPattern = row.name.endsWith(".pattern");
      const kind = attentionKinds(asked.trace).find(
        (each) => each.valueName(layerOf(row.name), "pattern") === row.name,
      );
      const masked = kind?.masked(layerOf(row.name));
      const index = perHead ? `0, ${kvHead}, ` : row.shape.length === 3 ? "0, " : "";
      heatmap.show({
        title: row.name,
        rows,
        cols,
        values,
        scale: isPattern ? "sequential" : "diverging",
        ...(masked && { masked, maskedLabel: t("masked") }),
        rowLabels: labels,
        colLabels: columns,
        rowHeight: square ? "square" : 10,
        describe: (r, c) =>
          `“${row.shape.length === 2 ? tokens[c] : tokens[r]}”  ${row.name}[${index}${r}, ${c}] = ${formatValue(values[r * cols + c] as number)}\n${traceText(asked)}`,
      });
      heatmap.mark(tokenOf(row));
      valueData.update();
    } catch (error) {
      if (inspection !== asked) return;
      shown = null;
      setPending(pictures, "failed");
      problem.say(error);
    }
  };

  const open = (row: ValueRow, group: DrawnGroup) => {
    opened = opened?.name === row.name ? null : row;
    for (const each of drawn) each.markOpened(opened?.name ?? null);
    if (opened) {
      group.node.append(viewer);
      void drawValue();
    } else viewer.remove();
  };

  /** The value that was chosen in another view. */
  const openChosen = () => {
    const { value } = selection.get();
    if (value === undefined || value === opened?.name) return;
    const group = drawn.find((each) => each.group.values.some(({ name }) => name === value));
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
    if (now.head !== before.head && opened && isPerHead(opened)) void drawValue();
    if (now.value !== before.value) openChosen();
  });

  return {
    node,
    show(next) {
      inspection = next;
      groups = valueGroups(next.trace.values);
      const wasOpen = new Set(drawn.filter(({ isOpen }) => isOpen()).map(({ group }) => titleOf(group)));
      const first = drawn.length === 0;
      drawn = groups.map((group) =>
        drawGroup(group, first ? group.block === 0 : wasOpen.has(titleOf(group)), open, () => void updateNorms()),
      );
      fill(list, ...drawn.map(({ node }) => node));
      const again = opened && drawn.find(({ group }) => group.values.some(({ name }) => name === opened?.name));
      opened = again?.group.values.find(({ name }) => name === opened?.name) ?? null;
      if (opened && again) {
        again.node.append(viewer);
        again.markOpened(opened.name);
        void drawValue();
      } else viewer.remove();
      if (first) openChosen();
      void updateNorms();
    },
  };
}

interface DrawnGroup {
  readonly group: ValueGroup;
  readonly node: HTMLElement;
  readonly isOpen: () => boolean;
  readonly unfold: () => void;
  readonly showNorms: (norms: ReadonlyMap<string, number>, largest: number) => void;
  readonly markOpened: (name: string | null) => void;
}

function titleOf({ title, block, stack }: ValueGroup): string {
  const own = block !== null ? t("Block {0}", block) : title === "Output" ? t("Output") : t("Input");
  if (stack === null) return own;
  return stack === "encoder" ? t("Encoder: {0}", own) : t("Decoder: {0}", own);
}

const layerOf = (name: string): number => Number(/blocks\.(\d+)\./.exec(name)?.[1] ?? 0);

function drawGroup(
  group: ValueGroup,
  startsOpen: boolean,
  choose: (row: ValueRow, drawn: DrawnGroup) => void,
  toggled: () => void,
): DrawnGroup {
  const title = titleOf(group);
  const total = normBar();
  const rows = group.values.map((row) => {
    const name = el(
      "button",
      {
        class: "value-name",
        attrs: { type: "button", "aria-expanded": "false" },
        on: { click: () => choose(row, drawn) },
      },
      row.label,
    );
    const bar = normBar();
    const shape = el(
      "td",
      { class: "shape", title: row.shape.map((size, i) => `${row.dimensions[i]} ${size}`).join(", ") },
      formatShape(row.shape),
    );
    return {
      row,
      name,
      bar,
      node: el(
        "tr",
        {},
        el("th", { attrs: { scope: "row" } }, name),
        shape,
        el("td", { class: "norm-cell" }, bar.node),
      ),
    };
  });
  const table = el(
    "table",
    { class: "value-table" },
    el("caption", { class: "visually-hidden" }, title),
    el(
      "thead",
      { class: "visually-hidden" },
      el("tr", {}, ...[t("Value"), t("Shape"), t("Norm")].map((name) => el("th", { attrs: { scope: "col" } }, name))),
    ),
    el("tbody", {}, ...rows.map(({ node }) => node)),
  );
  table.hidden = !startsOpen;
  const toggle = el(
    "button",
    { class: "layer-toggle", attrs: { type: "button", "aria-expanded": String(startsOpen) } },
    el("span", { class: "chevron", attrs: { "aria-hidden": "true" } }),
    el("span", { class: "layer-title" }, title),
    total.node,
  );
  toggle.addEventListener("click", () => {
    table.hidden = !table.hidden;
    setAttr(toggle, "aria-expanded", String(!table.hidden));
    node.classList.toggle("closed", table.hidden);
    toggled();
  });
  const node = el("div", { class: `layer-group${startsOpen ? "" : " closed"}` }, el("h3", {}, toggle), table);
  const drawn: DrawnGroup = {
    group,
    node,
    isOpen: () => !table.hidden,
    unfold: () => {
      if (table.hidden) toggle.click();
    },
    showNorms(norms, largest) {
      for (const { row, bar } of rows) bar.show(norms.get(row.name), largest);
      const prefix = `${group.stack === "encoder" ? ENCODER : ""}blocks.${group.block}`;
      total.show(group.block === null ? undefined : norms.get(`${prefix}.residPost`), largest);
    },
    markOpened(name) {
      for (const each of rows) setAttr(each.name, "aria-expanded", String(each.row.name === name));
    },
  };
  return drawn;
}

/** A norm as a number with a bar; empty where it is not known. */
function normBar() {
  const fillBar = el("span", { class: "norm-fill" });
  const number = el("span", { class: "number" });
  const node = el(
    "span",
    { class: "norm" },
    el("span", { class: "norm-track", attrs: { "aria-hidden": "true" } }, fillBar),
    number,
  );
  return {
    node,
    show(value: number | undefined, largest: number) {
      node.style.visibility = value === undefined ? "hidden" : "visible";
      fillBar.style.width = value === undefined ? "0" : `${(100 * value) / largest}%`;
      number.textContent = value === undefined ? "" : formatNorm(value);
      node.title = value === undefined ? "" : t("L2 norm {0}", formatValue(value));
    },
  };
}
