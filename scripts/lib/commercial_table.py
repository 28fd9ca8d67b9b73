#!/usr/bin/env python3
"""Prints the Markdown table of scripts/bench-commercial, and its goals.

Usage: commercial_table.py RUNS

RUNS has a line of JSON for each run: `gateway`, `kind` (`whole` and `stream` at a rate, `most` as fast as answers come),
`cpu_us`, `resident_kib`, and what crates/provider-mock/examples/load.rs printed as `load`. Python 3 standard library only.
"""

import json
import sys
from pathlib import Path
from statistics import median

NAMES = {
    "ours": "llmopt serve",
    "litellm": "LiteLLM's proxy",
    "portkey": "Portkey's gateway",
    "passed": "bytes passed on, and nothing else",
    "kept": "the same, with 200 bytes on the disk first",
}


class Runs:
    """All runs, in the order in which they were made."""

    def __init__(self, lines):
        self.all = [json.loads(line) for line in lines]

    def of(self, gateway, kind):
        """Returns the runs of one kind of one gateway."""
        return [run for run in self.all if (run["gateway"], run["kind"]) == (gateway, kind)]

    def added_ms(self, gateway, kind, figure):
        """Returns by how much a figure exceeds that without a gateway, the median of all rounds."""
        rounds = zip(self.of(gateway, kind), self.of("direct", kind))
        return median(ours["load"][figure] - direct["load"][figure] for ours, direct in rounds) / 1000

    def most(self, gateway):
        """Returns answers a second, the median of all rounds."""
        return median(run["load"]["requests_per_second"] for run in self.of(gateway, "most"))

    def cpu_ms(self, gateway):
        """Returns the processor time of an answer at the gateway's most, the median of all rounds."""
        return median(run["cpu_us"] / run["load"]["requests"] for run in self.of(gateway, "most")) / 1000

    def resident_mb(self, gateway):
        """Returns the most memory after any run."""
        return max(run["resident_kib"] for run in self.all if run["gateway"] == gateway) * 1024 / 1e6

    def failed(self, gateway):
        """Returns how many answers there were not."""
        return sum(run["load"]["failed"] for run in self.all if run["gateway"] == gateway)


def row(runs, gateway):
    """Returns a gateway's row."""
    cells = [
        NAMES[gateway],
        f"{runs.added_ms(gateway, 'whole', 'p50_us'):.2f}",
        f"{runs.added_ms(gateway, 'whole', 'p99_us'):.2f}",
        f"{runs.added_ms(gateway, 'stream', 'first_p50_us'):.2f}",
        f"{runs.added_ms(gateway, 'stream', 'first_p99_us'):.2f}",
        f"{runs.added_ms(gateway, 'stream', 'p50_us'):.2f}",
        f"{runs.most(gateway):,.0f}",
        f"{runs.cpu_ms(gateway):.3f}",
        f"{runs.cpu_ms(gateway) / runs.cpu_ms('ours'):.1f}",
        f"{runs.resident_mb(gateway):.0f}",
        f"{runs.failed(gateway)}",
    ]
    return "| " + " | ".join(cells) + " |"


def goals(runs):
    """Returns what is found of each goal."""
    p99, theirs, kept = (runs.added_ms(gateway, "whole", "p99_us") for gateway in ("ours", "litellm", "kept"))
    return [
        ("99 of 100 answers later by", f"{p99:.2f} ms", "at most 1 ms"),
        ("the same of bytes passed on after the disk", f"{kept:.2f} ms", ""),
        ("of that of LiteLLM's", f"1/{theirs / p99:.0f}" if p99 > 0 else "none", "at most 1/10"),
        ("processor time of that of LiteLLM's", f"1/{runs.cpu_ms('litellm') / runs.cpu_ms('ours'):.0f}", "at most 1/20"),
        ("resident memory", f"{runs.resident_mb('ours'):.0f} MB", "at most 60 MB"),
        ("first part of a stream later by, median", f"{runs.added_ms('ours', 'stream', 'first_p50_us'):.2f} ms", "at most 2 ms"),
        ("99 of 100 first parts later by", f"{runs.added_ms('ours', 'stream', 'first_p99_us'):.2f} ms", "below 40 ms"),
    ]


def main(path):
    """Prints the table."""
    runs = Runs(path.read_text().splitlines())
    base = {kind: median(run["load"]["p50_us"] for run in runs.of("direct", kind)) / 1000 for kind in ("whole", "stream")}
    print(f"without a gateway: {base['whole']:.2f} ms whole, {base['stream']:.2f} ms a stream, median; {runs.most('direct'):,.0f} answers/s")
    print()
    print("| | whole answer later by, ms, median | 99 of 100 | stream's first part later by, ms, median | 99 of 100 | its end, median | most answers/s | processor ms an answer | x ours | resident MB | failed |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for gateway in NAMES:
        print(row(runs, gateway))
    print()
    for name, found, goal in goals(runs):
        print(f"{name:<45} {found:>10}   {goal}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: commercial_table.py RUNS")
    main(Path(sys.argv[1]))
