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


def find(value, key):
    """Returns the value of a key at any depth, the outermost first; None where there is none."""
    level = [value]
    while level:
        objects = [item for item in level if isinstance(item, dict)]
        for item in objects:
            if item.get(key) is not None:
                return item[key]
        lists = [item for item in level if isinstance(item, list)]
        level = [child for item in objects for child in item.values()] + [child for item in lists for child in item]
    return None


def required(sources, key):
    """Returns the value of a key from the first of the named sources that has it."""
    for value in sources.values():
        found = find(value, key)
        if found is not None:
            return found
    raise Missing(f"no `{key}` in {' or '.join(f'`{name}`' for name in sources)}")


def metrics(path):
    """Returns the metrics of the last `evaluated` event of a file."""
    found = [line for line in json_lines(path) if isinstance(line, dict) and line.get("event") == "evaluated"]
    if not found:
        raise Missing(f"no `evaluated` event in `{path.name}`")
    for key in ("rows", "loss", "exact_match"):
        required({path.name: found[-1]}, key)
    return found[-1]["metrics"]


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
    before, after = metrics(results / "before.json"), metrics(results / "after.json")
    shown = json_lines(results / "model.json")
    folder = Path(str(required({"model.json": shown}, "path"))).absolute()
    sources = {"model.json": shown}
    metadata = folder / "training_metadata.json"
    if metadata.is_file():
        sources["training_metadata.json"] = json_lines(metadata)
    seconds, speed, memory = (required(sources, key) for key in ("seconds", "tokens_per_second", "peak_memory_bytes"))
    overlap, edits = nearest_row.exact_match(rows("train.jsonl"), rows("heldout.jsonl"))
    outcome = table(
        [f"{after['rows']} held-out rows", "before", "after", "nearest training row"],
        [
            ["exact match", f"{before['exact_match']:.3f}", f"{after['exact_match']:.3f}", f"{max(overlap, edits):.3f}"],
            ["loss (nats per token)", f"{before['loss']:.4f}", f"{after['loss']:.4f}", "-"],
        ],
    )
    return f"""
{outcome}

speed         {speed:,.0f} tokens/s
peak memory   {memory / 2**20:,.0f} MiB
time          {duration(seconds)} for the fine-tuning
artifacts     {folder}

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
