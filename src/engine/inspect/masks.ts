/** Attention masks of graphs whose length is only known when they run. */

import type { DecoderConfig } from "../nn/config";
import { attentionMask, windowOfLayer } from "../nn/decoder";
import { type DeviceTensor, hostTensor } from "../runtime/session";

/** The name of the mask of layers with a window. */
export const maskName = (window: number | null): string => (window === null ? "mask" : `mask.${window}`);

/** The masks of all layers, [T (query), T (key)]. */
export function maskFeeds(cfg: DecoderConfig, T: number): Record<string, DeviceTensor> {
  const masks: Record<string, DeviceTensor> = {};
  for (let l = 0; l < cfg.nLayers; l++) {
    const window = windowOfLayer(cfg, l);
    masks[maskName(window)] ??= hostTensor(attentionMask(cfg, T, window), [T, T]);
  }
  return masks;
}
