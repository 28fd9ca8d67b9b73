"""Shows what functions weigh as they are deployed and what they need of the system, and holds both to limits."""

import argparse
import sys
import zipfile
from io import BytesIO
from pathlib import Path

from elftools.elf.elffile import ELFFile

from aws_template import functions, load

# Megabytes of a packed function: what is fetched before its first answer. Beside what it asks providers with,
# `commercial` has what counts the tokens that a text is for our own models.
LIMIT_MB = {"commercial": 8, "datasets": 15, "inference": 30}
OTHERS_MB = 6
# Of Amazon Linux 2023, which `provided.al2023` is.
GLIBC = (2, 34)
# What only some need, by what their panics name: every function links the use cases, and the linker is to leave
# out of a program what it does not use.
ALONE = {b"/tokenizers-": {"commercial", "datasets", "inference", "training"}, b"ggml": {"inference"}}
# What it has beside a program.
LIBRARIES = {
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
}


def packed_bytes(program: Path) -> int:
    """Returns the size of the program's zip, packed as SAM does."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(program, "bootstrap")
    return len(packed.getvalue())


def needs(program: Path) -> tuple[str, tuple[int, ...], set[str], bool]:
    """Returns the processor, the newest glibc, the libraries, and whether a panic unwinds."""
    with program.open("rb") as file:
        elf = ELFFile(file)
        versions = [(0,)]
        for _, wanted in elf.get_section_by_name(".gnu.version_r").iter_versions():
            names = (version.name for version in wanted)
            versions += [tuple(map(int, name[6:].split("."))) for name in names if name.startswith("GLIBC_")]
        dynamic = elf.get_section_by_name(".dynamic")
        libraries = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
        # Where panics abort, hardly anything is left to be cleaned up on the way.
        tables = elf.get_section_by_name(".gcc_except_table")
        share = tables["sh_size"] / elf.get_section_by_name(".text")["sh_size"] if tables else 0
        return elf.get_machine_arch(), max(versions), libraries, share > 0.01


def main() -> None:
    """Prints a row for each function and fails if one is over a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="where `sam build` built to")
    arguments = parser.parse_args()
    found = []
    print("| function | program, MB | packed, MB | at most | glibc | panics |")
    print("|---|---|---|---|---|---|")
    for name, binary in sorted(functions(load()).items()):
        program = arguments.build / name / "bootstrap"
        packed, limit = packed_bytes(program) / 1e6, LIMIT_MB.get(binary, OTHERS_MB)
        processor, glibc, libraries, unwinds = needs(program)
        shown = ".".join(map(str, glibc))
        panics = "unwind" if unwinds else "abort"
        print(f"| {binary} | {program.stat().st_size / 1e6:.1f} | {packed:.1f} | {limit} | {shown} | {panics} |")
        if packed > limit:
            found.append(f"{binary} is {packed:.1f} MB packed, and {limit} MB are allowed")
        if glibc > GLIBC:
            found.append(f"{binary} needs glibc {shown}, which Amazon Linux 2023 has not")
        if processor != "AArch64":
            found.append(f"{binary} is built for {processor}")
        if libraries - LIBRARIES:
            found.append(f"{binary} needs {', '.join(sorted(libraries - LIBRARIES))}")
        content = program.read_bytes()
        for mark, users in ALONE.items():
            if (mark in content) != (binary in users):
                found.append(f"{binary} {'carries' if mark in content else 'lacks'} {mark.decode()}")
        if not unwinds:
            found.append(f"{binary} aborts where it panics: it cannot say so in an answer")
    for finding in found:
        print(f"error: {finding}", file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
