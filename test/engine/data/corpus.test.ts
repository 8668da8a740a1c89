import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCorpus } from "../../../src/engine/data";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "corpus-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(root, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

const open = (...paths: string[]) => openCorpus({ kind: "paths", paths });

async function textOf(...paths: string[]): Promise<string> {
  const chunks: string[] = [];
  for await (const chunk of (await open(...paths)).chunks()) chunks.push(chunk);
  return chunks.join("");
}

describe("a corpus reads", () => {
  test("a file of many chunks unchanged, with characters that span chunks", async () => {
    const text = "aé日😀".repeat(120_000);
    expect((await textOf(await write("long.txt", text))) === text).toBe(true);
  });

  test("CRLF as \\n, even across chunks, and lone carriage returns unchanged", async () => {
    const text = "a\r\n".repeat(200_000);
    expect((await textOf(await write("crlf.txt", `${text}\r`))) === `${"a\n".repeat(200_000)}\r`).toBe(true);
  });

  test("a file without its byte order mark", async () => {
    expect(await textOf(await write("bom.txt", "\ufeffhello\ufeff"))).toBe("hello\ufeff");
  });

  test("the text files of a folder in order of their names, each on its own lines", async () => {
    await write("folder/b.txt", "second\n");
    await write("folder/a.txt", "first");
    await write("folder/c/d.md", "third");
    await write("folder/e.txt", "");
    await write("folder/.git/config", "hidden");
    await write("folder/node_modules/x/index.js", "installed");
    await write("folder/image.png", Uint8Array.of(0x89, 0x50, 0, 0));
    await write("folder/latin1.txt", Uint8Array.of(0x61, 0xe9, 0x62));
    await symlink(join(root, "folder"), join(root, "folder/loop"));
    expect(await textOf(join(root, "folder"))).toBe("first\nsecond\nthird");
  });

  test("a field of each JSONL line, even across chunks, each on its own line", async () => {
    const texts = Array.from(
      { length: 3000 },
      (_, i) => `text ${i}: "é日😀"${i % 3 === 0 ? "\n" : ""}${"x".repeat(i % 97)}`,
    );
    const lines = texts.map((text, i) => JSON.stringify({ id: i, text, meta: { text: 1 } }));
    const path = await write("lines/a.jsonl", `${lines.join("\n\r\n")}`);
    const expected = texts.map((text) => (text.endsWith("\n") ? text : `${text}\n`)).join("");
    expect((await textOf(path)) === expected.replace(/\n$/, "")).toBe(true);

    const pieces = [];
    for await (const some of (await open(path)).documents()) pieces.push(...some);
    expect(pieces).toEqual(texts.map((text) => ({ text, ends: true })));
  });

  test("another field of JSONL, or JSONL as plain text", async () => {
    const content = '{"content":"one","text":1}\n{"content":"two"}\n';
    const source = { kind: "paths", paths: [await write("other/b.ndjson", content)] } as const;
    const textBy = async (field: string) => {
      const chunks: string[] = [];
      for await (const chunk of (await openCorpus(source, { field, gitignore: true })).chunks()) chunks.push(chunk);
      return chunks.join("");
    };
    expect(await textBy("content")).toBe("one\ntwo");
    expect(await textBy("")).toBe(content);
  });

  test("a folder without files that git ignores, unless the ignored folder itself is chosen", async () => {
    await mkdir(join(root, "project/.git"), { recursive: true });
    await write("project/.gitignore", "*.log\n/out/\n");
    await write("project/a.txt", "a\n");
    await write("project/a.log", "ignored\n");
    await write("project/out/b.txt", "built\n");
    await write("project/src/.gitignore", "!keep.log\n*.tmp.txt\n");
    await write("project/src/keep.log", "kept\n");
    await write("project/src/c.tmp.txt", "temporary\n");
    await write("project/src/out/d.txt", "d\n");
    expect(await textOf(join(root, "project"))).toBe("a\nkept\nd\n");
    expect(await textOf(join(root, "project/src"))).toBe("kept\nd\n");
    expect(await textOf(join(root, "project/**/*.txt"))).toBe("a\nd\n");
    expect(await textOf(join(root, "project/a.log"))).toBe("ignored\n");
    expect(await textOf(join(root, "project/out"))).toBe("built\n");
    const all = await openCorpus(
      { kind: "paths", paths: [join(root, "project")] },
      { field: "text", gitignore: false },
    );
    expect(all.files).toHaveLength(6);
  });

  test("the files that match a pattern, and a file whose name looks like one", async () => {
    await write("globs/b.md", "b\n");
    await write("globs/x/a.md", "a\n");
    await write("globs/x/c.txt", "c\n");
    await write("globs/[b].md", "literal\n");
    await write("globs/x/picture.md", Uint8Array.of(0, 1));
    expect(await textOf(join(root, "globs/*.md"))).toBe("literal\nb\n");
    expect(await textOf(join(root, "globs/**/*.{md,txt}"))).toBe("literal\nb\na\nc\n");
    expect(await textOf(join(root, "globs/[b].md"))).toBe("literal\n");
    expect((await open(join(root, "globs/**"))).skipped).toBe(1);
  });

  test("a text in memory in chunks that split no character", async () => {
    const text = `a${"😀".repeat(300_000)}`;
    const corpus = await openCorpus({ kind: "text", name: "Untitled-1", text });
    const chunks: string[] = [];
    for await (const chunk of corpus.chunks()) chunks.push(chunk);
    expect(chunks.join("") === text).toBe(true);
    expect(chunks.length).toBeGreaterThan(1);
    expect(chunks.every((chunk) => !/\p{Surrogate}/u.test(chunk))).toBe(true);
  });

  test("repeatedly, until it is canceled", async () => {
    const corpus = await open(await write("again.txt", "some text"));
    for (let i = 0; i < 2; i++) for await (const chunk of corpus.chunks()) expect(["some text", ""]).toContain(chunk);
    const canceled = corpus.chunks(AbortSignal.abort());
    await expect(canceled.next()).rejects.toThrow(/abort/i);
  });
});

describe("an error names the problem and the next step:", () => {
  test.each([
    ["empty.txt", "", /^empty\.txt is empty\. Choose a text to train on\.$/],
    ["bom-only.txt", "\ufeff", /^bom-only\.txt is empty/],
    ["space.txt", " \n\t\r\n ".repeat(100_000), /^space\.txt contains only white space\. Choose/],
    ["one.txt", "é", /^one\.txt has only one character, so there is nothing to predict\. Choose a longer text\.$/],
    ["binary.bin", Uint8Array.of(1, 0, 2), /binary\.bin is a binary file\. Choose a text file\.$/],
    ["utf16.txt", Uint8Array.of(0xff, 0xfe, 0x61, 0), /utf16\.txt is UTF-16\. Save it as UTF-8\.$/],
    ["latin1.txt", Uint8Array.of(0x61, 0xe9, 0x62), /latin1\.txt is not UTF-8 text\. Choose/],
  ])("%s is not usable text", async (name, content, message) => {
    await expect(open(await write(name, content))).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(message),
    });
  });

  test("a file contains bytes that are not UTF-8 after its beginning", async () => {
    const bytes = Buffer.concat([Buffer.from("text ".repeat(100_000)), Uint8Array.of(0xe9, 0x62)]);
    const corpus = await open(await write("late.txt", bytes));
    await expect(async () => {
      for await (const _ of corpus.chunks());
    }).rejects.toThrow(/late\.txt contains bytes that are not UTF-8\. Save it as UTF-8 or leave it out\.$/);
  });

  test.each([
    [
      "cut.jsonl",
      '{"text":"a b"}\n\n{"text":',
      /cut\.jsonl, line 3 is not valid JSON\. Correct the line or leave the file out\.$/,
    ],
    ["list.jsonl", '["a"]\n', /list\.jsonl, line 1 has no text field "text"\. Correct the line or leave/],
    [
      "named.jsonl",
      '{"text":"a b"}\n{"content":"c","id":"d","n":1}\n',
      /named\.jsonl, line 2 has no text field "text"\. Set data\.field to one of its fields: "content", "id"\.$/,
    ],
  ])("%s has an unusable line, with its number", async (name, content, message) => {
    const path = await write(name, content);
    await expect(textOf(path)).rejects.toMatchObject({ code: "data", message: expect.stringMatching(message) });
  });

  test("a pattern matches no file, or no text file", async () => {
    await write("none/a.bin", Uint8Array.of(0, 1));
    await expect(open(join(root, "none/*.txt"))).rejects.toThrow(
      /No text file matches .*\*\.txt\. Choose another pattern\.$/,
    );
    await expect(open(join(root, "none/*.bin"))).rejects.toThrow(
      /none.\*\.bin \(1 file is not text\)\. Choose another/,
    );
    await expect(open(join(root, "absent/*.txt"))).rejects.toThrow(/absent does not exist\. Choose/);
  });

  test("a folder has no text, a path does not exist, or nothing was chosen", async () => {
    await write("pictures/a.png", Uint8Array.of(0, 1));
    await expect(open(join(root, "pictures"))).rejects.toThrow(
      /pictures has no text files \(1 file is not text\)\. Choose another folder\.$/,
    );
    await expect(open(join(root, "nowhere"))).rejects.toThrow(
      /nowhere does not exist\. Choose an existing file or folder\.$/,
    );
    await expect(open()).rejects.toThrow("No training text was chosen");
  });

  test.skipIf(process.getuid?.() === 0)(
    "a file is not readable (skipped for root, who can read everything)",
    async () => {
      const path = await write("secret.txt", "text");
      await chmod(path, 0);
      await expect(open(path)).rejects.toThrow(/cannot be read \(permission denied\)/);
    },
  );
});
