/** Files of torch.save as training code writes them: nested dictionaries, optimizer states, settings, other types. */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/engine/models/folder";
import { mapWeights } from "../../../src/engine/runtime/weights";
import { openStored, readStored } from "../../../src/engine/weights";
import { ARCHITECTURES, expectReferenceTrace } from "../../helpers/architectures";
import { changedCheckpoint } from "../../helpers/changedCheckpoints";
import { dict, global, int, ints, pickle, storage, tensor, text, tuple } from "../../helpers/pickles";
import { temporaryFolder } from "../../helpers/storedTensors";
import { torchZip, zipFile } from "../../helpers/zipFiles";

/** The names of the tensors in a file. */
async function namesIn(content: string): Promise<string[]> {
  const dir = temporaryFolder();
  await writeFile(join(dir, "pytorch_model.bin"), torchZip(pickle(content)));
  return [...(await openStored(dir)).keys()];
}

test.each(["ckpt.pt", "model.pth", "last.ckpt", "weights.bin"])(
  "the only file of weights may be named %s",
  async (file) => {
    const dir = temporaryFolder();
    await writeFile(join(dir, file), torchZip(pickle(dict(text("model"), dict(text("w"), tensor())))));
    await writeFile(join(dir, "optimizer.pt"), "");
    await writeFile(join(dir, "training_args.bin"), "");
    expect([...(await openStored(dir)).keys()]).toEqual(["model.w"]);
    await writeFile(join(dir, "second.pt"), "");
    await expect(openStored(dir)).rejects.toThrow(/has no weights\. Choose a model folder that contains one of/);
  },
);

const w = tensor();
const MODEL = dict(text("w"), w);

describe("tensors are found in", () => {
  test.each<[string, string, string[]]>([
    ["a state dict", MODEL, ["w"]],
    ["nanoGPT's checkpoint", dict(text("model"), MODEL, text("iter_num"), int(5)), ["model.w"]],
    ["Lightning's checkpoint", dict(text("epoch"), int(1), text("state_dict"), MODEL), ["state_dict.w"]],
    [
      "a checkpoint with an optimizer",
      dict(text("model"), MODEL, text("optimizer"), dict(text("state"), dict(int(0), dict(text("exp_avg"), w)))),
      ["model.w", "optimizer.state.0.exp_avg"],
    ],
    ["nested modules", dict(text("a"), dict(text("b"), dict(text("c"), w))), ["a.b.c"]],
    ["a state dict with other values", dict(text("step"), int(3), text("w"), w, text("none"), "N"), ["w"]],
    ["a checkpoint with a list of optimizers", dict(text("w"), w, text("optimizer_states"), `](${MODEL}e`), ["w"]],
  ])("%s", async (_, content, names) => expect(await namesIn(content)).toEqual(names));

  const reduce = (module: string, name: string, ...args: string[]) => `${global(module, name)}${tuple(...args)}R`;
  const object = (module: string, name: string) => `${global(module, name)})\x81`;
  test.each<[string, string]>([
    ["the arguments of a program", `${object("argparse", "Namespace")}${dict(text("lr"), int(1))}b`],
    ["a dataclass of the program", `${object("__main__", "GPTConfig")}${dict(text("n_layer"), int(2))}b`],
    [
      "settings of Lightning",
      `${object("lightning.pytorch.utilities.parsing", "AttributeDict")}(${text("a")}${int(1)}u`,
    ],
    ["a counter", reduce("collections", "Counter", dict(text("a"), int(1)))],
    ["a defaultdict", reduce("collections", "defaultdict", global("__builtin__", "list"))],
    ["a path", reduce("pathlib", "PosixPath", text("/"))],
    ["a number of numpy", reduce("numpy._core.multiarray", "scalar", reduce("numpy", "dtype", text("f8")), text("x"))],
    [
      "an array of numpy",
      reduce("numpy.core.multiarray", "_reconstruct", global("numpy", "ndarray"), ints(0), text("b")),
    ],
    ["a size", reduce("torch", "Size", ints(1, 2))],
    ["a device", reduce("torch", "device", text("cpu"))],
    ["a type", global("torch", "bfloat16")],
    ["a set", `\x8f(${int(1)}\x90`],
    ["a frozen set", `(${int(1)}\x91`],
    [
      "an old object",
      reduce("copyreg", "_reconstructor", global("__main__", "Config"), global("builtins", "object"), "N"),
    ],
  ])("a checkpoint with %s", async (_, value) =>
    expect(await namesIn(dict(text("model"), MODEL, text("other"), value))).toEqual(["model.w"]),
  );
});

test.each([
  ["os", "system"],
  ["builtins", "eval"],
  ["builtins", "getattr"],
  ["__builtin__", "exec"],
  ["numpy", "load"],
  ["torch", "load"],
  ["subprocess", "Popen"],
  ["pathlib", "os.system"],
])("%s.%s is still rejected beside a state dict", async (module, name) => {
  const call = `${global(module, name)}${tuple(text("x"))}R`;
  await expect(namesIn(dict(text("model"), MODEL, text("other"), call))).rejects.toThrow(
    /would run code while loading/,
  );
});

test.each([
  ["torch._utils", "_rebuild_qtensor"],
  ["torch._utils", "_rebuild_sparse_tensor"],
  ["torch", "QInt8Storage"],
  ["torch", "complex128"],
])("tensors of %s.%s are named as unsupported", async (module, name) => {
  await expect(namesIn(dict(text("w"), global(module, name)))).rejects.toThrow(
    /of a kind that is not supported \(torch/,
  );
});

test("a dictionary that contains itself ends", async () => {
  // EMPTY_DICT, memoized and set as its own item.
  expect(await namesIn(`}q\x00${text("a")}h\x00s${text("w")}${w}s`)).toContain("w");
});

test("8-bit floats of PyTorch are read as such", async () => {
  const bytes = storage({ type: global("torch.storage", "UntypedStorage"), elements: int(16) });
  const args = tuple(bytes, int(0), ints(2, 2), ints(2, 1), "\x89", "}", global("torch", "float8_e4m3fn"));
  const dir = temporaryFolder();
  const body = dict(text("w"), `${global("torch._utils", "_rebuild_tensor_v3")}${args}R`);
  await writeFile(join(dir, "pytorch_model.bin"), torchZip(pickle(body)));
  const stored = (await openStored(dir)).get("w")!;
  expect(stored).toMatchObject({ dtype: "F8_E4M3", shape: [2, 2], length: 4 });
  await expect(readStored(stored)).rejects.toThrow(
    /the tensor "w" has type F8_E4M3 \(FP8, floats of 8 bits\), which is not supported for weights\. Use/,
  );
});

test("a model in a nested state dict has the values of its reference", async () => {
  const dir = await changedCheckpoint("llama", () => undefined);
  const tensors = [...(await openStored(join(ARCHITECTURES, "llama"))).values()];
  const entries: [string, Uint8Array][] = [];
  const items: string[] = [];
  for (const [i, stored] of tensors.entries()) {
    const data = await readStored(stored);
    entries.push([`m/data/${i}`, new Uint8Array(data.buffer)]);
    const [first = 1, second] = stored.shape;
    const strides = second === undefined ? ints(1) : ints(second, 1);
    const shape = second === undefined ? ints(first) : ints(first, second);
    items.push(
      text(stored.name),
      tensor({ of: storage({ key: text(String(i)), elements: int(data.length) }), shape, strides }),
    );
  }
  const content = pickle(dict(text("model"), dict(...items), text("optimizer"), dict(text("lr"), int(1))));
  await writeFile(join(dir, "pytorch_model.bin"), zipFile([["m/data.pkl", content], ...entries]));
  await rm(join(dir, "model.safetensors"));
  const { cfg, weights, info } = await openModel(dir);
  expect(info.notes).toEqual(['The names of tensors have the prefix "model.".']);
  await expectReferenceTrace({ dir, cfg, weights: await mapWeights(cfg, weights, "cpu") }, 2e-4);
});

/** A safetensors file of one tensor. */
function safetensors(dtype: string, shape: readonly number[], bytes: number): Buffer {
  const json = Buffer.from(JSON.stringify({ w: { dtype, shape, data_offsets: [0, bytes] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(bytes)]);
}

test.each([
  ["F8_E4M3", 4, "F8_E4M3 \\(FP8, floats of 8 bits\\)"],
  ["F8_E5M2", 4, "F8_E5M2 \\(FP8, floats of 8 bits\\)"],
  ["F8_E8M0", 4, "F8_E8M0 \\(FP8, floats of 8 bits\\)"],
  ["F8_E4M3FNUZ", 4, "F8_E4M3FNUZ \\(FP8, floats of 8 bits\\)"],
  ["F6_E2M3", 3, "F6_E2M3 \\(FP6, floats of 6 bits\\)"],
  ["F6_E3M2", 3, "F6_E3M2 \\(FP6, floats of 6 bits\\)"],
  ["F4", 2, "F4 \\(FP4, floats of 4 bits\\)"],
  ["C64", 32, "C64"],
  ["I8", 4, "I8"],
  ["BOOL", 4, "BOOL"],
])("a tensor of type %s in safetensors is named as unsupported", async (dtype, bytes, meaning) => {
  const dir = temporaryFolder();
  await writeFile(join(dir, "model.safetensors"), safetensors(dtype, [4], bytes));
  await expect(readStored((await openStored(dir)).get("w")!)).rejects.toThrow(
    new RegExp(`the tensor "w" has type ${meaning}, which is not supported for weights`),
  );
});

test("a model with weights of an unsupported type is rejected when it is opened", async () => {
  const dir = await changedCheckpoint("llama", () => undefined);
  const file = join(dir, "model.safetensors");
  const bytes = (await readFile(file)).toString("latin1");
  const norm = /("model\.norm\.weight":\{"dtype":)"F32","shape":\[32\]/;
  expect(bytes).toMatch(norm);
  await writeFile(file, bytes.replace(norm, '$1"C64","shape":[16]'), "latin1");
  await expect(openModel(dir)).rejects.toThrow(
    /"model\.norm\.weight" has type C64, which is not supported for weights/,
  );
});

describe("a file that is not what its name says is reported as such:", () => {
  const POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 5005\n";
  const CONTENTS: readonly (readonly [string, string | Buffer, RegExp])[] = [
    ["a Git LFS pointer", POINTER, / is a Git LFS pointer, not the file itself\. Run `git lfs pull` in its folder/],
    [
      "a web page",
      "<!DOCTYPE html>\n<html>404</html>",
      / is a web page, not the file itself\. Download the file again\./,
    ],
    [
      "an error message",
      "Entry not found",
      / contains a message of a server, "Entry not found", not the file itself\./,
    ],
    ["an error in JSON", '{"error":"Repository not found"}', / contains a message of a server, /],
    ["an empty file", "", / is damaged: it is empty\. /],
    ["zeros", Buffer.alloc(5000), / is damaged: it starts with zeros, as after an incomplete download\. /],
  ];
  const FILES = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
  ];
  for (const [kind, content, message] of CONTENTS) {
    test.each(FILES)(`${kind} as %s`, async (file) => {
      // Valid JSON is an index without files.
      if (kind === "an error in JSON" && file.endsWith(".json")) return;
      const dir = temporaryFolder();
      await writeFile(join(dir, file), content);
      await expect(openStored(dir)).rejects.toThrow(message);
    });

    test.each(["config.json", "tokenizer.json", "generation_config.json"])(`${kind} as %s`, async (file) => {
      if (kind === "an error in JSON") return;
      const dir = await changedCheckpoint("llama", () => undefined);
      await writeFile(join(dir, file), content);
      await expect(openModel(dir)).rejects.toThrow(message);
    });
  }

  test("a GGUF file as model.safetensors", async () => {
    const dir = temporaryFolder();
    await writeFile(join(dir, "model.safetensors"), `GGUF${"\x03".repeat(20)}`);
    await expect(openStored(dir)).rejects.toThrow(
      / is a GGUF file with the name of another format\. Rename or convert it\./,
    );
  });
});
