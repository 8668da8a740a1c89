/**
 * The Model Explorer's views, in the order of its tabs. A new view is a folder and one line here; see
 * docs/explorer-views.md for how to write and test one.
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
import { createOverviewView } from "./overview/view";
import { createPromptsView } from "./prompts/view";

export interface ViewKind {
  /** Names the view in the saved state and in `open`. */
  readonly id: string;
  /** Called once the page's language is known. */
  readonly title: () => string;
  /** Creates the view when it is first opened. The view creates its section with `context.section(title)`. */
  readonly create: (context: ViewContext) => View;
  /** Set if the view cannot show traces opened from a file, which come without their model. */
  readonly needsModel?: true;
}

export const viewKinds: readonly ViewKind[] = [
  { id: "overview", title: () => t("Overview"), create: createOverviewView },
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
  { id: "prompts", title: () => t("Prompts"), create: createPromptsView, needsModel: true },
];
