/** The choices of "Import Model": typed names, search results, and precisions. */

import type { FoundModel, ImportParams, ModelFileInfo, ModuleTree } from "../../protocol/engineApi";
import { bytes, count } from "../format";
import { l10n } from "../l10n";

export interface ImportSource {
  /** The URL or path that the engine expects. */
  readonly source: string;
  /** The display name, which becomes the name of the new model. */
  readonly name: string;
  readonly parameters: number | null;
  /** Size of the stored weights. */
  readonly bytes: number | null;
  readonly isQuantized: boolean;
  /** True for Hugging Face, where a token may help and an interrupted download can be resumed. */
  readonly isRemote: boolean;
}

const HUB = "https://huggingface.co/";
const FULL_NAME = /^[\w-][\w.-]*\/[\w-][\w.-]*(@[\w./-]+)?(:[\w./ -]+\.gguf)?$/;

/** The Hugging Face name in a typed text: `org/name`, optionally with a revision, or the URL of a model. */
export function typedModel(text: string): string | null {
  const name = text.trim().replace(HUB, "").replace("/tree/", "@");
  return FULL_NAME.test(name) ? name : null;
}

/** A model on Hugging Face. Its source is a URL, which cannot be confused with a relative path. */
export const hubSource = (id: string, parameters: number | null): ImportSource => ({
  source: HUB + id,
  name: id.replace(/^[^/]*\//, "").replace(/[@:].*/, ""),
  parameters,
  bytes: null,
  isQuantized: false,
  isRemote: true,
});

export const folderSource = (path: string, tree: ModuleTree): ImportSource => ({
  source: path,
  name: lastName(path),
  parameters: tree.parameters,
  bytes: tree.bytes,
  isQuantized: isQuantized(tree),
  isRemote: false,
});

export const fileSource = (path: string, info: ModelFileInfo): ImportSource => ({
  source: path,
  name: lastName(path).replace(/\.gguf$/i, ""),
  ...info,
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
  /** The memory for the weights, if known. */
  readonly description: string;
  readonly detail: string;
  readonly quantize: ImportParams["quantize"];
}

export function precisions({ parameters, bytes: stored }: ImportSource): Precision[] {
  // 32 weights share a scale of 4 bytes. Norms and biases are not quantized, but small.
  const about = (bits: number) =>
    parameters === null ? "" : l10n.t("about {0} of memory", bytes(parameters * (bits / 8 + 4 / 32)));
  return [
    {
      label: l10n.t("As stored"),
      description: storedSize(parameters, stored),
      detail: l10n.t("Weights exactly as published."),
      quantize: undefined,
    },
    {
      label: l10n.t("8-bit"),
      description: about(8),
      detail: l10n.t("Smaller and faster, with almost the same output."),
      quantize: "int8",
    },
    {
      label: l10n.t("4-bit"),
      description: about(4),
      detail: l10n.t("Smallest. The module tree shows the quantization error of each tensor."),
      quantize: "int4",
    },
  ];
}

function storedSize(parameters: number | null, stored: number | null): string {
  if (stored !== null) return l10n.t("{0} of memory", bytes(stored));
  if (parameters === null) return "";
  return l10n.t("{0} of memory in float16, {1} in float32", bytes(2 * parameters), bytes(4 * parameters));
}

/** The name of an imported model, with its precision if quantized. */
export const importedName = (name: string, quantize: ImportParams["quantize"]): string =>
  quantize === undefined ? name : l10n.t("{0} ({1})", name, quantize === "int8" ? l10n.t("8-bit") : l10n.t("4-bit"));
