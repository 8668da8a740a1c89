/** Temperature, top-k, top-p and min-p as sliders with number fields, each with its effect. */

import type { SamplerView } from "../../../src/protocol/traceApi";
import { el, setAttr } from "../../base/dom";
import { formatCount, formatPercent } from "../../base/format";
import { t } from "../../base/strings";
import { button } from "../../base/toolkit";
import { OWN, type SamplerSettings, settingRanges, typedSetting } from "./layout";

type Setting = keyof SamplerSettings;

export interface SamplerControls {
  readonly node: HTMLElement;
  readonly settings: () => SamplerSettings;
  /** Adapts to the vocabulary size of another model. */
  readonly use: (vocabSize: number) => void;
  /** Shows the effect of each setting; null before it is known. */
  readonly show: (view: SamplerView | null) => void;
}

export function createSamplerControls(changed: () => void): SamplerControls {
  let settings = OWN;
  let vocabSize = 1;
  const titles: Readonly<Record<Setting, string>> = {
    temperature: t("Temperature"),
    topK: t("Top-k"),
    topP: t("Top-p"),
    minP: t("Min-p"),
  };
  const set = (change: Partial<SamplerSettings>) => {
    settings = { ...settings, ...change };
    draw();
    changed();
  };

  const row = (kind: Setting) => {
    const name = titles[kind];
    const slider = el("input", {
      class: "slider sampler-slider",
      attrs: { type: "range", min: 0, "aria-label": name },
      on: { input: () => set({ [kind]: Number(slider.value) }) },
    });
    const field = el("input", {
      class: "sampler-field",
      attrs: { type: "number", min: 0, "aria-label": t("{0} as a number", name) },
      on: {
        input: () => {
          const value = typedSetting(kind, field.value, vocabSize);
          setAttr(field, "aria-invalid", value === null);
          if (value !== null) set({ [kind]: value });
        },
        // Invalid input is replaced by the active value.
        blur: () => draw(),
      },
    });
    const effect = el("span", { class: "sampler-effect small" });
    return {
      kind,
      slider,
      field,
      effect,
      node: el("div", { class: "sampler-row" }, el("span", {}, name), slider, field, effect),
    };
  };
  const rows = (Object.keys(titles) as Setting[]).map(row);
  const reset = button(t("Reset"), () => set(OWN));

  const draw = () => {
    const ranges = settingRanges(vocabSize);
    for (const { kind, slider, field } of rows) {
      const { most, slid, step } = ranges[kind];
      setAttr(slider, "max", slid);
      setAttr(slider, "step", step);
      slider.value = String(settings[kind]);
      setAttr(slider, "aria-valuetext", valueText(kind, settings[kind]));
      setAttr(field, "max", most);
      setAttr(field, "step", step);
      if (document.activeElement === field && Number(field.value) === settings[kind]) continue;
      if (document.activeElement === field && field.getAttribute("aria-invalid") !== null) continue;
      field.value = String(settings[kind]);
      setAttr(field, "aria-invalid", null);
    }
    reset.disabled = rows.every(({ kind }) => settings[kind] === OWN[kind]);
  };
  draw();

  return {
    node: el(
      "div",
      { class: "sampler", attrs: { role: "group", "aria-label": t("Sampler") } },
      el("div", { class: "sampler-rows" }, ...rows.map(({ node }) => node)),
      el(
        "div",
        { class: "sampler-foot" },
        reset,
        el("span", { class: "small muted" }, t("Filters apply in order, after temperature.")),
      ),
    ),
    settings: () => settings,
    use(size) {
      vocabSize = size;
      settings = { ...settings, topK: Math.min(settings.topK, size) };
      draw();
    },
    show(view) {
      for (const { kind, effect } of rows) {
        const cut = view?.cuts.find((each) => each.kind === kind);
        effect.textContent = cut ? effectText(kind, settings, cut) : "";
      }
    },
  };
}

const valueText = (kind: Setting, value: number): string =>
  kind === "topK" && value === 0 ? t("0, all tokens") : String(value);

function effectText(kind: Setting, settings: SamplerSettings, cut: SamplerView["cuts"][number]): string {
  const left = cut.tokens === 1 ? t("keeps 1 token") : t("keeps {0} tokens", formatCount(cut.tokens));
  if (kind === "temperature") {
    if (settings.temperature === 0) return t("always the most likely token; removes {0}", formatPercent(cut.removed));
    if (settings.temperature === 1) return t("unchanged");
    return settings.temperature < 1 ? t("sharper; removes no token") : t("flatter; removes no token");
  }
  if (settings[kind] === OWN[kind]) return t("off");
  return t("removes {0}; {1}", formatPercent(cut.removed), left);
}
