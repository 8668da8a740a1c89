/** The batches of train/data.ts in Python, from the same random numbers. */

export const dataSource = `"""
Training data: token ids in files, and the batch of each step.

The sequences of a step depend only on the seed and the step, through Decoder Lab's random number generator. They are
the same in every process, each of which reads its share, and in a resumed run.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np

# The label that the loss ignores.
IGNORE = -1
WORD = 2**32 - 1


class Random:
    """Random numbers of a label: sfc32 (C. Doty-Humphrey, PractRand), seeded with cyrb128 (bryc)."""

    def __init__(self, *label):
        h = [1779033703, 3144134277, 1013904242, 2773480762]
        factors = (597399067, 2869860233, 951274213, 2716044179)
        for k in "/".join(map(str, label)).encode():
            for i in range(4):
                h[i] = h[(i + 1) % 4] ^ ((h[i] ^ k) * factors[i] & WORD)
        for i, shift in enumerate((18, 22, 17, 19)):
            h[i] = (h[(i + 2) % 4] ^ (h[i] >> shift)) * factors[i] & WORD
        self.a, self.b, self.c, self.count = h[0] ^ h[1] ^ h[2] ^ h[3], h[1] ^ h[0], h[2] ^ h[0], 0
        for _ in range(12):
            self.next()

    def next(self):
        self.count += 1
        t = (self.a + self.b + self.count) & WORD
        self.a = self.b ^ (self.b >> 9)
        self.b = (self.c + (self.c << 3)) & WORD
        self.c = (((self.c << 21) | (self.c >> 11)) + t) & WORD
        return t

    def below(self, n):
        return math.floor(self.next() / 2**32 * n)


class Text:
    """Sequences of T tokens of a text, at random offsets or in order."""

    def __init__(self, train, validation, order, T, seed):
        self.train, self.validation, self.order, self.T, self.seed = train, validation, order, T, seed

    def draw(self, step, count):
        """Returns the offsets of the sequences of a step (from 1)."""
        if self.order == "sequential":
            return [self.nth(i) for i in range((step - 1) * count, step * count)]
        random = Random(self.seed, "batch", step)
        return [random.below(len(self.train) - self.T) for _ in range(count)]

    def nth(self, i):
        """Returns the offset of sequence i. Each epoch covers the text; later ones start at a random offset."""
        per_epoch, spare = divmod(len(self.train) - 1, self.T)
        epoch, row = divmod(i, per_epoch)
        offset = 0 if epoch == 0 else Random(self.seed, "offset", epoch).below(spare + 1)
        return offset + row * self.T

    def read(self, starts):
        """Returns the inputs and labels of sequences, [B, T] each."""
        rows = np.stack([self.train[start : start + self.T + 1] for start in starts]).astype(np.int64)
        return rows[:, :-1], rows[:, 1:]

    def labels(self, starts):
        """Returns the number of labels of the sequences."""
        return len(starts) * self.T

    def held_out(self, B, most):
        """Yields consecutive batches of the validation part, at most \`most\`, spread evenly over it."""
        size = B * self.T
        count = max(0, math.ceil((len(self.validation) - 1) / size))
        selected = min(count, most)
        for i in range(selected):
            start = i * count // selected * size
            tokens = self.validation[start : start + size + 1].astype(np.int64)
            ids, labels = np.zeros(size, np.int64), np.full(size, IGNORE)
            ids[: len(tokens) - 1], labels[: len(tokens) - 1] = tokens[:-1], tokens[1:]
            yield ids.reshape(B, self.T), labels.reshape(B, self.T)


class Rows:
    """Questions with their answers, all of one length. Each epoch has each once, in a new random order."""

    def __init__(self, train, validation, length, prompt, seed):
        self.train, self.validation = train.reshape(-1, length), validation.reshape(-1, length)
        self.prompt, self.seed, self.epoch = prompt, seed, (-1, [])

    def draw(self, step, count):
        per_epoch = math.ceil(len(self.train) / count)
        epoch, index = divmod(step - 1, per_epoch)
        if self.epoch[0] != epoch:
            self.epoch = (epoch, shuffled(len(self.train), self.seed, "shuffle", "epoch", epoch))
        rows = self.epoch[1][index * count : (index + 1) * count]
        # The epoch's last batch is padded with rows that are ignored.
        return rows + [None] * (count - len(rows))

    def read(self, rows):
        length = self.train.shape[1]
        ids, labels = np.zeros((len(rows), length - 1), np.int64), np.full((len(rows), length - 1), IGNORE)
        for i, row in enumerate(rows):
            if row is not None:
                ids[i], labels[i] = self.inputs_and_labels(self.train[row])
        return ids, labels

    def labels(self, rows):
        return sum(row is not None for row in rows) * (self.train.shape[1] - self.prompt)

    def held_out(self, B, most):
        for start in range(0, min(len(self.validation), B * most), B):
            pairs = [self.inputs_and_labels(row) for row in self.validation[start : start + B]]
            yield tuple(np.stack(part) for part in zip(*pairs))

    def inputs_and_labels(self, row):
        labels = row[1:].astype(np.int64)
        labels[: self.prompt - 1] = IGNORE
        return row[:-1], labels


def shuffled(n, *label):
    """Returns the numbers below n in random order (Fisher-Yates)."""
    random, order = Random(*label), list(range(n))
    for i in range(n - 1, 0, -1):
        j = random.below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def open_data(folder, block_size, seed, check=False):
    """Opens the data of a project. With check, reads all of it to compare it with the export."""
    meta = json.loads((Path(folder) / "meta.json").read_text())
    parts = []
    for name in ("train", "validation"):
        part = meta[name]
        path = Path(folder) / part["file"]
        size = part["tokens"] * np.dtype(meta["dtype"]).itemsize
        if path.stat().st_size != size or (check and digest(path) != part["sha256"]):
            raise SystemExit(f"{path} differs from the exported file. Export the project again.")
        parts.append(np.memmap(path, meta["dtype"], "r") if size else np.zeros(0, meta["dtype"]))
    if meta["kind"] == "text":
        return Text(*parts, meta["order"], block_size, seed)
    return Rows(*parts, meta["rowLength"], meta["promptLength"], seed)


def digest(path):
    hash = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            hash.update(chunk)
    return hash.hexdigest()
`;
