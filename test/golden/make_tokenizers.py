"""Writes tokenizers.json: tokenizations of difficult texts and the sample stories by Hugging Face's tokenizers (Rust).

    pip install tokenizers==0.23.2
    python test/golden/make_tokenizers.py
"""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

here = Path(__file__).parent
texts = json.loads((here / "hardTexts.json").read_text(encoding="utf-8"))
# Bytes instead of text mode, because line ends are part of the texts.
stories = (here / "stories.txt").read_bytes().decode("utf-8")

VOCABULARY = 500
WORDS = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{M}\p{N}]|\p{White_Space}"


def utf16(text, offsets):
    """Converts offsets in code points to UTF-16."""
    at = [0]
    for character in text:
        at.append(at[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [[at[start], at[end]] for start, end in offsets]


byte_pairs = Tokenizer(models.BPE())
byte_pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
trainer = trainers.BpeTrainer(
    vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
byte_pairs.train_from_iterator([stories, *texts.values()], trainer)
encoded = {name: byte_pairs.encode(text) for name, text in texts.items()}

split = pre_tokenizers.Split(Regex(WORDS), "isolated")
words = {name: split.pre_tokenize_str(text) for name, text in texts.items()}

reference = {
    "vocabSize": VOCABULARY,
    "merges": json.loads(byte_pairs.to_str())["model"]["merges"],
    "bytePairs": {
        name: {"ids": e.ids, "offsets": utf16(texts[name], e.offsets)} for name, e in encoded.items()
    },
    "words": {name: utf16(texts[name], [place for _, place in found]) for name, found in words.items()},
}
(here / "tokenizers.json").write_text(json.dumps(reference, separators=(",", ":")) + "\n")
