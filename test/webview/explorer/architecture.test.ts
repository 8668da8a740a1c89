import { describe, expect, test } from "vitest";
import {
  type ArchitectureNode,
  architecture,
  firstOpen,
  shownRows,
} from "../../../webview/explorer/architecture/layout";
import { tinyTrace } from "../tinyTrace";

const flat = (node: ArchitectureNode): ArchitectureNode[] => [node, ...node.children.flatMap(flat)];

describe.each(["classic", "modern"] as const)("the modules of a %s model", (variant) => {
  const { modules, info } = tinyTrace("fox", 1, variant);
  const root = architecture(modules, info.values);
  const at = (name: string) => flat(root).find((node) => node.name === name);

  test("hold every value of the run once, with the shape that this text gave", () => {
    const values = flat(root).filter(({ kind }) => kind === "value");
    expect(values.map(({ name }) => name).sort()).toEqual(info.values.map(({ name }) => name).sort());
    expect(at("blocks.1.attn.k")?.shape).toEqual([1, variant === "modern" ? 2 : 4, 4, 12]);
  });

  test("have each value under the module that makes it, and a block what its parts make together", () => {
    const parent = (name: string) => flat(root).find(({ children }) => children.some((child) => child.name === name));
    expect(parent("blocks.2.attn.q")?.name).toBe("blocks.2.q");
    expect(parent("blocks.2.mlpOut")?.name).toBe("blocks.2.proj");
    expect(parent("blocks.2.residPost")?.name).toBe("blocks.2");
    expect(parent("logits")?.name).toBe("head");
    expect(at("blocks.2.residPost")?.layer).toBe(2);
  });

  test("share the parameters among them", () => {
    const leaves = flat(root).filter(({ kind }) => kind === "weight");
    expect(leaves.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6);
  });

  test("show the first block at first, and of a search what matches with what it is in", () => {
    const open = firstOpen(root);
    const first = shownRows(root, open, "").map(({ node }) => node.name);
    expect(first).toContain("blocks.0.attn.q");
    expect(first).toContain("blocks.1");
    expect(first).not.toContain("blocks.1.attn.q");
    const found = shownRows(root, open, "blocks.1.attn.q");
    expect(found.map(({ node }) => node.name)).toEqual(["", "blocks", "blocks.1", "blocks.1.q", "blocks.1.attn.q"]);
    expect(found.map(({ level }) => level)).toEqual([1, 2, 3, 4, 5]);
  });
});
