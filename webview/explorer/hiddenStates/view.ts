/** Hidden states: the residual stream by layer and position, one of its vectors, and a list of all values. */

import { el } from "../../base/dom";
import { t } from "../../base/strings";
import type { View, ViewContext } from "../../trace/inspection";
import { blocksText, createValueList } from "../../trace/layers/view";
import "./hiddenStates.css";
import { createStreamMap } from "./streamMap";
import { createVectorPart } from "./vector";

export function createHiddenStatesView({ section: makeSection, ...context }: ViewContext): View {
  const section = makeSection(t("Hidden states"));
  const vector = createVectorPart(context);
  const map = createStreamMap(context, vector.choose);
  const values = createValueList(context);
  section.body.append(
    map.node,
    vector.node,
    el("h3", { class: "subheading" }, t("All values of the trace")),
    values.node,
  );
  return {
    section,
    asksTensors: true,
    show(inspection) {
      section.summarize(blocksText(inspection));
      map.show(inspection);
      vector.show(inspection);
      values.show(inspection);
    },
  };
}
