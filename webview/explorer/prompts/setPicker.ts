/** The controls of the named sets: open, save under a name, delete, import. The prompts are in a text area. */

import { el } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { button, dropdown, textField } from "../../base/toolkit";
import type { ExplorerTools } from "../../trace/inspection";
import { type ChosenToken, promptsOf, readSaved, textOf } from "./layout";

/** A named set is saved when typing has paused for this long, in ms. */
const TYPING_PAUSE = 500;

interface PickerHooks {
  /** Other prompts are shown, or another set is open. */
  readonly changed: () => void;
  readonly say: (error: unknown) => void;
}

export function createSetPicker(
  { memory, promptSets }: Pick<ExplorerTools, "memory" | "promptSets">,
  lines: HTMLTextAreaElement,
  initial: readonly ChosenToken[],
  { changed, say }: PickerHooks,
) {
  let { name, draft } = readSaved(memory.get().prompts);
  let tokens = initial;
  let sets: Awaited<ReturnType<typeof promptSets.list>> = [];
  let typing: ReturnType<typeof setTimeout> | undefined;
  lines.value = draft;

  const remember = () => memory.set({ prompts: JSON.stringify({ name, draft, tokens }) });
  const status = el("span", { class: "small", attrs: { role: "status" } });
  const picker = dropdown(t("Set of prompts"), (value) => open(value));
  const field = textField(t("Name of the set"), t("Name"));
  const saveAs = button(t("Save as"), () => void saveSet());
  const remove = button(t("Delete"), () => void deleteSet());
  const importFile = button(t("Import…"), () => void importPrompts());

  const draw = () => {
    picker.update(
      [{ value: "", label: t("not saved") }, ...sets.map((set) => ({ value: set.name, label: set.name }))],
      name,
    );
    remove.hidden = name === "";
  };
  const open = (next: string) => {
    if (typing !== undefined) saveNow();
    name = next;
    lines.value = name === "" ? draft : textOf(sets.find((set) => set.name === name)?.prompts ?? []);
    status.textContent = "";
    remember();
    draw();
    changed();
  };

  /** Saves what was typed: a named set in its place, other prompts with the page. */
  const saveNow = () => {
    clearTimeout(typing);
    typing = undefined;
    if (name !== "") return void store(name);
    draft = lines.value;
    remember();
  };
  const saveAndDraw = () => {
    saveNow();
    changed();
  };
  const store = async (as: string): Promise<boolean> => {
    const set = { name: as, prompts: promptsOf(lines.value) };
    try {
      await promptSets.save(set);
      sets = [...sets.filter((each) => each.name !== as), set].sort((a, b) => a.name.localeCompare(b.name));
      return true;
    } catch (error) {
      say(error);
      return false;
    }
  };
  // Drawing the table of a thousand prompts at each key would delay typing.
  lines.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(saveAndDraw, TYPING_PAUSE);
  });
  lines.addEventListener("change", () => typing !== undefined && saveAndDraw());

  const saveSet = async () => {
    const as = field.value.trim().slice(0, 100);
    if (as === "") {
      status.textContent = t("Enter a name for the set.");
      return field.focus();
    }
    if (sets.some((set) => set.name === as) && as !== name) {
      status.textContent = t("There is a set with this name. Enter another name.");
      return field.focus();
    }
    clearTimeout(typing);
    typing = undefined;
    if (!(await store(as))) return;
    if (name === "") draft = "";
    name = as;
    field.value = "";
    status.textContent = t("Saved. Changes of this set are saved as you type.");
    remember();
    draw();
    changed();
  };
  const deleteSet = async () => {
    try {
      if (!(await promptSets.remove(name))) return;
    } catch (error) {
      return say(error);
    }
    sets = sets.filter((set) => set.name !== name);
    // The prompts stay on the page until they are replaced.
    name = "";
    draft = lines.value;
    status.textContent = t("Deleted.");
    remember();
    draw();
    changed();
    picker.node.focus();
  };
  const importPrompts = async () => {
    try {
      const prompts = await promptSets.import();
      if (!prompts) return;
      add(prompts);
      status.textContent = t("{0} prompts added.", formatCount(prompts.length));
    } catch (error) {
      say(error);
    }
  };
  const add = (prompts: readonly string[]) => {
    lines.value = textOf([...promptsOf(lines.value), ...prompts]);
    saveAndDraw();
  };

  return {
    nodes: [picker.node, field, saveAs, remove, importFile, status],
    name: () => name,
    add,
    remember(next: readonly ChosenToken[]) {
      tokens = next;
      remember();
    },
    /** Reads the sets, and opens the one that was open. */
    async load() {
      try {
        sets = await promptSets.list();
      } catch (error) {
        return say(error);
      }
      if (typing === undefined && name !== "") {
        const known = sets.find((set) => set.name === name);
        if (known) lines.value = textOf(known.prompts);
        else {
          // Deleted in another window.
          name = "";
          draft = lines.value || draft;
          remember();
        }
      }
      draw();
      changed();
    },
  };
}
