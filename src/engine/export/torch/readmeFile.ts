/** What a project says of itself. */

import type { RunRecord } from "../../train/runFolder";

export const readmeOf = ({ name, step, parameters }: RunRecord): string => `# ${name.replaceAll(/\s+/g, " ")}

A decoder-only transformer of ${parameters.toLocaleString("en")} parameters after ${step} steps, exported by Decoder Lab. It needs PyTorch (1.13 or newer) and NumPy.

- \`python train.py --check\` compares the loss of the next step's batch with Decoder Lab's.
- \`python train.py\` trains further, as \`train.json\` says; \`--steps 5000\` asks for more steps in all.
- \`torchrun --nproc_per_node 4 train.py\` trains on four processes: NCCL on GPUs, Gloo on CPUs. Each takes \`batchSize\` sequences a step; divide it by four to keep the run's batch. Several machines share this folder.
- \`trained/\` is a Decoder Lab model folder: open it, \`decoder-lab resume\` it, fine-tune it. Started again, training goes on from its last checkpoint.
- \`model.py\` is the transformer, \`data.py\` draws the batches, \`weights.py\` reads and writes safetensors.
`;
