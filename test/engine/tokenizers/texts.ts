/** Texts that go wrong easily: each is tokenized by every kind of tokenizer. */
export const HARD_TEXTS: Readonly<Record<string, string>> = {
  plain: "The quick brown fox didn't jump over 13 lazy dogs; they'd've moved.",
  "white space": "  two  spaces\tand a tab\n\n\nthree lines \n \n end  ",
  CRLF: "first\r\nsecond\r\n\r\n\r\nthird\r",
  emoji: "😀👩‍👩‍👧‍👦🇩🇪 ok 👍🏽!",
  CJK: "日本語のテキスト。中文，한국어 text",
  "combining marks": "cafe\u0301 n\u0303 a\u0308\u0323 \u0915\u094d\u0937\u093f",
  "right to left": "שלום عليكم 123",
  "odd spaces": "a\u00a0b\u2003c\u3000d\u0085e\ufefff\u2028g\u200bh",
  "zero and control characters": "a\u0000b\u0007c\u001fd",
  "astral letters": "𝒽𝑒𝓁𝓁𝑜 𐍈𐍉 𠜎𠜱",
  code: "function f(x) {\n\treturn x?.y ?? `z$`; // ok\n}\n",
};

/** UTF-16 that is not well formed: no bytes of UTF-8 stand for it. */
export const LONE_SURROGATES = "a\ud83db\ude00c\ud83d\ud83d\ude00\ude00";
