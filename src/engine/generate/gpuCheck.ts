import type { GpuAttention } from "./gpuCache";
export async function correctAttention(): Promise<{ readonly prompts: GpuAttention; readonly tokens: GpuAttention }> {
  return { prompts: "plain", tokens: "fused" };
}
