# cspell:words aaab aabbc imgimg imgimgabcz ufeff
"""Writes patterns.json: how Hugging Face's tokenizers (Rust, with Oniguruma) split texts at regular expressions.

    pip install tokenizers==0.23.2
    python test/golden/make_patterns.py

The patterns are those of known pre-tokenizers (llama.cpp's list and the families' files), one for each construct of the
syntax, and random ones.
"""

import json
import random
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

draw = random.Random(12)
patterns = r'''
\s+$
^a
^b|a$
\Aa
a\z
a\Z
(?=(\d{3})+(?!\d))
(?<=a)b
(?<=a|bc)d
(?<!a|bc)d
(?<=\d)(?=(?:\d\d\d)+(?!\d))
a{,2}
a{
a{2}+
a{2}?
a{1,2}?
\pL
(?m:.)+
(|a)*b?
(a|b*)*c
(a*)*
(a*)+b
(a*?)*?b
(?:a?){3}
[a-c&&[^b]]+
[[:alpha:]]+
[^[:space:]]+
[[:^alpha:]]+
[[:punct:]]+
(?<n>a)\k<n>(b)
(a)(b)?\2c
(?:(a)|b)*\1
([a-c])\1*
(?:(a)|(b)|\1|\2)+c
(?=(a+))\1b
(?!(a)b)a\1?
\h+
\H+
\R
\R+
\N+
\O{2}
[]a]+
[a-]
[-a]
[a\-c]+
a**
a+?
x*
\b\w
\B.
\b
(?>a+)ab|a
a++b|a
a*+a|b
(?:ab|a)++b|c
(?#c)a
(?x) a b # x
a(?i)b|c
(?i:[a-c])+
(?i:[^a-c])+
(?i:\p{Lu})+
(?i:(a))\1
(a)(?i:\1)
\x61\x{62}\u0063
\141
\p{Greek}+
\p{letter}+
\p{Lu}|\p{^Lu}+
\P{^Lu}
\p{White_Space}
\p{Alnum}+
\W+
[\W]+
[^\W\d]+
[\w&&\d]+
[a[bc]d]+
[\b]
\e|\a
[^a-c\s]+?
.+?(?=b)
(?:a|ab)(?:c|bcd)(?:d*)
(?<=(a))b
(?<!^)a
(?<=^|\n)a
(?<=\s)\S(?=\s|$)
'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 ?[^(\s|.,!?…。，、।۔،)]+
<sentinel:[0-9]+>
(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z
([\t\n]|    |  )
[\p{P}!-/:-@\[-`{-~]
[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
[\(\)\[\]\{\}]|([!"\#\$%\&'\*\+,\-\./:;<=>\?\\\^_`\|\~])\1*
[\p{P}\$\+<=>\^~\|`]+
[0-9][0-9][0-9]
\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+
\d+(?:\.\d+)*
(?:\r?\n)+(?!\r?\n)
(?:(?:a|b)+c?)+d
(?=.*b)a
(.)(.)\2\1|.
\s+\b|\S
(?<![a-z])'(?![a-z])
'''.strip("\n").split("\n")

ATOMS = ["a", "b", "c", ".", "[ab]", "[^a]", r"\s", r"\d", r"\w", "(?:a|b)", "(a|b)", "(a|bc)", "(?:ab)", r"\b", "(?:^|a)"]
ATOMS += ["(?:a|$)", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)", "(?>a|ab)", "(?:)", "[a-c&&[^b]]", "(?i:a)", r"\p{L}"]
QUANTIFIERS = ["", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{0,2}?", "{,1}"]
CHARACTERS = list("aabbc ABC12\n\r\t '.,!=é漢😀dd_-")
PHRASES = [
    "hello World's 1234567 it's I'LL\n\n  x\t\r\n y  ",
    "IMGIMGABCZ <sentinel:12> ((a)) !!! == 漢字か ... ",
    "aaab abba abab 1000 12 ",
]


def text(most):
    parts = (draw.choice(PHRASES if draw.random() < 0.08 else CHARACTERS) for _ in range(draw.randint(1, most)))
    return "".join(parts)


def pattern(depth=0):
    parts = []
    for _ in range(draw.randint(1, 4)):
        atom = f"(?:{pattern(depth + 1)})" if depth < 2 and draw.random() < 0.2 else draw.choice(ATOMS)
        parts.append(atom + ("" if atom.startswith(("(?=", "(?!", "(?<")) else draw.choice(QUANTIFIERS)))
    more = "|" + draw.choice(ATOMS) if draw.random() < 0.3 else ""
    reference = r"\1" if depth == 0 and "(a|b" in "".join(parts) and draw.random() < 0.5 else ""
    return "".join(parts) + more + reference


def pieces(pattern, text):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return [piece for piece, _ in split.pre_tokenize_str(text)]


def cases(pattern, texts):
    try:
        return [pattern, [pieces(pattern, text) for text in texts]]
    except BaseException:  # Oniguruma rejects it, or gives up.
        return None


# Characters whose classes differ between engines.
RARE = "\x85\xa0\u2028\u3000\ufeff_$+!€1²¼٣aéⅧⓐⓏः kK\u212a s\u017f"
CLASSES = [r"\s", r"\S", r"\w", r"\W", r"[\w]", r"[\W]", r"\d", r"\D", r"\h", r"\p{Word}", r"\p{Punct}", r"\b", "(?i:k)", "(?i:s)"]
CLASSES += ["[[:punct:]]", "[[:alpha:]]", "[[:^alpha:]]", "[[:graph:]]", "[[:print:]]", "[[:blank:]]", "[[:upper:]]"]
CLASSES += ["(?i:[k])", r"(?i:\p{Lu})", r"(?i:[\p{Lu}])", "(?i:[^k])", r"\p{Alphabetic}", r"\p{greek}|\p{ white space }"]
known = [cases(each, [RARE]) for each in CLASSES]
known += [cases(each, [text(40) for _ in range(3)] + PHRASES) for each in patterns]
assert all(known)
drawn = [cases(pattern(), [text(12) for _ in range(2)]) for _ in range(700)]
lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in [*known, *filter(None, drawn)])
(Path(__file__).parent / "patterns.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
