"""Counts the words of the stories. Hover over a name to see how the model reads it."""

from collections import Counter
from pathlib import Path
import re


def count_words(text: str) -> Counter[str]:
    """How often each word occurs, without regard to upper and lower case."""
    return Counter(re.findall(r"[a-z']+", text.lower()))


if __name__ == "__main__":
    stories = Path(__file__).with_name("stories.txt").read_text(encoding="utf-8")
    words = count_words(stories)
    print(f"{sum(words.values())} words, {len(words)} of them different")
    for word, n in words.most_common(10):
        print(f"{n:6}  {word}")
