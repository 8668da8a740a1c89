/** What "Import Model" offers, as far as it is pure: sources as they are typed, models as they are found, precisions. */

import type { FoundModel, ImportParams, ModuleTree } from "../../protocol/engineApi";
import { bytes, count } from "../format";
import { l10n } from "../l10n";

/** What is imported. */
export interface ImportSource {
  /** As the engine takes it. */
  readonly source: string;
  /** To show, and the new model's name. */
  readonly name: string;
  readonly parameters: number | null;
  /** Of the weights as they are stored. */
  readonly bytes: number | null;
  readonly isQuantized: boolean;
  /** Comes from the hub, where a token may help and a cut download goes on. */
  readonly isRemote: boolean;
}

const HUB = "https://huggingface.co/";
const FULL_NAME = /^[\w-][\w.-]*\/[\w-][\w.-]*(@[\w./-]+)?(:[\w./ -]+\.gguf)?$/;

/** A model of the hub whose name was typed in full: `org/name`, with a revision if wanted, or its address. */
export function typedModel(text: string): string | null {
  const name = text.trim().replace(HUB, "").replace("/tree/", "@");
  return FULL_NAME.test(name) ? name : null;
}

/** A model of the hub. As an address, which cannot be taken for a folder where the engine was started. */
export const hubSource = (id: string, parameters: number | null): ImportSource => ({
  source: HUB + id,
  name: id.replace(/^[^/]*\//, "").replace(/[@:].*/, ""),
  parameters,
  bytes: null,
  isQuantized: false,
  isRemote: true,
});

/** A folder, as the engine has described it. */
export const folderSource = (path: string, tree: ModuleTree): ImportSource => ({
  source: path,
  name: lastName(path),
  parameters: tree.parameters,
  bytes: tree.bytes,
  isQuantized: isQuantized(tree),
  isRemote: false,
});

export const fileSource = (path: string): ImportSource => ({
  source: path,
  name: lastName(path).replace(/\.gguf$/i, ""),
  parameters: null,
  bytes: null,
  isQuantized: false,
  isRemote: false,
});

const lastName = (path: string) => path.split(/[\\/]/).findLast((part) => part !== "") ?? path;

const isQuantized = ({ tensors, children }: ModuleTree): boolean =>
  tensors.some(({ dtype }) => dtype.startsWith("uint8")) || children.some(isQuantized);

/** `gpt2 · 124 M parameters · 12.3 M downloads · 2.10 k likes` */
export const foundText = ({ modelType, parameters, downloads, likes }: FoundModel): string =>
  [
    modelType,
    parameters === undefined ? null : l10n.t("{0} parameters", count(parameters)),
    l10n.t("{0} downloads", count(downloads)),
    l10n.t("{0} likes", count(likes)),
  ]
    .filter((part) => part)
    .join(" · ");

export interface Precision {
  readonly label: string;
  /** The memory that the weights take, where it is known. */
  readonly description: string;
  readonly detail: string;
  readonly quantize: ImportParams["quantize"];
}

export function precisions({ parameters, bytes: stored }: ImportSource): Precision[] {
  // Each 32 weights share a scale of 4 bytes; norms and biases, which stay whole, are few.
  const about = (bits: number) =>
    parameters === null ? "" : l10n.t("about {0} of memory", bytes(parameters * (bits / 8 + 4 / 32)));
  return [
    {
      label: l10n.t("As stored"),
      description: storedSize(parameters, stored),
      detail: l10n.t("Every weight as its authors published it."),
      quantize: undefined,
    },
    {
      label: l10n.t("8-bit"),
      description: about(8),
      detail: l10n.t("Smaller and faster; answers hardly change."),
      quantize: "int8",
    },
    {
      label: l10n.t("4-bit"),
      description: about(4),
      detail: l10n.t("Smallest; the module tree shows the error of each tensor."),
      quantize: "int4",
    },
  ];
}

function storedSize(parameters: number | null, stored: number | null): string {
  if (stored !== null) return l10n.t("{0} of memory", bytes(stored));
  if (parameters === null) return "";
  return l10n.t("{0} of memory in float16, {1} in float32", bytes(2 * parameters), bytes(4 * parameters));
}

/** A name that says the precision where it is not the original's. */
export const importedName = (name: string, quantize: ImportParams["quantize"]): string =>
  quantize === undefined ? name : l10n.t("{0} ({1})", name, quantize === "int8" ? l10n.t("8-bit") : l10n.t("4-bit"));
