/** The README of a project. */

import type { RunRecord } from "../../train/runFolder";

export const readmeOf = ({ name, step, parameters }: RunRecord): string => `# ${name.replaceAll(/\s+/g, " ")}

A decoder-only transformer of ${parameters.toLocaleString("en")} parameters after ${step} steps, exported by Decoder Lab. It needs PyTorch (1.13 or newer) and NumPy.

- \`python train.py --check\` compares the loss on the next step's batch with Decoder Lab's.
- \`python train.py\` continues the training with the settings in \`train.json\`; \`--steps 5000\` sets the total number of steps.
- \`torchrun --nproc_per_node 4 train.py\` trains with four processes, with NCCL on GPUs or Gloo on CPUs. Each process reads \`batchSize\` sequences per step; divide it by four to keep the run's batch size. With several machines, put this folder on shared storage.
- \`trained/\` is a Decoder Lab model folder: open it, resume it with \`decoder-lab resume\`, or fine-tune it. \`train.py\` also resumes from its last checkpoint.
- \`model.py\` contains the transformer, \`data.py\` creates the batches, and \`weights.py\` reads and writes safetensors.
`;
