import { describe, test } from "vitest";
import { expectAllClose } from "../../helpers/allclose";
import { evaluate } from "../../helpers/evaluate";
import { goldenDecoders } from "../../helpers/golden";
import { probedForward } from "../../helpers/graphs";
import { runGraph } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";

const decoders = goldenDecoders.map((golden) => [golden.name, golden] as const);

describeWebgpu("on WebGPU, with nothing left to the CPU", () => {
  describe("every value with a name is what the graph says, and logits are PyTorch's", () => {
    test.each(decoders)("%s", async (_name, golden) => {
      const { config, params, batchSize, blockSize, steps } = golden;
      const outputs = probedForward(config, batchSize, blockSize);
      const feeds = { ...Object.fromEntries(params), ids: steps[0]?.feeds.ids as Int32Array };
      const results = await runGraph(outputs, feeds, "webgpu");
      const expected = evaluate(Object.values(outputs), feeds);
      Object.keys(outputs).forEach((name, i) => {
        expectAllClose(results[name], expected[i], 1e-4, name);
      });
      expectAllClose(results.logits, golden.logits, 1e-4, "logits");
    });
  });
});
