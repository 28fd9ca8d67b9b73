"""The text of the fixtures: short household orders with one right answer each, drawn by a seed."""

import random

THINGS = ["lamp", "fan", "radio", "heater", "door", "window", "kettle", "blind"]
ROOMS = ["kitchen", "hall", "attic", "cellar", "garage", "study", "bedroom", "garden"]
VERBS = {"on": ["Turn on", "Start"], "off": ["Turn off", "Stop"], "open": ["Open"], "close": ["Close", "Shut"]}

END = "<|endoftext|>"


def orders(seed, count):
    """Returns `count` pairs of an order in plain words and its short form."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        action = draw.choice(sorted(VERBS))
        verb, thing, room = draw.choice(VERBS[action]), draw.choice(THINGS), draw.choice(ROOMS)
        polite = draw.choice(["", "", "Please: ", "Hello! "])
        place = draw.choice([f" in the {room}", f" of the {room}", f", {room}"])
        pairs.append((f"{polite}{verb} the {thing}{place}.", f"{action} {thing} {room}"))
    return pairs


def distinct_orders(seed, count):
    """Returns `count` pairs with `count` different orders."""
    pairs = list(dict.fromkeys(orders(seed, count * 10)))[:count]
    assert len(pairs) == count
    return pairs


def prompt_text(order):
    """Renders an order as the default chat template does for a single user turn."""
    return f"### User:\n{order}\n\n### Assistant:\n"


def tokenizer_corpus():
    """Returns the texts that the fixture's tokenizer is trained on."""
    return [prompt_text(order) + answer for order, answer in orders(1, 400)]


# Texts that byte-level BPE gets wrong where it is built carelessly.
HARD_TEXTS = [
    "",
    " ",
    "  two  spaces ",
    "\n\n\n",
    "tab\there\r\nand a carriage return",
    "I'll we're DON'T it's",
    "1234567890 3.14 1,000",
    "naïve café ÅÄÖ ß",
    "你好,世界",
    "🙂👩‍👩‍👧 é e\u0301",
    "\u00a0no-break\u3000ideographic\u200bzero",
    "\x00\x07 control",
    "{\"a\": [1, 2], \"b\": null}",
    "end<|endoftext|>middle",
    "### User:\nTurn on the lamp in the hall.\n\n### Assistant:\n",
    "!!!???...;;;",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]
