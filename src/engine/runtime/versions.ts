/** Versions of the software that computes: different versions may round differently. */

import { env } from "onnxruntime-node";
import { version } from "../../../package.json";

export interface Versions {
  readonly decoderLab: string;
  readonly onnxruntime: string;
  readonly node: string;
}

export const versions = (): Versions => ({
  decoderLab: version,
  onnxruntime: env.versions.node ?? env.versions.common,
  node: process.versions.node,
});
