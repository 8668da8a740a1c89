import { expect, test } from "vitest";
import { rotaryTables } from "../../../src/engine/nn/rotary";
import { tinyConfig } from "../../helpers/tinyModel";

/** The angles of position 1, by the length of the sequence. */
function frequencies(length: number): number[] {
  const scaling = { kind: "dynamic", factor: 3, originalCtx: 16 } as const;
  const positions = { kind: "rotary", dims: 8, theta: 10000, scaling, unrotatedLayers: [] } as const;
  const { cos, sin } = rotaryTables({ ...tinyConfig, positions }, [1], length);
  return [...cos].map((c, i) => Math.atan2(sin[i] as number, c));
}

// The other scalings are held to PyTorch's numbers in test/golden/architectures; this one begins beyond the context that
// the references stay within. From PyTorch: 1 / base ** (arange(0, 8, 2) / 8) with the base of _compute_dynamic_ntk_parameters.
test.each([
  [16, [1, 0.1, 0.01, 0.001]],
  [40, [1, 0.05665163349427047, 0.003209407577569148, 0.0001818181818181818]],
])("dynamic scaling at a length of %i", (length, expected) => {
  frequencies(length).forEach((frequency, i) => {
    expect(frequency).toBeCloseTo(expected[i] as number, 6);
  });
});
