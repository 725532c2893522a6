"""Make semjax/assets/text_prior.bin, what the caption coder knows of English captions before it reads a
message.

    python scripts/make_text_prior.py [--show 20] [--out FILE]

The text is ours: captions written for this purpose (scripts/text_prior/written_*.txt) and sentences that a
small grammar makes of word lists (lexicon.txt, templates.txt, templates_sender.txt), so that words which no
written caption uses are spelled at least a few times. Generated sentences come first and written ones last,
because what is read last decides how far the model trusts its contexts. The file is that text coded by the
untrained model itself: reading it back is the training. Any change of it changes the caption format.
"""

import argparse
import random
import re
from pathlib import Path

import numpy as np

from semjax.entropy.text import PRIOR, write_prior

SOURCES = Path(__file__).parent / "text_prior"
GENERATED, OF_SENDER = 60_000, 6_000  # characters


def lines(name: str) -> list[str]:
    text = (SOURCES / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def lexicon() -> dict[str, list[str]]:
    classes = dict(line.split(": ", 1) for line in lines("lexicon.txt"))
    return {"pace": ["slowly", "quickly"]} | {name: words.split("|") for name, words in classes.items()}


def generate(templates: list[str], words: dict[str, list[str]], size: int, seed: int) -> list[str]:
    """Fill templates in random order until there are `size` characters; every word of a class before any
    twice."""
    rng = random.Random(seed)
    decks: dict[str, list[str]] = {name: [] for name in words}

    def draw(match: re.Match) -> str:
        deck = decks[match[1]]
        if not deck:
            deck.extend(words[match[1]])
            rng.shuffle(deck)
        return deck.pop()

    out: list[str] = []
    while sum(map(len, out)) < size:
        for template in rng.sample(templates, len(templates)):
            text = re.sub(r"\{(\w+)\}", draw, template)
            out.append(re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text))
    return out


def prior_texts() -> list[str]:
    words = lexicon()
    written = [line for path in sorted(SOURCES.glob("written_*.txt")) for line in lines(path.name)]
    random.Random(5).shuffle(written)
    made = generate(lines("templates_sender.txt"), words, OF_SENDER, 1)
    return made + generate(lines("templates.txt"), words, GENERATED, 2) + written


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", type=int, default=0, help="print that many of the texts")
    parser.add_argument("--out", type=Path, default=PRIOR, help=f"file to write (default {PRIOR})")
    args = parser.parse_args()
    texts = prior_texts()
    data = write_prior(texts)
    args.out.write_bytes(data)
    size = sum(len(t.encode()) + 1 for t in texts)
    print(
        f"{len(texts)} texts, {size} bytes, coded in {len(data)} ({8 * len(data) / size:.2f} bits a byte): {args.out}"
    )
    for k in np.linspace(0, len(texts) - 1, args.show).astype(int):
        print(" ", texts[k])


if __name__ == "__main__":
    main()
