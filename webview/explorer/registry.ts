/**
 * The Explorer's views, in the order of its navigation: adding one is its folder and one line here.
 * docs/explorer-views.md says how a view is written and tested.
 */

import { t } from "../base/strings";
import { createAttentionView } from "../trace/attention/view";
import { createEmbeddingView } from "../trace/embedding/view";
import type { View, ViewContext } from "../trace/inspection";
import { createNextTokenView } from "../trace/nextToken/view";
import { createTokensView } from "../trace/tokens/view";
import { createArchitectureView } from "./architecture/view";
import { createCompareTracesView } from "./compareTraces/view";
import { createGenerationView } from "./generation/view";
import { createHiddenStatesView } from "./hiddenStates/view";
import { createInterventionsView } from "./interventions/view";
import { createLensView } from "./lens/view";

export interface ViewKind {
  /** By which it is remembered and opened. */
  readonly id: string;
  /** Asked when the page's language is known. */
  readonly title: () => string;
  /** Makes the view when it is first opened; its section is made with `context.section(title)`. */
  readonly create: (context: ViewContext) => View;
  /** Nothing of it can be shown of a run that was opened from a file, without its model. */
  readonly needsModel?: true;
}

export const viewKinds: readonly ViewKind[] = [
  { id: "tokens", title: () => t("Tokens"), create: createTokensView },
  { id: "nextToken", title: () => t("Next token"), create: createNextTokenView },
  { id: "architecture", title: () => t("Architecture"), create: createArchitectureView, needsModel: true },
  { id: "embedding", title: () => t("Embeddings"), create: createEmbeddingView },
  { id: "layers", title: () => t("Hidden states"), create: createHiddenStatesView },
  { id: "attention", title: () => t("Attention"), create: createAttentionView },
  { id: "lens", title: () => t("Logit lens"), create: createLensView, needsModel: true },
  { id: "generation", title: () => t("Generation"), create: createGenerationView },
  { id: "interventions", title: () => t("Interventions"), create: createInterventionsView },
  { id: "compare", title: () => t("Compare"), create: createCompareTracesView },
];
