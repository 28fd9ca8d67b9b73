#!/usr/bin/env python3
"""Prints what scripts/quickstart came to.

Usage: quickstart_table.py RESULTS

RESULTS holds what the commands printed with `--json`: `before.json` and `after.json` (`llmopt evaluate`) and
`model.json` (`llmopt models show`). Python 3 standard library only.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import nearest_row

ORDERS = Path(__file__).resolve().parent.parent.parent / "examples" / "orders"


class Missing(Exception):
    """A file lacks what the table needs."""


def json_lines(path):
    """Returns the JSON values of a file: one document, or one on each line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Missing(f"failed to read `{path.name}`: {error.strerror}") from error
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise Missing(f"`{path.name}` is not JSON: {error}") from error


def required(value, name, *keys):
    """Returns the values of an object's keys."""
    for key in keys:
        if not isinstance(value, dict) or value.get(key) is None:
            raise Missing(f"no `{key}` in `{name}`")
    return [value[key] for key in keys]


def metrics(path):
    """Returns exact match, loss and number of rows from the last `evaluated` event of a file."""
    found = [line for line in json_lines(path) if isinstance(line, dict) and line.get("event") == "evaluated"]
    if not found:
        raise Missing(f"no `evaluated` event in `{path.name}`")
    (measured,) = required(found[-1], path.name, "metrics")
    return required(measured, path.name, "exact_match", "loss", "rows")


def rows(name):
    """Returns the (prompt, response) pairs of a sample file."""
    lines = (ORDERS / name).read_text(encoding="utf-8").splitlines()
    return [(row["prompt"], row["response"]) for row in map(json.loads, lines)]


def duration(seconds):
    """Returns a time as people write it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def table(header, lines):
    """Returns a framed table; every column but the first is aligned on the right."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *lines)]

    def line(cells):
        first, *others = (cell.ljust(width) if at == 0 else cell.rjust(width)
                          for at, (cell, width) in enumerate(zip(cells, widths)))
        return "| " + " | ".join([first, *others]) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(header), rule, *map(line, lines)])


def report(results):
    """Returns the text."""
    match_before, loss_before, _ = metrics(results / "before.json")
    match, loss, count = metrics(results / "after.json")
    keys = ("path", "seconds", "tokens_per_second", "peak_memory_bytes")
    folder, seconds, speed, memory = required(json_lines(results / "model.json")[-1], "model.json", *keys)
    overlap, edits = nearest_row.exact_match(rows("train.jsonl"), rows("heldout.jsonl"))
    outcome = table(
        [f"{count} held-out rows", "before", "after", "nearest training row"],
        [
            ["exact match", f"{match_before:.3f}", f"{match:.3f}", f"{max(overlap, edits):.3f}"],
            ["loss (nats per token)", f"{loss_before:.4f}", f"{loss:.4f}", "-"],
        ],
    )
    return f"""
{outcome}

speed         {speed:,.0f} tokens/s
peak memory   {memory / 2**20:,.0f} MiB
time          {duration(seconds)} for the fine-tuning
artifacts     {Path(folder).absolute()}

No held-out message and no combination of its slot values occurs in training (scripts/generate-sample-data --check).
"Nearest training row" answers with what stands beside the most similar training message.

What to do next, with `alias llmopt=target/release/llmopt`:
  llmopt models show order-tickets                 what it was made from, and what it scored
  llmopt dataset validate YOUR.jsonl               your own examples: JSONL, JSON or CSV
  llmopt train --base-model distilgpt2 --dataset YOUR.jsonl --name YOURS
  README.md says the rest.
"""


def main():
    """Prints the table, or says what is missing."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} RESULTS")
    try:
        print(report(Path(sys.argv[1])))
    except Missing as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
