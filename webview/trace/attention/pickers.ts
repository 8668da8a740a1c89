/** The dropdowns above the attention chart. */

import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { type DropdownControl, dropdown } from "../../base/toolkit";
import { SCALES, STAGES } from "./charts";
import { type AttentionKind, type HeadId, KIND_NAMES } from "./layout";
import type { Choices, offered } from "./state";

type Picked = Required<Omit<Choices, "key">> & HeadId;

export function createPickers(pick: { readonly [K in keyof Picked]: (value: Picked[K]) => void }) {
  // The choices of a dropdown are values of its own type.
  const picker = (name: string, choose: (value: string) => void) => {
    const control = dropdown(name, choose);
    const label = el("span", { class: "small muted", attrs: { "aria-hidden": "true" } }, name);
    return { ...control, part: el("div", { class: "picker" }, label, control.node) };
  };
  const kind = picker(t("Kind"), (id) => pick.kind(id as Choices["kind"]));
  const layer = picker(t("Layer"), (value) => pick.layer(Number(value)));
  const head = picker(t("Head"), (value) => pick.head(Number(value)));
  const form = picker(t("Display"), (value) => pick.form(value as Choices["form"]));
  const stage = picker(t("Stage"), (value) => pick.stage(value as Choices["stage"]));
  const scale = picker(t("Colors"), (value) => pick.scale(value as Choices["scale"]));
  const perQuery = picker(t("Lines per token"), (value) => pick.perQuery(Number(value)));
  kind.part.classList.add("wide");
  const update = <T extends string>(
    { update: set }: DropdownControl,
    values: readonly T[],
    value: T,
    label: (value: T) => string = (value) => value,
  ) =>
    set(
      values.map((each) => ({ value: each, label: label(each) })),
      value,
    );
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i));
  return {
    node: el("div", { class: "pickers" }, ...[kind, layer, head, form, stage, scale, perQuery].map(({ part }) => part)),
    show(
      offer: ReturnType<typeof offered> &
        HeadId & { kinds: readonly AttentionKind[]; kind: AttentionKind; isOverlaid: boolean },
    ) {
      const { choices } = offer;
      const isLines = choices.form === "lines";
      kind.part.hidden = offer.kinds.length < 2;
      stage.part.hidden = isLines || offer.stages.length < 2;
      perQuery.part.hidden = !isLines;
      // Overlaid heads have colors of their own.
      scale.part.hidden = offer.isOverlaid;
      update(
        kind,
        offer.kinds.map(({ id }) => id),
        offer.kind.id,
        (id) => KIND_NAMES[id](),
      );
      update(layer, numbers(offer.kind.layers), String(offer.layer));
      update(head, numbers(offer.kind.heads), String(offer.head));
      update(form, ["matrix", "lines"], choices.form, (value) => (value === "lines" ? t("lines") : t("matrix")));
      update(stage, offer.stages, choices.stage, (value) => STAGES[value]());
      update(scale, offer.scales, choices.scale, (value) => SCALES[value]());
      update(perQuery, ["1", "2", "4", "8", "16"], String(choices.perQuery));
    },
  };
}
