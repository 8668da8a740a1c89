import { describe, expect, test } from "vitest";
import {
  type ArchitectureNode,
  architecture,
  firstOpen,
  keyAction,
  shownRows,
} from "../../../webview/explorer/architecture/layout";
import { tinyTrace } from "../tinyTrace";

const flat = (node: ArchitectureNode): ArchitectureNode[] => [node, ...node.children.flatMap(flat)];

describe.each(["classic", "modern"] as const)("the modules of a %s model", (variant) => {
  const { modules, info } = tinyTrace("fox", 1, variant);
  const root = architecture(modules, info.values);
  const at = (name: string) => flat(root).find((node) => node.name === name);

  test("contain every value of the trace once, with its shape", () => {
    const values = flat(root).filter(({ kind }) => kind === "value");
    expect(values.map(({ name }) => name).sort()).toEqual(info.values.map(({ name }) => name).sort());
    expect(at("blocks.1.attn.k")?.shape).toEqual([1, variant === "modern" ? 2 : 4, 4, 12]);
  });

  test("have each value under the module that computes it, and sums under the block", () => {
    const parent = (name: string) => flat(root).find(({ children }) => children.some((child) => child.name === name));
    expect(parent("blocks.2.attn.q")?.name).toBe("blocks.2.q");
    expect(parent("blocks.2.mlpOut")?.name).toBe("blocks.2.proj");
    expect(parent("blocks.2.residPost")?.name).toBe("blocks.2");
    expect(parent("logits")?.name).toBe("head");
    expect(at("blocks.2.residPost")?.layer).toBe(2);
  });

  test("have shares of the parameters that sum to 1", () => {
    const leaves = flat(root).filter(({ kind }) => kind === "weight");
    expect(leaves.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6);
  });

  test("show the first block at first, and in a search the matches with their ancestors", () => {
    const open = firstOpen(root);
    const first = shownRows(root, open, "").map(({ node }) => node.name);
    expect(first).toContain("blocks.0.attn.q");
    expect(first).toContain("blocks.1");
    expect(first).not.toContain("blocks.1.attn.q");
    const found = shownRows(root, open, "blocks.1.attn.q");
    expect(found.map(({ node }) => node.name)).toEqual(["", "blocks", "blocks.1", "blocks.1.q", "blocks.1.attn.q"]);
    expect(found.map(({ level }) => level)).toEqual([1, 2, 3, 4, 5]);
  });

  test("are expanded, collapsed and visited by keyboard", () => {
    const rows = shownRows(root, firstOpen(root), "");
    const id = (name: string) => at(name)?.id ?? "";
    const act = (name: string, key: string) => {
      const action = keyAction(rows, id(name), key);
      return action && [action.kind, action.node.name];
    };
    expect(act("blocks.0", "ArrowLeft")).toEqual(["toggle", "blocks.0"]);
    expect(act("blocks.1", "ArrowRight")).toEqual(["toggle", "blocks.1"]);
    expect(act("blocks.1", "ArrowLeft")).toEqual(["focus", "blocks"]);
    expect(act("blocks.1", "ArrowDown")).toEqual(["focus", "blocks.2"]);
    expect(act("blocks.1", "Enter")).toEqual(["press", "blocks.1"]);
    expect(act("", "ArrowUp")).toBeNull();
  });
});
