/** The record of a run: settings, seed, data, versions, device and dates, and its reports. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createSection } from "../../parts/section";

export interface RecordView {
  readonly node: HTMLElement;
  readonly show: (run: RunSnapshot) => void;
}

export function createRecordView(save: Save, open: boolean, toggled: (open: boolean) => void): RecordView {
  let run: RunSnapshot | null = null;
  const section = createSection(t("Run record"), open, (now) => {
    toggled(now);
    draw();
  });
  const missing = el("p", { class: "muted" }, t("The record is saved with the first checkpoint."));
  const bars = [
    createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-record`,
        table: () => {
          const { facts, settings } = run?.record ?? { facts: {}, settings: {} };
          const rows = [...Object.entries(facts), ...Object.entries(settings)];
          return {
            title: t("Facts and settings"),
            columns: [t("name"), t("value")],
            rows: rows.length,
            row: (i: number) => {
              const [name, value] = rows[i] as (typeof rows)[number];
              return [name, String(value ?? "–")];
            },
          };
        },
      },
      save,
      true,
    ),
    createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-evaluations`,
        table: () => {
          const evals = run?.evals ?? [];
          return {
            title: t("Evaluations"),
            columns: ["step", "loss", "perplexity", "tokens", "accuracy"],
            rows: evals.length,
            row: (i: number) => {
              const { step, loss, perplexity, tokens, accuracy } = evals[i] as (typeof evals)[number];
              return [step, loss, perplexity, tokens, accuracy ?? ""];
            },
          };
        },
      },
      save,
    ),
    createDataBar(
      {
        fileName: () => `${run?.name ?? "run"}-steps`,
        table: () => {
          const reports = run?.reports ?? [];
          return {
            title: t("Steps"),
            columns: ["step", "loss", "lr", "gradNorm", "tokensPerSecond"],
            rows: reports.length,
            row: (i: number) => {
              const { step, loss, lr, gradNorm, tokensPerSecond } = reports[i] as (typeof reports)[number];
              return [step, loss, lr, gradNorm, tokensPerSecond];
            },
          };
        },
      },
      save,
    ),
  ];
  const titles = [t("Facts and settings"), t("Evaluations"), t("Steps")];
  section.body.append(
    missing,
    ...bars.map((bar, i) => el("div", { class: "record-part" }, el("h3", {}, titles[i] as string), bar.node)),
  );
  let shown: unknown = null;
  const draw = () => {
    if (!run || !section.isOpen()) return;
    missing.hidden = run.record !== null;
    if (run.record !== shown) bars[0]?.update();
    shown = run.record;
    bars[1]?.update();
    bars[2]?.update();
  };
  return {
    node: section.node,
    show(next) {
      run = next;
      draw();
    },
  };
}
