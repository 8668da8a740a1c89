"""Writes ggufPreTokenizers.json: how Rust's tokenizers split texts with the patterns of each pre-tokenizer of GGUF.

Needs the Python package tokenizers and, for the patterns, the repository's own packages (npm install).

    python make_pretokenizers.py
"""

import json
import subprocess
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

HERE = Path(__file__).parent
TEXTS = [
    "Hello world, it's 12345 o'clock!  We'LL see\u2026\n\n\tIndented\r\n  x == y;  \n",
    "camelCase HTTPServer XMLHttp\u00c4rger \u00e9t\u00e9 \u01c5 na\u00efve cafe\u0301",
    "\u4f60\u597d\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f123\u30ab\u30bf\u30ab\u30ca \uc548\ub155 \ud558\uc138\uc694 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0627\u0644\u0639\u0631\u0628\u064a\u0629\u060c \u041f\u0440\u0438\u0432\u0435\u0442 \u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
    "x\u00b2+y\u00b2=1234567.89 \u00bd \u2167 100,000,000\u20ac $5 #tag @user a_b-c/d\\e [f](g) {h}",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 <sentinel:12> IMGIMGABCZ 'Tis 'twas don\u2019t",
    "   ",
    "trailing  ",
    "\u00a0\u3000\u2028mixed\u0085spaces     here\n \n  \n",
]


def patterns():
    bundle = ["npx", "esbuild", "src/engine/weights/ggufPreTokenizers.ts", "--bundle", "--format=cjs", "--platform=node"]
    root = HERE.parent.parent
    code = subprocess.run(bundle, cwd=root, check=True, capture_output=True, text=True).stdout
    code += "\nconsole.log(JSON.stringify([...module.exports.PRE_TOKENIZERS].map(([n, p]) => [n, p.patterns])))"
    return json.loads(subprocess.run(["node", "-e", code], check=True, capture_output=True, text=True).stdout)


def split(pre_tokenizer, text):
    return [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)]


splits = {}
for name, steps in patterns():
    pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(step), "isolated") for step in steps])
    pieces = [split(pre_tokenizer, text) for text in TEXTS]
    # Names with the same patterns are written once.
    same = next((other for other, known in splits.items() if known == pieces), None)
    splits[name] = same if same is not None else pieces

content = json.dumps({"texts": TEXTS, "splits": splits}, ensure_ascii=True, separators=(",", ":"))
(HERE / "ggufPreTokenizers.json").write_text(content + "\n")
