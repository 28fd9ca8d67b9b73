#!/usr/bin/env python3
"""Prints the Markdown table of scripts/bench-training.

Usage: bench_table.py RUNS

RUNS holds one file for each run, `ROUND-PRECISION-TRAINER.json`: for `llmopt` the events that the command printed with
`--json`, for a `peer` the one line of scripts/reference/train_peer.py. Python 3 standard library only.
"""

import json
import sys
from pathlib import Path
from statistics import mean, median


def events_summary(events):
    """Returns the numbers of one run of ours; the speed is that of the whole loop, checkpoints included."""
    steps = [event for event in events if event.get("event") == "step"]
    if not steps:
        raise KeyError("step")
    return {
        "tokens_per_second": steps[-1]["tokens_per_second"],
        "peak_memory_bytes": max(step["peak_memory_bytes"] for step in steps),
        "losses": [step["loss"] for step in steps],
        "tokens": sum(step["tokens"] for step in steps),
    }


def summary(path):
    """Returns tokens per second, peak memory, losses and tokens of one run."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
        return events_summary(lines) if path.stem.endswith("llmopt") else lines[-1]
    except (KeyError, IndexError, ValueError) as error:
        sys.exit(f"error: `{path.name}` is not the output of a whole run: {error!r}")


def runs(folder):
    """Returns the summaries by precision and trainer."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        _, precision, trainer = path.stem.split("-", 2)
        found.setdefault((precision, trainer), []).append(summary(path))
    return found


def spread(values, form):
    """Returns the median, and the least and the most where there are several."""
    text = form(median(values))
    return text if len(values) == 1 else f"{text} ({form(min(values))} to {form(max(values))})"


def line(precision, trainer, group, peer):
    """Returns a row of the table, with ratios to the peer."""
    speed = [run["tokens_per_second"] for run in group]
    memory = [run["peak_memory_bytes"] / 2**20 for run in group]
    losses = group[0]["losses"]
    cells = [
        precision,
        trainer,
        spread(speed, "{:.0f}".format),
        f"{median(speed) / median(run['tokens_per_second'] for run in peer):.2f}",
        spread(memory, "{:.0f}".format),
        f"{median(memory) * 2**20 / median(run['peak_memory_bytes'] for run in peer):.2f}",
        f"{mean(losses[:5]):.3f}",
        f"{mean(losses[-5:]):.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main(folder):
    """Prints the table."""
    print("| precision | trainer | tokens/s | x peer | peak MiB | x peer | loss, first 5 | last 5 |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    found = runs(folder)
    for (precision, trainer), group in found.items():
        # The faster of the peer's ways to compute in that precision is what ours is held against.
        peers = [runs for (other, name), runs in found.items() if other == precision and name != "llmopt"]
        best = max(peers, key=lambda runs: median(run["tokens_per_second"] for run in runs), default=group)
        print(line(precision, trainer, group, best))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: bench_table.py RUNS")
    main(Path(sys.argv[1]))
