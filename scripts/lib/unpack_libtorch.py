"""Unpacks from the torch and CUDA runtime wheels only what `tch` links: about 500 MB of 1.5 GB.

Usage: unpack_libtorch.py WHEEL_FOLDER OUT_FOLDER
"""

import pathlib
import sys
import zipfile

KEPT_FILES = {
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libtorch.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
}


def main() -> None:
    wheels, out = map(pathlib.Path, sys.argv[1:])
    found = set()
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name in KEPT_FILES or name.startswith("torch/include/"):
                    archive.extract(name, out)
                    found.add(name)
    if missing := KEPT_FILES - found:
        raise SystemExit(f"error: the wheels in {wheels} lack {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
