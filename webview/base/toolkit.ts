/**
 * Controls from VS Code's webview toolkit. Only this file imports it, because the toolkit is archived upstream;
 * docs/decisions/2026-11-21-webview-toolkit.md describes the replacement.
 */

import {
  type Button,
  type Checkbox,
  type Dropdown,
  type ProgressRing,
  provideVSCodeDesignSystem,
  type TextField,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextField,
} from "@vscode/webview-ui-toolkit";
import { el } from "./dom";

export type { Button, Checkbox, TextField };

/** Defines the custom elements. A page calls this once, before it mounts. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeProgressRing(),
    vsCodeTextField(),
  );
}

// The tag determines the class, which TypeScript cannot know for custom elements.
const make = <T extends HTMLElement>(tag: string): T => document.createElement(tag) as T;

export function button(label: string, press: () => void, appearance: "primary" | "secondary" = "secondary"): Button {
  const node = make<Button>("vscode-button");
  node.setAttribute("appearance", appearance);
  node.append(label);
  node.addEventListener("click", press);
  return node;
}

interface Choice {
  readonly value: string;
  readonly label: string;
}

export interface DropdownControl {
  readonly node: Dropdown;
  /** Replaces the choices and selects one. */
  readonly update: (choices: readonly Choice[], value: string) => void;
}

export function dropdown(name: string, choose: (value: string) => void): DropdownControl {
  const node = make<Dropdown>("vscode-dropdown");
  node.setAttribute("aria-label", name);
  node.addEventListener("change", () => choose(node.value));
  let shown = "";
  return {
    node,
    update(choices, value) {
      const key = JSON.stringify(choices);
      if (key !== shown) {
        shown = key;
        node.replaceChildren(...choices.map((choice) => option(choice)));
      }
      // The options are upgraded in this task, so the dropdown can select one in the next microtask.
      queueMicrotask(() => {
        node.value = value;
      });
    },
  };
}

function option({ value, label }: Choice): HTMLElement {
  const node = make<HTMLElement>("vscode-option");
  node.setAttribute("value", value);
  node.append(label);
  return node;
}

export function checkbox(label: string, checked: boolean, change: (checked: boolean) => void): Checkbox {
  const node = make<Checkbox>("vscode-checkbox");
  node.append(label);
  node.checked = checked;
  node.addEventListener("change", () => change(node.checked));
  return node;
}

export function textField(name: string, placeholder: string): TextField {
  const node = make<TextField>("vscode-text-field");
  // When it is connected, a field without a visible label names itself "Text field"; this runs after that.
  setTimeout(() => node.setAttribute("aria-label", name));
  node.placeholder = placeholder;
  return node;
}

/** A word in a pill. The toolkit's badge has a style attribute, which the page's content security policy blocks. */
export const badge = (text: string): HTMLElement => el("span", { class: "badge" }, text);

/** An indeterminate progress indicator. */
export function progressRing(label: string): HTMLElement {
  const node = make<ProgressRing>("vscode-progress-ring");
  node.setAttribute("aria-label", label);
  return el("span", { class: "ring" }, node);
}
