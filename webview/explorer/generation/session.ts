/** A generation session: the branches written after one prompt, and which branch and step are shown. It knows no page. */

import type { GenerationParams } from "../../../src/protocol/traceApi";
import type { Completion } from "../../../src/protocol/webviewApi";
import type { Inspection } from "../../trace/inspection";
import {
  type Branch,
  branchWith,
  drawnStep,
  parentAt,
  pickedStep,
  type Recipe,
  recipesOf,
  type Settings,
  type Step,
  stepsOf,
  textOf,
  writtenAt,
} from "./layout";

/** Tokens reported for each step: ranks are known up to this one. */
export const REPORTED = 30;

/** The prompt that is continued; it stays the same while all views show one of the generated texts. */
export interface Prompt {
  readonly inspection: Inspection;
  readonly ids: readonly number[];
  readonly text: string;
  /** The editor's completion that is explained. */
  readonly completion: Completion | null;
}

/** The session as it is saved: enough to generate the branches again. */
export interface SavedSession {
  readonly dir: string;
  readonly modelStep: number;
  readonly prompt: readonly number[];
  readonly text: string;
  readonly completion: Completion | null;
  readonly openedText: string | null;
  readonly recipes: readonly Recipe[];
  /** Index of the branch that is shown, and its step. */
  readonly shown: number;
  readonly step: number;
}

export interface SessionHooks {
  /** The session changed. `isProgress` marks the many small changes while a branch is written. */
  readonly changed: (isProgress: boolean) => void;
  /** A request failed; null when a new one starts. */
  readonly failed: (error: unknown) => void;
  readonly save: (json: string) => void;
}

export class GenerationSession {
  prompt: Prompt | null = null;
  branches: readonly Branch[] = [];
  /** Id of the branch that is shown. */
  shown = 0;
  step = 0;
  /** The generated text that was opened in all views. */
  openedText: string | null = null;
  readonly #hooks: SessionHooks;
  #lastId = 0;
  #writing: AbortController | null = null;
  /** Counts the user's requests, so that a replay stops when a new one starts. */
  #request = 0;
  #isReplaying = false;

  constructor(hooks: SessionHooks) {
    this.#hooks = hooks;
  }

  get isWriting(): boolean {
    return this.#writing !== null;
  }

  /** All steps of the branch that is shown. */
  get steps(): readonly Step[] {
    return this.branches.length > 0 ? stepsOf(this.branches, this.shown) : [];
  }

  get branch(): Branch | undefined {
    return this.branches.find(({ id }) => id === this.shown);
  }

  /** Starts a session; `saved` is the one to generate again, if there is one. */
  begin(prompt: Prompt, saved: SavedSession | null): void {
    this.stop();
    this.#writing = null;
    this.prompt = prompt;
    this.branches = [];
    this.step = 0;
    this.openedText = saved?.openedText ?? null;
  }

  stop(): void {
    this.#writing?.abort();
  }

  /** Discards all branches and generates a first one. */
  async restart(settings: Settings): Promise<void> {
    if (!this.prompt) return;
    this.#request += 1;
    this.branches = [];
    this.step = 0;
    await this.#write({ parent: null, from: 0, steps: [], settings });
  }

  /** Branches off with another token at the step that is shown, or shows the branch that has it already. */
  async pick(token: number, settings: Settings): Promise<void> {
    const { step } = this;
    const existing = branchWith(this.branches, this.shown, step, token);
    if (existing !== null) return this.look(existing, step);
    const at = this.steps[step];
    const picked = at && pickedStep(at, token);
    if (!picked) return;
    this.#request += 1;
    const parent = parentAt(this.branches, this.shown, step);
    await this.#write({ parent, from: step, steps: [picked], settings });
  }

  /** Shows a step of a branch. */
  look(branch: number, step: number): void {
    this.shown = branch;
    this.step = Math.max(0, Math.min(step, this.steps.length - 1));
    this.#hooks.changed(false);
    if (!this.isWriting) this.save();
  }

  /** Generates the branches of a saved session again. */
  async replay({ recipes, shown, step }: SavedSession): Promise<void> {
    const request = ++this.#request;
    this.#isReplaying = true;
    const ids: (number | undefined)[] = [];
    for (const { parent, from, token, settings } of recipes) {
      const parentId = ids[parent];
      const parted = parentId === undefined ? undefined : stepsOf(this.branches, parentId)[from];
      const picked = parted && pickedStep(parted, token);
      // The parent may be shorter than it was.
      const isGone = parent >= 0 && !picked;
      if (!isGone) await this.#write({ parent: parentId ?? null, from, steps: picked ? [picked] : [], settings });
      if (request !== this.#request) break;
      ids.push(isGone ? undefined : this.#lastId);
    }
    this.#isReplaying = false;
    const id = ids[shown];
    if (request === this.#request && id !== undefined) this.look(id, step);
  }

  save(): void {
    if (!this.prompt || this.#isReplaying) return;
    const { inspection, ids, text, completion } = this.prompt;
    const { dir, step: modelStep } = inspection.trace.model;
    const { openedText, step } = this;
    const shown = this.branches.findIndex(({ id }) => id === this.shown);
    const recipes = recipesOf(this.branches);
    const saved: SavedSession = { prompt: ids, text, completion, dir, modelStep, openedText, recipes, shown, step };
    this.#hooks.save(JSON.stringify(saved));
  }

  /** Generates a branch to its end. */
  async #write(start: Pick<Branch, "parent" | "from" | "steps" | "settings">): Promise<void> {
    const { prompt } = this;
    if (!prompt) return;
    const fresh: Branch = { ...start, id: ++this.#lastId, reason: null, spans: null };
    const { id, from, settings } = fresh;
    this.stop();
    const abort = new AbortController();
    this.#writing = abort;
    this.#hooks.failed(null);
    this.branches = [...this.branches, fresh];
    this.shown = id;
    this.#hooks.changed(false);
    const isDiscarded = () => this.prompt !== prompt || !this.branches.some((each) => each.id === id);
    const path = () => [...prompt.ids, ...stepsOf(this.branches, id).map((each) => each.id)];
    const generate = (params: Pick<GenerationParams, "maxNewTokens">) =>
      prompt.inspection.generationTrace(
        { ...settings, ...params, prompt: path(), count: REPORTED },
        (step) => {
          if (isDiscarded() || abort.signal.aborted) return;
          const { steps } = this.branches.find((each) => each.id === id) ?? fresh;
          this.#change(id, { steps: [...steps, drawnStep(step, settings)] });
          this.#hooks.changed(true);
        },
        abort.signal,
      );
    try {
      const { reason } = await generate({
        maxNewTokens: Math.max(0, settings.maxNewTokens - from - fresh.steps.length),
      });
      if (isDiscarded()) return;
      this.#change(id, { reason });
    } catch (error) {
      if (isDiscarded()) return;
      if (!abort.signal.aborted) this.#hooks.failed(error);
      this.#change(id, { reason: "canceled" });
    }
    // The text of the tokens, also of those generated before a stop.
    try {
      const traced = await prompt.inspection.generationTrace({ prompt: path(), maxNewTokens: 0, count: 0 });
      if (!isDiscarded()) this.#change(id, { spans: traced.prompt.slice(prompt.ids.length) });
    } catch (error) {
      if (!isDiscarded()) this.#hooks.failed(error);
    }
    if (this.#writing === abort) this.#writing = null;
    if (isDiscarded()) return;
    this.#hooks.changed(false);
    this.save();
  }

  #change(id: number, to: Partial<Branch>): void {
    this.branches = this.branches.map((each) => (each.id === id ? { ...each, ...to } : each));
  }
}

/** The saved session, if it belongs to this trace: to its prompt, or to a text that was opened in all views. */
export function savedSession(
  json: string,
  { trace, source }: Pick<Inspection, "trace" | "source">,
): SavedSession | null {
  if (json === "") return null;
  // Only this view writes it.
  const saved = JSON.parse(json) as SavedSession;
  const { dir, step } = trace.model;
  if (saved.dir !== dir || saved.modelStep !== step) return null;
  if (saved.text !== source.text && saved.openedText !== source.text) return null;
  const isOther = source.completion && JSON.stringify(source.completion) !== JSON.stringify(saved.completion);
  return isOther ? null : saved;
}

/** How the trace that all views show relates to a branch. */
export interface Placement {
  /** The views show the prompt. */
  readonly isPrompt: boolean;
  /** They show the prompt and everything the branch wrote. */
  readonly isWhole: boolean;
  /** Position of the first generated token; null if the text is tokenized differently or is not shown. */
  readonly at: number | null;
}

export function placementOf(
  { trace, source }: Pick<Inspection, "trace" | "source">,
  prompt: Prompt,
  branch?: Branch,
): Placement {
  const spans = branch?.spans;
  const isWhole = spans ? source.text === prompt.text + textOf(spans) : false;
  const at = spans && isWhole && spans.length > 0 ? writtenAt(trace.tokens, spans) : null;
  return { isPrompt: source.text === prompt.text, isWhole, at };
}
