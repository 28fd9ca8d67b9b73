#!/usr/bin/env python3
"""Prints the Markdown table of scripts/bench-lambda, and fails where a limit is not kept.

Usage: lambda_table.py RESULTS

RESULTS is what the benchmark printed: one JSON object a line for each function. Python 3 standard library only.
"""

import json
import sys
from pathlib import Path
from statistics import median

# What the others are measured against.
HELLO = "hello_http"
NAMES = {
    "hello_runtime": "hello world on `lambda_runtime`",
    "hello_http": "hello world on `lambda_http`",
    "health": "`health`, `GET /api/v1/health`",
    "models": "`models`, `GET /api/v1/models`",
}
# At most: milliseconds to the first answer, times those of hello world, MB of resident memory.
LIMITS = {"health": (25, 3, 20), "models": (80, 6, 20)}


def spread(values, form):
    """Returns the median, and the least and the most."""
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def main(path):
    """Prints the table and returns what is not kept."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    hello = next(median(run["first_answer_ms"]) for run in found if run["function"] == HELLO)
    print("| function | first answer, ms | limit | x hello | limit | resident, MB | limit | calls to AWS |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    broken = []
    for run in found:
        name, took = run["function"], run["first_answer_ms"]
        ratio, memory = median(took) / hello, [size / 1e6 for size in run["resident_bytes"]]
        measured = (median(took), ratio, median(memory))
        limits = LIMITS.get(name)
        most = [f"{value}" for value in limits] if limits else ["-"] * 3
        cells = [
            NAMES[name],
            spread(took, "{:.1f}".format),
            most[0],
            f"{ratio:.2f}",
            most[1],
            spread(memory, "{:.1f}".format),
            most[2],
            str(sum(run["calls"].values())),
        ]
        print("| " + " | ".join(cells) + " |")
        if limits and any(value > bound for value, bound in zip(measured, limits)):
            broken.append(name)
    return broken


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: lambda_table.py RESULTS")
    not_kept = main(Path(sys.argv[1]))
    if not_kept:
        sys.exit(f"error: a figure is not kept: {', '.join(not_kept)}")
