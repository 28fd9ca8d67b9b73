#!/usr/bin/env python3
"""Runs fuzzers for a time of the processor, and prints a Markdown table of what they did; for scripts/fuzz.

Usage: fuzz_run.py --binaries FOLDER --found FOLDER [--seconds N] [--jobs N] [--minimise] TARGET ...

What the fuzzers find worth keeping is kept in the folder FOUND; `fuzz/corpus` is read only, but for `--minimise`, and
an input that breaks something is left in `fuzz/artifacts`. Real inputs are taken from LLMOPT_TEST_DATA, where it is
set. Python 3 standard library only.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "fuzz/corpus"
ARTIFACTS = ROOT / "fuzz/artifacts"
# The longest input in bytes, the longest time for one in seconds, and the most memory in MiB.
# What libraries print on standard output, for each input, is not kept.
LIMITS = ["-close_fd_mask=1", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048"]
# What a committed corpus may grow to in bytes, and how many inputs are added to it at once.
MOST_BYTES = 10_000
MOST_ADDED = 20
PROGRESS = re.compile(r"^#(\d+)\s.*?cov: (\d+).*?corp: (\d+)", re.M)
HERTZ = os.sysconf("SC_CLK_TCK")


def real_inputs(target, folder):
    """Writes the inputs of LLMOPT_TEST_DATA that are for `target` into `folder`; returns whether there are any."""
    data = os.environ.get("LLMOPT_TEST_DATA")
    if not data:
        return False
    data = Path(data)
    inputs = []
    if target in ("dataset_json", "dataset_jsonl"):
        inputs += [path.read_bytes() for path in data.glob("json_test_suite/test_parsing/*.json")]
    if target == "dataset_json":
        rows = json.loads((data / "sharegpt.json").read_text())
        inputs += [json.dumps(rows[:count]).encode() for count in (1, 3)]
    if target == "dataset_jsonl":
        for name in ("gsm8k/test.jsonl", "wikisql/test.jsonl", "mt_bench/question.jsonl"):
            inputs.append(b"\n".join((data / name).read_bytes().splitlines()[:10]))
    if target == "dataset_csv":
        inputs += [path.read_bytes() for path in data.glob("csv_spectrum/csvs/*.csv")]
    if target in ("names", "tokenizer_text"):
        inputs += [text.encode() for text in json.loads((data / "naughty_strings/blns.json").read_text())]
    for number, content in enumerate(inputs):
        (folder / str(number)).write_bytes(content)
    return bool(inputs)


# Bytes at the end of a log that are looked at.
TAIL = 1 << 20


class Run:
    """A fuzzer at work."""

    def __init__(self, target, options):
        self.target, self.cpu = target, 0.0
        self.folder = Path(tempfile.mkdtemp(prefix="llmopt-fuzz-", dir=memory()))
        seeds, temporary = self.folder / "seeds", self.folder / "tmp"
        seeds.mkdir()
        # What was made of the texts of others is kept apart: it is not ours to publish.
        found = options.found / (f"{target}.data" if real_inputs(target, seeds) else target)
        for folder in (temporary, found, ARTIFACTS / target):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        command = [options.binaries / target, *LIMITS, "-print_final_stats=1", "-reload=0"]
        command += [f"-artifact_prefix={ARTIFACTS / target}/", found, CORPUS / target, seeds]
        with self.log.open("wb") as log:
            environment = os.environ | {"TMPDIR": str(temporary)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def tend(self, seconds):
        """Returns whether the fuzzer has ended; asks it to where it has had its time."""
        if self.process.poll() is not None:
            return True
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / HERTZ
        if self.cpu >= seconds:
            self.process.send_signal(signal.SIGUSR1)
        return False

    def said(self):
        """Returns the end of what the fuzzer said: a library may print a line for each input."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL))
            return log.read().decode(errors="replace")

    def progress(self):
        """Returns executions, coverage and inputs worth keeping so far."""
        text = self.said()
        last = PROGRESS.findall(text)
        executions, coverage, corpus = map(int, last[-1]) if last else (0, 0, 0)
        total = re.search(r"stat::number_of_executed_units:\s+(\d+)", text)
        return (int(total.group(1)) if total else executions), coverage, corpus

    def finding(self):
        """Returns what broke, if anything did."""
        if self.process.returncode == 0:
            return None
        text = self.said()
        written = re.search(r"Test unit written to (\S+)", text)
        if not written:
            return f"it ended with {self.process.returncode}:\n{text[-2000:]}"
        why = re.search(r"panicked at [^\n]*\n[^\n]*|ERROR: libFuzzer: [^\n]*", text)
        return f"{written.group(1)}\n  {why.group(0) if why else ''}"

    def end(self):
        """Ends it whatever it does, and removes what it left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def memory():
    """Returns a folder that no disk slows down, if there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def fuzz(options):
    """Runs all targets and returns a row of the table for each, and the findings."""
    waiting, running, rows, findings = list(options.targets), [], [], []
    said = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < options.jobs:
                running.append(Run(waiting.pop(0), options))
            time.sleep(0.5)
            for run in [run for run in running if run.tend(options.seconds)]:
                running.remove(run)
                executions, coverage, corpus = run.progress()
                finding = run.finding()
                if finding:
                    findings.append(f"{run.target}: {finding}")
                rows.append((run.target, run.cpu, executions, coverage, corpus, int(bool(finding))))
                print(f"{run.target}: {executions:,} executions, {'a finding' if finding else 'nothing found'}", file=sys.stderr)
                run.end()
            if time.monotonic() - said > 20:
                said = time.monotonic()
                for run in running:
                    executions, coverage, _ = run.progress()
                    print(f"{run.target}: {run.cpu:.0f} of {options.seconds} s, {executions:,} executions, coverage {coverage}", file=sys.stderr)
    finally:
        for run in running:
            run.end()
    return rows, findings


def table(rows):
    """Returns the table in Markdown."""
    lines = ["| target | CPU s | executions | a second | corpus | coverage | findings |", "|---|---:|---:|---:|---:|---:|---:|"]
    for target, cpu, executions, coverage, corpus, findings in sorted(rows):
        speed = executions / cpu if cpu else 0
        lines.append(f"| `{target}` | {cpu:.0f} | {executions:,} | {speed:,.0f} | {corpus:,} | {coverage:,} | {findings} |")
    return "\n".join(lines)


def minimise(options):
    """Adds to each committed corpus some of the found inputs that reach more code, small and large ones."""
    for target in options.targets:
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            merged, temporary = Path(folder, "merged"), Path(folder, "tmp")
            shutil.copytree(CORPUS / target, merged)
            temporary.mkdir()
            (options.found / target).mkdir(parents=True, exist_ok=True)
            command = [options.binaries / target, "-set_cover_merge=1", "-use_counters=0", *LIMITS, merged, options.found / target]
            environment = os.environ | {"TMPDIR": str(temporary)}
            subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
            known = {path.name for path in (CORPUS / target).iterdir()}
            room = MOST_BYTES - sum(path.stat().st_size for path in (CORPUS / target).iterdir())
            new = sorted((path for path in merged.iterdir() if path.name not in known), key=lambda path: path.stat().st_size)
            added = 0
            for path in new[:: max(1, len(new) // MOST_ADDED)]:
                if path.stat().st_size <= room:
                    room -= path.stat().st_size
                    shutil.copy(path, CORPUS / target / path.name[:12])
                    added += 1
            print(f"{target}: {added} inputs more")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--found", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    if options.minimise:
        return minimise(options)
    rows, findings = fuzz(options)
    print(table(rows))
    for finding in findings:
        print(f"\nfound by {finding}", file=sys.stderr)
    if findings:
        sys.exit(
            "\nTo see it again: copy the input into fuzz/corpus/TARGET, which keeps it from coming back too, and run\n"
            "  cargo test --workspace --test corpora"
        )
    return None


if __name__ == "__main__":
    main()
