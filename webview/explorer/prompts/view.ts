/** The Prompts view: a set of prompts is edited, saved under a name, and scored as a table. */

import "./prompts.css";
import { el, fill, setAttr } from "../../base/dom";
import { formatCount, formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { button, textField } from "../../base/toolkit";
import { toCsv } from "../../charts/csv";
import { createProblem } from "../../parts/problem";
import type { ExplorerTools, Inspection, View, ViewContext } from "../../trace/inspection";
import { searched } from "../../trace/nextToken/layout";
import { visibleText } from "../../trace/tokens/layout";
import { type ChosenToken, fileNameOf, meanLoss, promptsOf, promptTable, readSaved, scoreOf } from "./layout";
import { createScores } from "./scores";
import { createSetPicker } from "./setPicker";
import { createPromptTable } from "./table";

/** Drawing a long table takes longer than scoring a short prompt, so it waits, in ms. */
const DRAW_INTERVAL = 500;

export function createPromptsView({ section: makeSection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Prompts"));
  // Only the Model Explorer has this view.
  const tools = explorer as ExplorerTools;
  const scores = createScores();
  let inspection: Inspection | null = null;
  /** The model that the scores are from. */
  let model = "";
  let { tokens } = readSaved(tools.memory.get().prompts);

  const lines = el("textarea", {
    class: "prompt-lines",
    attrs: {
      rows: 6,
      spellcheck: "false",
      "aria-label": t("Prompts, one per line"),
      placeholder: t("One prompt per line. A line break in a prompt is written ↵."),
    },
  });
  const problem = createProblem(() => void run());
  const picker = createSetPicker(tools, lines, tokens, {
    changed: () => draw(),
    say: problem.say,
  });
  const current = button(t("Add this prompt"), () => {
    if (inspection) picker.add([inspection.source.text]);
  });

  const field = textField(t("Token to add as a column"), t("Token: text or #id"));
  const addToken = async () => {
    const query = field.value;
    if (!inspection || query === "") return;
    try {
      const [found] = (await inspection.find(searched(query), 1)).found;
      if (!found) return setStatus(t("No token has this text."));
      field.value = "";
      if (tokens.some(({ id }) => id === found.id)) return;
      setTokens([...tokens, { id: found.id, label: visibleText(found.token) }]);
    } catch (error) {
      problem.say(error);
    }
  };
  field.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") void addToken();
  });
  const chips = el("ul", { class: "chips", attrs: { "aria-label": t("Tokens with a column") } });
  const setTokens = (next: readonly ChosenToken[]) => {
    tokens = next;
    scores.clear();
    picker.remember(tokens);
    draw();
  };

  const start = button(t("Run"), () => void run(), "primary");
  const cancel = button(t("Cancel"), () => scores.cancel());
  const progress = el("progress", { attrs: { "aria-label": t("Progress of the prompts"), max: 1, value: 0 } });
  const status = el("span", { class: "small", attrs: { role: "status" } });
  const table = createPromptTable((prompt) => tools.run(prompt));
  const saveCsv = button(t("Save CSV"), () => {
    const csv = toCsv(promptTable(table.rows(), tokens));
    save(`${fileNameOf(picker.name())}.csv`, new TextEncoder().encode(csv));
  });
  section.body.append(
    el(
      "div",
      { class: "prompt-set" },
      el("div", { class: "prompt-set-row" }, ...picker.nodes),
      lines,
      el(
        "div",
        { class: "prompt-set-row" },
        current,
        field,
        button(t("Add column"), () => void addToken()),
        chips,
      ),
      el("div", { class: "prompt-set-row" }, start, cancel, progress, saveCsv, status),
      problem.node,
      table.node,
    ),
  );

  const setStatus = (text: string) => {
    status.textContent = text;
  };
  const setRunning = (isRunning: boolean) => {
    start.disabled = isRunning || promptsOf(lines.value).length === 0;
    cancel.hidden = progress.hidden = !isRunning;
    setAttr(table.node, "aria-busy", isRunning ? "true" : null);
  };

  let isRunning = false;
  const run = async () => {
    const of = inspection;
    const prompts = promptsOf(lines.value);
    if (!of || isRunning || prompts.length === 0) return;
    problem.clear();
    isRunning = true;
    setRunning(true);
    let drawn = performance.now();
    const report = (done: number, total: number) => {
      progress.value = total === 0 ? 1 : done / total;
      setStatus(t("{0} of {1} prompts", formatCount(done), formatCount(total)));
      if (performance.now() - drawn < DRAW_INTERVAL) return;
      drawn = performance.now();
      drawTable();
    };
    const ids = tokens.map(({ id }) => id);
    const isDone = await scores.run(prompts, of, ids, report);
    isRunning = false;
    draw();
    if (!isDone) setStatus(t("Canceled. The prompts that were scored stay."));
  };

  const drawTable = () => table.show(scores.rows(promptsOf(lines.value)), tokens);
  const draw = () => {
    drawTable();
    const rows = table.rows();
    const scored = rows.filter((row) => scoreOf(row) !== null).length;
    const failed = rows.filter(({ outcome }) => outcome instanceof Error).length;
    const mean = meanLoss(rows);
    table.node.hidden = rows.length === 0;
    saveCsv.disabled = rows.length === 0;
    setRunning(isRunning);
    section.summarize(picker.name());
    fill(
      chips,
      ...tokens.map(({ id, label }) => {
        const text = `“${label}” #${id}`;
        const remove = () => setTokens(tokens.filter((token) => token.id !== id));
        const attrs = { type: "button", "aria-label": t("Remove {0}", text) };
        return el(
          "li",
          { class: "chip" },
          text,
          el("button", { class: "chip-remove", title: t("Remove"), attrs, on: { click: remove } }, "×"),
        );
      }),
    );
    if (rows.length === 0) return setStatus(t("Enter prompts, add the one above, or import a CSV or JSONL file."));
    setStatus(
      [
        t("{0} prompts, {1} scored", formatCount(rows.length), formatCount(scored)),
        failed > 0 && t("{0} failed", formatCount(failed)),
        mean !== null && t("mean loss {0} nats per token", formatShort(mean)),
      ]
        .filter((part) => part !== false)
        .join(" · "),
    );
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      inspection = next.base ?? next;
      const { dir, step } = next.trace.model;
      if (model !== `${step} ${dir}`) scores.clear();
      model = `${step} ${dir}`;
      void picker.load();
      draw();
    },
  };
}
