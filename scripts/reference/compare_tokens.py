"""Holds llmopt's token ids against transformers', over real texts and random ones.

    compare_tokens.py texts DATA TEXTS.jsonl               gathers the texts, each a JSON string on its line
    compare_tokens.py check NAME TOKENIZER TEXTS IDS       compares the ids that llmopt gave them

TOKENIZER is a folder with `tokenizer.json`, or with GPT-2's `vocab.json` and `merges.txt`.
"""

import json
import os
import random
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import AutoTokenizer, GPT2Tokenizer
from transformers.utils import logging

from checks import Checks

RANDOM_TEXTS = 1000
# Texts of one kind, so that neighbours meet that a draw from all characters would never put together.
RANGES = [
    (0x20, 0x7F),
    (0x00, 0x20),
    (0xA0, 0x250),
    (0x300, 0x370),
    (0x370, 0x530),
    (0x590, 0x700),
    (0x900, 0xE00),
    (0x1100, 0x1200),
    (0x2000, 0x2070),
    (0x3040, 0x3100),
    (0x4E00, 0x5000),
    (0xAC00, 0xAD00),
    (0xFE00, 0xFE10),
    (0x1F1E6, 0x1F650),
    (0xE0000, 0xE0080),
    (0x00, 0x110000),
]


def lines(path):
    """Returns a file's JSON lines."""
    with open(path) as file:
        return [json.loads(line) for line in file]


def random_texts():
    """Returns random texts by a fixed seed: each of one to three ranges of characters, with English and spaces between."""
    draw = random.Random(11)
    texts = []
    while len(texts) < RANDOM_TEXTS:
        ranges = draw.choices(RANGES, k=draw.randint(1, 3))
        parts = []
        for _ in range(draw.randint(1, 40)):
            first, end = draw.choice(ranges)
            parts.append(chr(draw.randrange(first, end)))
            parts.append(draw.choice(["", "", "", " ", "  ", "\n", "'s", "'LL", "word", "42"]))
        text = "".join(parts)
        # A half of a pair of surrogates is no text.
        if not any(0xD800 <= ord(one) < 0xE000 for one in text):
            texts.append(text)
    return texts


def gather(data):
    """Returns every text of the data sets, and the random ones."""
    texts = [row[field] for name in ("train", "test") for row in lines(data / f"gsm8k/{name}.jsonl") for field in row]
    texts += [row["text"] for name in ("train", "valid", "test") for row in lines(data / f"wikisql/{name}.jsonl")]
    chats = json.loads((data / "sharegpt.json").read_text())
    texts += [turn["value"] for chat in chats for turn in chat["conversations"]]
    texts += json.loads((data / "naughty_strings/blns.json").read_text())
    return texts + random_texts()


def open_tokenizer(folder):
    """Opens a tokenizer as users do."""
    if (folder / "tokenizer.json").is_file():
        return AutoTokenizer.from_pretrained(folder)
    return GPT2Tokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


def check(name, folder, texts_path, ids_path):
    """Compares the ids of every text, and that they decode to it."""
    checks = Checks("tokens")
    tokenizer = open_tokenizer(Path(folder))
    texts, ours = lines(texts_path), lines(ids_path)
    theirs = tokenizer(texts, add_special_tokens=False)["input_ids"]
    differing = [text for text, one, other in zip(texts, ours, theirs) if one != other]
    detail = f"{len(texts)} texts, {sum(map(len, theirs))} tokens" + "".join(f"; {text[:80]!r} differs" for text in differing[:3])
    checks.that(len(ours) == len(texts) and not differing, f"{name}: ids equal transformers'", detail)
    decoded = tokenizer.decode(ours, clean_up_tokenization_spaces=False)
    checks.that(decoded == texts, f"{name}: the ids decode to the texts in transformers")
    checks.finish()


def main():
    """Does what the first argument says."""
    logging.set_verbosity_error()
    match sys.argv[1:]:
        case ["texts", data, target]:
            with open(target, "w") as file:
                file.writelines(json.dumps(text) + "\n" for text in gather(Path(data)))
        case ["check", name, folder, texts, ids]:
            check(name, folder, texts, ids)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
