/** The architectures that a model may have, as its config.json names them. */
export const knownModelTypes: readonly string[] = [
  "decoder_lab",
  "gpt2",
  "opt",
  "gpt_neo",
  "gpt_neox",
  "llama",
  "mistral",
  "qwen2",
  "qwen3",
  "gemma",
  "gemma2",
  "phi",
  "olmo2",
  "smollm3",
];
