"""Compares the committed fixtures with ones written anew.

Usage: compare_fixtures.py COMMITTED NEW
"""

import json
import sys
from pathlib import Path

from safetensors.torch import load_file

from checks import Checks

# Sums in another order (another processor, other vector widths) move an f32 result by about 1e-6.
TOLERANCE = 1e-5


def tensor_differences(committed, new):
    """Yields what differs between two safetensors files: whole numbers exactly, others to the tolerance."""
    committed, new = load_file(committed), load_file(new)
    for name in sorted(committed.keys() ^ new.keys()):
        yield f"`{name}` is in one file only"
    for name in sorted(committed.keys() & new.keys()):
        a, b = committed[name], new[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            yield f"`{name}` is {a.dtype} {list(a.shape)}, then {b.dtype} {list(b.shape)}"
        elif not a.is_floating_point():
            if not a.equal(b):
                yield f"`{name}` holds other numbers"
        elif not (a - b).abs().max() <= TOLERANCE * a.abs().max():
            yield f"`{name}` differs by {(a - b).abs().max():.2e}, its largest value is {a.abs().max():.2e}"


def json_differences(committed, new, path="$"):
    """Yields what differs between two JSON values: all exactly but fractions."""
    if isinstance(committed, dict) and isinstance(new, dict) and committed.keys() == new.keys():
        for key in committed:
            yield from json_differences(committed[key], new[key], f"{path}.{key}")
    elif isinstance(committed, list) and isinstance(new, list) and len(committed) == len(new):
        for index, pair in enumerate(zip(committed, new)):
            yield from json_differences(*pair, f"{path}[{index}]")
    elif isinstance(committed, float) and isinstance(new, float):
        if not abs(committed - new) <= TOLERANCE * abs(committed):
            yield f"`{path}` is {committed}, then {new}"
    elif committed != new:
        yield f"`{path}` is {str(committed)[:60]!r}, then {str(new)[:60]!r}"


def differences(committed, new):
    """Yields what differs between two files."""
    if committed.suffix == ".safetensors":
        yield from tensor_differences(committed, new)
    elif committed.suffix == ".json":
        yield from json_differences(json.loads(committed.read_text()), json.loads(new.read_text()))
    elif committed.read_bytes() != new.read_bytes():
        yield "other bytes"


def files(folder):
    """Returns the files below a folder, relative to it, but for the one that people wrote."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - {Path("README.md")}


def main(committed, new):
    """Checks every file."""
    checks = Checks("fixtures")
    missing = sorted(map(str, files(committed) ^ files(new)))
    checks.that(not missing, "the same files", ", ".join(missing))
    for name in sorted(files(committed) & files(new)):
        found = list(differences(committed / name, new / name))
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        checks.that(not found, f"{name} as committed", found[0] + more if found else "")
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: compare_fixtures.py COMMITTED NEW")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
