/** Learning rate schedules. Steps are counted from 1. */

import type { Schedule } from "../api/run";

/** Default settings of each kind when it replaces another. */
export const SCHEDULES: { readonly [K in Schedule["kind"]]: Schedule & { readonly kind: K } } = {
  constant: { kind: "constant", lr: 1e-3 },
  noam: { kind: "noam", factor: 1, warmup: 400 },
  step: { kind: "step", lr: 1e-2, stepSize: 10_000, gamma: 0.9 },
  cosine: { kind: "cosine", lr: 1e-3, minLr: 1e-4, warmup: 100 },
};

/** Returns the learning rate as a function of the step. */
export function learningRate(
  schedule: Schedule,
  { steps, dModel }: { steps: number; dModel: number },
): (step: number) => number {
  switch (schedule.kind) {
    case "constant":
      return () => schedule.lr;
    // Vaswani et al. 2017, section 5.3, times a factor.
    case "noam": {
      const { factor, warmup } = schedule;
      return (step) => factor * dModel ** -0.5 * Math.min(step ** -0.5, step * Math.max(1, warmup) ** -1.5);
    }
    // torch.optim.lr_scheduler.StepLR: the first `stepSize` steps run at lr.
    case "step":
      return (step) => schedule.lr * schedule.gamma ** Math.floor((step - 1) / schedule.stepSize);
    // Linear warm-up to lr, then a half cosine down to minLr at the last step, as in nanoGPT.
    case "cosine": {
      const { lr, minLr, warmup } = schedule;
      return (step) => {
        if (step <= warmup) return (lr * step) / (warmup + 1);
        const progress = Math.min(1, (step - warmup) / Math.max(1, steps - warmup));
        return minLr + 0.5 * (1 + Math.cos(Math.PI * progress)) * (lr - minLr);
      };
    }
  }
}
