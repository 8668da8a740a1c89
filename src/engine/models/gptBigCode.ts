/** StarCoder and SantaCoder (Li et al., 2023): GPT-2 with one head of keys and values, which all query heads share. */

import { defineFamily } from "./family";
import { gpt2Decoder, gpt2Parts } from "./gpt2";

export const gptBigCode = defineFamily({
  ...gpt2Parts,
  modelType: "gpt_bigcode",
  className: "GPTBigCode",
  config(hf) {
    const cfg = gpt2Decoder(hf, "gelu_pytorch_tanh");
    return hf.flag("multi_query", true) ? { ...cfg, nKvHeads: 1 } : { ...cfg, qkv: "fusedByHead" };
  },
});
