"""Writes families.json: tokenizations of difficult texts by Hugging Face's tokenizers (Rust), for each model family.

    pip install tokenizers==0.23.2
    python test/golden/make_families.py [DATA]

The vocabularies are small and learned here; normalizer, pre-tokenizer, post-processor, decoder and added tokens are as in
the families' files. DATA is the folder with the real vocabularies of GPT-2, OPT and stories260K.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

here = Path(__file__).parent
data = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "../../../shared/data"
texts = json.loads((here / "hardTexts.json").read_text(encoding="utf-8"))
texts |= {
    "added tokens": "<s>Hi <tok> there  <tok>x<tok>\n <tok><s>\u00a0</s>\ta<tok>b ▁<s> e\u0301<tok>\u0301",
    "indented code": "def f(x):\n    if x:\n        return  x\n\t\t# 12345 I'LL it's\r\n\n",
    "leading space": " a  b he. the he",
    "spaces only": "   ",
    "Hangul and width": "\u1112\u1161\u11ab\u3131\u314f \uff8a\uff9e \u212b \ufb01 q\u0307\u0323 \u2126",
    "cases": "HELLO Hello DON'T We'LL \u01c5abc \u00c9T\u00c9 \u4e2dA \u017f'\u017f",
}
stories = (here / "stories.txt").read_bytes().decode("utf-8")


def train_bytes():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=520, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([stories, *texts.values()], trainer)
    return tokenizer


def train_pieces():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Split("\n", "isolated")]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=640, special_tokens=special, limit_alphabet=70, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator([stories, "a  b   c    d     e\u00e9" * 20], trainer)
    return tokenizer


def parts(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    return {"tokens": sorted(model["vocab"], key=model["vocab"].get), "merges": model["merges"]}


def words():
    found = [word for text in texts.values() for word in text.split() if "<" not in word]
    known = ["<unk>", *"the The a cat , . ! ? 12 'S".split(), *found[::3], "▁the", "▁a", "▁b"]
    return {"tokens": list(dict.fromkeys(known)), "merges": []}


trained = {"bytes": parts(train_bytes()), "pieces": parts(train_pieces()), "words": words()}
N_BYTES = len(trained["bytes"]["tokens"])
N_PIECES = len(trained["pieces"]["tokens"])
N_WORDS = len(trained["words"]["tokens"])


def token(id, content, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False):
    return {
        "id": id,
        "content": content,
        "single_word": single_word,
        "lstrip": lstrip,
        "rstrip": rstrip,
        "normalized": normalized,
        "special": special,
    }


def template(content, id):
    special = {"SpecialToken": {"id": content, "type_id": 0}}
    a, b = ({"Sequence": {"id": x, "type_id": 0}} for x in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [special, a],
        "pair": [special, a, b],
        "special_tokens": {content: {"id": content, "ids": [id], "tokens": [content]}},
    }


def byte_level(prefix=False, regex=True):
    # trim_offsets would exclude the spaces from the offsets; Decoder Lab's spans include them.
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": False, "use_regex": regex}


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def sequence(**lists):
    return {"type": "Sequence", **lists}


def replace(what, by):
    return {"type": "Replace", "pattern": {"String": what}, "content": by}


SPECIAL = [token(N_BYTES, "<s>"), token(N_BYTES + 1, "</s>"), token(N_BYTES + 2, "<tok>", special=False)]
# As in GPT-NeoX's and Phi's files: matched in the normalized text.
SPACES = [token(N_BYTES + 3 + i, " " * (8 - i), special=False, normalized=True) for i in range(7)]
PIECES = [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>"), token(N_PIECES, "<tok>", special=False)]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace("{1,3}", "")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)

UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CONTRACTED = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTED}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTED}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PREPEND = sequence(normalizers=[{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")])
UNPREPEND = sequence(
    decoders=[
        replace("▁", " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
)
FIRST = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
BOS = template("<s>", 1)


def bytes_file(added=SPECIAL, normalizer=None, pre=None, post=None, **model):
    return {
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre or byte_level(),
        "post_processor": post or byte_level(),
        "decoder": byte_level(),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, **model},
    }


def pieces_file(added=PIECES, normalizer=None, pre=None, decoder=UNPREPEND, **model):
    options = {"dropout": None, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    return {
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre,
        "post_processor": BOS,
        "decoder": decoder,
        "model": {"type": "BPE", **options, **model},
    }


def pattern_then_bytes(*splits):
    return sequence(pretokenizers=[*splits, byte_level(regex=False)])


def words_file(pre, normalizer=None, decoder=None):
    return {
        "added_tokens": [token(0, "<unk>"), token(N_WORDS, "<s>"), token(N_WORDS + 1, "<tok>", special=False)],
        "normalizer": normalizer,
        "pre_tokenizer": pre,
        "post_processor": template("<s>", N_WORDS),
        "decoder": decoder,
        "model": {"type": "WordLevel", "unk_token": "<unk>"},
    }


NFC = {"type": "NFC"}
STARTS = sequence(processors=[byte_level(), template("<s>", N_BYTES)])
GEMMA = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
DIGITS = {"type": "Digits", "individual_digits": True}

families = {
    "gpt2, gpt_neo": bytes_file(continuing_subword_prefix="", end_of_word_suffix=""),
    "opt": bytes_file(post=template("</s>", N_BYTES + 1)),
    "gpt_neox": bytes_file(added=SPECIAL + SPACES, normalizer=NFC),
    "phi": bytes_file(added=SPECIAL + SPACES),
    "prefix space": bytes_file(pre=byte_level(prefix=True)),
    "llama 3, smollm3": bytes_file(pre=pattern_then_bytes(split(LLAMA3)), post=STARTS, ignore_merges=True),
    "qwen2, qwen3": bytes_file(normalizer=NFC, pre=pattern_then_bytes(split(QWEN))),
    "mistral (tekken)": bytes_file(pre=pattern_then_bytes(split(TEKKEN)), post=STARTS, ignore_merges=True),
    "olmo2": bytes_file(pre=pattern_then_bytes(split(CL100K, "Removed", invert=True))),
    "smollm": bytes_file(pre=sequence(pretokenizers=[DIGITS, byte_level()])),
    "llama (deepseek)": bytes_file(
        pre=pattern_then_bytes(
            split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), DIGITS
        ),
        post=STARTS,
    ),
    "llama 1 and 2, mistral": pieces_file(normalizer=PREPEND),
    "llama (normalized special tokens)": pieces_file(
        added=[{**t, "normalized": True} for t in PIECES], normalizer=PREPEND
    ),
    "llama (Metaspace), mistral v0.3": pieces_file(pre=FIRST),
    "llama (Metaspace, split)": pieces_file(pre={**FIRST, "prepend_scheme": "always", "split": True}),
    "gemma, gemma2": pieces_file(
        normalizer=replace(" ", "▁"),
        pre=GEMMA,
        decoder=sequence(decoders=[replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]),
    ),
    "unknown, fused": pieces_file(normalizer=PREPEND, byte_fallback=False),
    "unknown, one by one": pieces_file(normalizer=PREPEND, byte_fallback=False, fuse_unk=False),
    "stripping tokens": pieces_file(
        added=[*PIECES[:3], token(N_PIECES, "<tok>", lstrip=True, rstrip=True)], normalizer=PREPEND
    ),
    "single words": bytes_file(
        added=[token(trained["bytes"]["tokens"].index("he"), "he", single_word=True), *SPECIAL[:2]]
    ),
    "NFKC, lower case": bytes_file(normalizer=sequence(normalizers=[{"type": "NFKC"}, {"type": "Lowercase"}])),
    "NFD, stripped": bytes_file(
        normalizer=sequence(normalizers=[{"type": "NFD"}, {"type": "Strip", "strip_left": True, "strip_right": True}])
    ),
    "merged with the next": bytes_file(pre=pattern_then_bytes(split(r"\s", "MergedWithNext"))),
    "merged with the one before": bytes_file(pre=pattern_then_bytes(split(r"\s+", "MergedWithPrevious"))),
    "contiguous": bytes_file(pre=pattern_then_bytes(split(r"\p{L}", "Contiguous"))),
    "galactica": bytes_file(
        pre=sequence(
            pretokenizers=[
                {"type": "Split", "pattern": {"String": "SPL1T-TH1S-Pl3A5E"}, "behavior": "Removed", "invert": False},
                DIGITS,
                split(r"[\(\)\[\]\{\}]|([!\"\#\$%\&'\*\+,\-\./:;<=>\?\\\^_`\|\~])\1*"),
                byte_level(),
            ]
        )
    ),
    "deepseek (end of line)": bytes_file(
        pre=pattern_then_bytes(
            split(r"[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"), DIGITS
        ),
        post=STARTS,
    ),
    "gpt-4o": bytes_file(pre=pattern_then_bytes(split(GPT4O))),
    "superbpe": bytes_file(pre=pattern_then_bytes(split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"))),
    "roberta": bytes_file(post={"type": "RobertaProcessing", "cls": ["<s>", N_BYTES], "sep": ["</s>", N_BYTES + 1], "trim_offsets": False, "add_prefix_space": False}),
    "bert": bytes_file(post={"type": "BertProcessing", "cls": ["<s>", N_BYTES], "sep": ["</s>", N_BYTES + 1]}),
    "byte fallback, ignored merges": pieces_file(pre={**FIRST, "split": True}, ignore_merges=True),
    "white space": pieces_file(pre={"type": "Whitespace"}),
    "white space split": pieces_file(pre={"type": "WhitespaceSplit"}),
    "bert's words": pieces_file(pre={"type": "BertPreTokenizer"}),
    "punctuation": pieces_file(pre=sequence(pretokenizers=[{"type": "CharDelimiterSplit", "delimiter": "e"}, {"type": "Punctuation", "behavior": "MergedWithNext"}])),
    "accents stripped": bytes_file(normalizer=sequence(normalizers=[{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}])),
    "replaced by pattern": bytes_file(
        normalizer=sequence(
            normalizers=[
                {"type": "Replace", "pattern": {"Regex": r"\s"}, "content": " "},
                {"type": "Replace", "pattern": {"Regex": r"(?<=e)l|(\d)\1"}, "content": "xyz"},
            ]
        )
    ),
    "words, white space": words_file({"type": "Whitespace"}),
    "words, white space split": words_file({"type": "WhitespaceSplit"}, normalizer={"type": "Lowercase"}),
    "words, bert": words_file({"type": "BertPreTokenizer"}),
    "words, fused": words_file(sequence(pretokenizers=[{"type": "WhitespaceSplit"}, {"type": "Punctuation"}]), decoder={"type": "Fuse"}),
    "words, Metaspace": words_file(FIRST | {"split": True}, decoder=FIRST),
    "removed": bytes_file(pre=pattern_then_bytes(split(r"\s+", "Removed"))),
}


def utf16(text, offsets):
    """Converts offsets in code points to UTF-16."""
    at = [0]
    for character in text:
        at.append(at[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [[at[start], at[end]] for start, end in offsets]


def encoded(tokenizer, decode=True):
    result = {}
    for name, text in texts.items():
        e = tokenizer.encode(text, add_special_tokens=False)
        result[name] = {"ids": e.ids, "offsets": sum(utf16(text, e.offsets), [])}
        if decode:
            result[name]["text"] = tokenizer.decode(e.ids)
    return result


def family(file):
    is_words = file["model"]["type"] == "WordLevel"
    name = "words" if is_words else "bytes" if "ByteLevel" in json.dumps(file["decoder"]) else "pieces"
    vocab = {content: id for id, content in enumerate(trained[name]["tokens"])}
    model = {**file["model"], "vocab": vocab, **({} if is_words else {"merges": trained[name]["merges"]})}
    whole = {"version": "1.0", "truncation": None, "padding": None, **file, "model": model}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    prompt = tokenizer.encode(texts["plain"]).ids
    return {"trained": name, "file": file, "prompt": prompt, "encoded": encoded(tokenizer)}


def real(folder, special):
    tokenizer = Tokenizer(models.BPE.from_file(str(data / folder / "vocab.json"), str(data / folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.add_special_tokens(special)
    return encoded(tokenizer, decode=False)


reference = {
    "texts": texts,
    "trained": trained,
    "families": {name: family(file) for name, file in families.items()},
    "real": {
        "gpt2-tokenizer": real("gpt2-tokenizer", ["<|endoftext|>"]),
        "opt-tokenizer": real("opt-tokenizer", ["</s>", "<pad>"]),
        "stories260K": encoded(Tokenizer.from_file(str(data / "stories260K/tokenizer.json"))),
    },
}
(here / "families.json").write_text(json.dumps(reference, separators=(",", ":")) + "\n")
