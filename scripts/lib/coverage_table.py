#!/usr/bin/env python3
"""Prints the line coverage of each crate as a Markdown table.

Usage: coverage_table.py LCOV

LCOV is what `cargo llvm-cov --lcov` wrote. Counts the files below `src/` of crates/ and trainer/, without modules of
tests, `testing.rs` and the conformance suites, which are tests themselves. Python 3 standard library only.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_COUNTED = re.compile(r"/(tests|testing)\.rs$|/(tests|conformance)(/|\.rs$)")


def records(path):
    """Yields each file of the report with the hits of its lines."""
    name, hits = None, {}
    for line in path.read_text().splitlines():
        kind, _, value = line.partition(":")
        if kind == "SF":
            name, hits = Path(value), {}
        elif kind == "DA":
            number, count = value.split(",")[:2]
            hits[int(number)] = int(count)
        elif line == "end_of_record" and name.is_relative_to(ROOT):
            yield name.relative_to(ROOT), hits


def first_test_line(path):
    """Returns the number of the line where a file's own module of tests begins."""
    lines = (ROOT / path).read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith("#[cfg(test)]") and re.match(r"(pub(\(crate\))? )?mod \w+ \{", lines[number]):
            return number
    return len(lines) + 1


def main():
    """Prints the table."""
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n\n")[1])
    crates = defaultdict(lambda: [0, 0])
    for path, hits in records(Path(sys.argv[1])):
        parts = path.parts
        counted = parts[0] == "trainer" or (parts[0] == "crates" and len(parts) > 2)
        depth = 1 if parts[0] == "trainer" else 2
        if not counted or parts[depth] != "src" or NOT_COUNTED.search(f"/{path.as_posix()}"):
            continue
        end = first_test_line(path)
        lines = [count for number, count in hits.items() if number < end]
        for name in ("/".join(parts[:depth]), "all"):
            crates[name][0] += sum(count > 0 for count in lines)
            crates[name][1] += len(lines)
    if not crates:
        sys.exit(f"error: `{sys.argv[1]}` covers no file of crates/ or trainer/")
    print("| crate | lines | covered |\n|---|---:|---:|")
    for name in sorted(crates, key=lambda name: (name == "all", name)):
        covered, lines = crates[name]
        print(f"| {name} | {lines} | {covered / lines:.1%} |")


if __name__ == "__main__":
    main()
