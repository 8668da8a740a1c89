/** Loss of a model on text, with its weights as loaded: mapped, quantized, on any device. */

import { positionFeeds, positionInputs, threadsFor } from "../generate/decodeGraph";
import { input, type Node, pick } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { decoder, fullAttention } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { maskFeeds, maskName } from "./masks";

export class Scorer {
  #session: Promise<Session> | undefined;

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    readonly batch: number,
  ) {}

  /** Cross-entropy of a batch in nats: ids [T, B], labels and their weights [T*B]. */
  async loss(batch: { ids: Int32Array; labels: Int32Array; labelWeights: Float32Array }): Promise<number> {
    const { cfg, weights, batch: B } = this;
    this.#session ??= Session.create(
      lower(scoreGraph(cfg, weights, B), weights.device),
      weights.device,
      threadsFor(cfg),
    );
    const T = batch.ids.length / B;
    const positions = batch.ids.map((_, i) => Math.floor(i / B));
    const feeds = { ...weights.feeds, ...batch, ...positionFeeds(cfg, positions, T), ...maskFeeds(cfg, T) };
    return (await (await this.#session).compute(feeds)).loss?.[0] as number;
  }

  async release(): Promise<void> {
    await (await this.#session)?.release();
    this.#session = undefined;
  }
}

function scoreGraph(cfg: DecoderConfig, { param }: Pick<DeviceWeights, "param">, B: number): Record<string, Node> {
  const size = { batch: B, length: UNKNOWN };
  const logits = decoder(input("ids", [UNKNOWN, B], "i32"), param, cfg, {
    ...size,
    ...positionInputs(cfg, B),
    attend: fullAttention(cfg, size, (window) => input(maskName(window), [UNKNOWN, UNKNOWN])),
    probe: (_name, x) => x,
    dropout: (x) => x,
  }); // [T*B, V]
  const labels = input("labels", [UNKNOWN], "i32");
  const weights = input("labelWeights", [UNKNOWN]);
  return { loss: logits.logSumExp().sub(pick(logits, labels)).mul(weights).sum() };
}
