/** The model's modules as PyTorch prints them, with the shapes of this trace's values, and each weight at a glance. */

import { el, fill } from "../../base/dom";
import { formatBytes, formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { textField } from "../../base/toolkit";
import { createDataBar } from "../../parts/dataBar";
import { createExplanation } from "../../parts/explanation";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import {
  type ArchitectureNode,
  architecture,
  architectureTable,
  firstOpen,
  keyAction,
  type ShownRow,
  shownRows,
} from "./layout";
import { treeDrawing } from "./picture";
import { drawRow } from "./row";
import { createWeightPicture } from "./weightPicture";

export function createArchitectureView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Architecture"));
  const problem = createProblem(() => void load());
  const search = textField(t("Find a module, a weight or a value"), t("Find: attn, weight, resid…"));
  const headings = [t("Module"), t("Shape"), t("Type"), t("Parameters"), t("Share"), t("Bytes")];
  const body = el("tbody", {});
  const notes = el("ul", { class: "small muted architecture-notes", attrs: { hidden: true } });
  const table = el(
    "table",
    { class: "architecture", attrs: { role: "treegrid", "aria-label": t("Modules of the model") } },
    el("thead", {}, el("tr", {}, ...headings.map((name) => el("th", { attrs: { scope: "col" } }, name)))),
    body,
  );
  let inspection: Inspection | null = null;
  let root: ArchitectureNode | null = null;
  let open = new Set<string>();
  let rows: readonly ShownRow[] = [];
  /** Id of the row that has the focus. */
  let current = "";
  /** Id of the weight whose picture is shown below its row. */
  let opened: string | null = null;
  const weight = createWeightPicture(save);

  const data = createDataBar(
    {
      fileName: () => `architecture-${inspection?.trace.model.name ?? ""}`.replace(/[^\w.-]+/g, "-"),
      table: () => root && architectureTable(root),
      of: () => inspection,
      drawing: () => treeDrawing(t("Modules of {0}", inspection?.trace.model.name ?? ""), headings, rows),
    },
    save,
  );
  section.body.append(
    createExplanation(
      "architecture",
      explorer?.memory,
      t("As PyTorch prints it, with the values of this trace and their shapes (B is the batch)."),
    ).node,
    notes,
    search,
    problem.node,
    el("div", { class: "architecture-scroller" }, table),
    data.node,
  );

  const press = (node: ArchitectureNode) => {
    if (node.kind === "value") {
      // The view must be open to scroll to the value.
      explorer?.open(/\.attn\.(pattern|scores)$/.test(node.name) ? "attention" : "layers");
      selection.set({ ...(node.layer !== null && { layer: node.layer }), value: node.name });
    } else if (node.kind === "weight") {
      opened = opened === node.id ? null : node.id;
      draw();
      if (opened && inspection) weight.show(inspection, node.name);
    } else {
      if (node.layer !== null) selection.set({ layer: node.layer });
      toggle(node, !open.has(node.id));
    }
  };
  const toggle = (node: ArchitectureNode, isOpen: boolean) => {
    if (isOpen) open.add(node.id);
    else open.delete(node.id);
    draw();
  };
  const focusOn = (id: string) => {
    current = id;
    draw();
    body.querySelector<HTMLElement>('tr[tabindex="0"]')?.focus();
  };

  const draw = () => {
    if (!root) return;
    rows = shownRows(root, open, search.value);
    if (!rows.some(({ node }) => node.id === current)) current = rows[0]?.node.id ?? "";
    const hadFocus = body.contains(document.activeElement);
    const drawn = rows.flatMap((row) => {
      const line = drawRow(row, row.node.id === current, row.node.id === opened, inspection);
      line.addEventListener("click", () => {
        current = row.node.id;
        press(row.node);
      });
      if (row.node.id !== opened) return [line];
      const cell = el("td", { attrs: { colspan: 6, role: "gridcell" } }, weight.node);
      return [line, el("tr", { class: "weight-row", attrs: { role: "row", "aria-level": row.level } }, cell)];
    });
    fill(body, ...drawn);
    if (hadFocus) body.querySelector<HTMLElement>('tr[tabindex="0"]')?.focus();
    data.update();
  };

  search.addEventListener("input", draw);
  body.addEventListener("keydown", (event) => {
    // Keys of a weight's picture are its own.
    if (!(event.target instanceof HTMLTableRowElement)) return;
    const action = keyAction(rows, current, event.key);
    if (!action) return;
    event.preventDefault();
    if (action.kind === "toggle") toggle(action.node, action.isOpen);
    else if (action.kind === "focus") focusOn(action.node.id);
    else press(action.node);
  });

  const load = async () => {
    const from = inspection;
    if (!from) return;
    try {
      const modules = await from.modules();
      if (inspection !== from) return;
      problem.clear();
      const first = root === null || root.label !== modules.kind;
      root = architecture(modules, from.trace.values);
      if (first) open = firstOpen(root);
      notes.hidden = !modules.notes?.length;
      fill(notes, ...(modules.notes ?? []).map((note) => el("li", {}, note)));
      section.summarize(t("{0} parameters, {1}", formatCount(modules.parameters), formatBytes(modules.bytes)));
      if (opened) opened = null;
      draw();
    } catch (error) {
      if (inspection === from) problem.say(error);
    }
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      inspection = next;
      void load();
    },
  };
}
