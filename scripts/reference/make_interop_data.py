"""Writes the rows that scripts/test-interop trains on, generates for and prepares.

Usage: make_interop_data.py OUT
"""

import json
import sys
from pathlib import Path

import corpus

TRAINING_ROWS = 60
PROMPTS = 20
# Longer than what is generated: a model that learnt to end early would compare little.
ORDERS_PER_ANSWER = 4


def row(order, answers):
    """Returns a row: one order, and a list of short forms as its answer."""
    return {"prompt": order, "response": "; ".join(answer for _, answer in answers)}


def conversation(at, group):
    """Returns orders and answers as one conversation; of some, an early answer is not learnt."""
    turns = [{"role": "system", "content": f"Answer in {at % 3 + 1} words, « wie gehabt »."}] * (at % 2)
    for place, (order, answer) in enumerate(group):
        turns += [{"role": "user", "content": order}, {"role": "assistant", "content": answer}]
        if (at + place) % 5 == 0 and place + 1 < len(group):
            turns[-1]["weight"] = 0
    return {"messages": turns}


def write_rows(path, rows):
    """Writes JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main(out):
    """Writes `train.jsonl` and `prompts.jsonl`, which share no prompt, and `prepared/` with both and conversations."""
    orders = corpus.distinct_orders(seed=7, count=TRAINING_ROWS + PROMPTS)
    answers = corpus.orders(seed=8, count=ORDERS_PER_ANSWER * len(orders))
    groups = [answers[at : at + ORDERS_PER_ANSWER] for at in range(0, len(answers), ORDERS_PER_ANSWER)]
    rows = [row(order, group) for (order, _), group in zip(orders, groups)]
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "train.jsonl", rows[:TRAINING_ROWS])
    write_rows(out / "prompts.jsonl", rows[TRAINING_ROWS:])
    (out / "prepared").mkdir()
    write_rows(out / "prepared" / "pairs.jsonl", rows)
    write_rows(out / "prepared" / "conversations.jsonl", [conversation(at, group) for at, group in enumerate(groups)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_interop_data.py OUT")
    main(Path(sys.argv[1]))
