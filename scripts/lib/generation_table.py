"""Prints the Markdown table of scripts/bench-generate from a folder of its runs."""

import json
import statistics
import sys
from pathlib import Path

NAMES = {"ours": "llmopt", "theirs": "llama.cpp alone"}


def rates(folder: Path, who: str) -> list[float]:
    runs = sorted(folder.glob(f"*-{who}.json"))
    return [json.loads(run.read_text())["tokens_per_second"] for run in runs]


def main() -> None:
    folder = Path(sys.argv[1])
    base = statistics.median(rates(folder, "theirs"))
    print("| | tokens/s | x llama.cpp |\n|---|---:|---:|")
    for who, name in NAMES.items():
        found = rates(folder, who)
        middle = statistics.median(found)
        print(f"| {name} | {middle:.1f} ({min(found):.1f} to {max(found):.1f}) | {middle / base:.2f} |")


if __name__ == "__main__":
    main()
