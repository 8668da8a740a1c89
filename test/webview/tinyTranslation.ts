/** The trace of a tiny translator: `tinyTrace` of the source and of the translation, with random cross-attention. */

import { random } from "../../src/engine/random";
import { type TinyTrace, tinyTrace } from "./tinyTrace";

export function tinyTranslation(text: string, translation: string, trace = 1): TinyTrace {
  const read = tinyTrace(text, trace);
  const written = tinyTrace(translation, trace);
  const [S, T] = [read.info.tokens.length, written.info.tokens.length];
  const H = read.info.model.config.nHeads;
  const draw = random(11, "tinyTranslation");
  const cross = new Map<string, Float32Array>();
  for (let l = 0; l < read.info.model.config.nLayers; l++) {
    const weights = Float32Array.from({ length: H * T * S }, () => Math.exp(2 * draw.normal()));
    for (let row = 0; row < H * T; row++) {
      const own = weights.subarray(row * S, (row + 1) * S);
      const total = own.reduce((sum, x) => sum + x, 0);
      own.forEach((x, i) => {
        own[i] = x / total;
      });
    }
    cross.set(`blocks.${l}.cross.pattern`, weights);
  }
  return {
    info: {
      ...written.info,
      model: { ...written.info.model, name: "tiny-translator", preset: "translate", family: "decoder_lab_translate" },
      source: { tokens: read.info.tokens, residualNorms: read.info.residualNorms, translation },
      values: [
        ...read.info.values
          .filter(({ name }) => name !== "logits")
          .map((value) => ({ ...value, name: `enc.${value.name}` })),
        ...written.info.values,
        ...[...cross.keys()].map((name) => ({ name, shape: [1, H, T, S] })),
      ],
    },
    tensor(name, head) {
      const pattern = cross.get(name);
      const first = (head ?? 0) * T * S;
      if (pattern) return { name, shape: [1, T, S], data: pattern.slice(first, first + T * S) };
      if (!name.startsWith("enc.")) return written.tensor(name, head);
      return { ...read.tensor(name.slice("enc.".length), head), name };
    },
    find: written.find,
    weights: written.weights,
    modules: written.modules,
  };
}
