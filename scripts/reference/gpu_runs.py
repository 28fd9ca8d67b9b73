"""Runs llmopt's trainer on one device or the other, as scripts/check-gpu needs it."""

import hashlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import torch

INTERRUPTED = 3


@dataclass
class Run:
    """What one training run said and published, over all its processes."""

    data_dir: Path
    steps: dict = field(default_factory=dict)
    device: str = ""
    published: Path | None = None

    def take(self, event):
        """Takes in one event."""
        if event["event"] == "started":
            self.device = event["device"]
        elif event["event"] == "step":
            self.steps[event["step"]] = event
        elif event["event"] == "published":
            self.published = self.data_dir / event["key"]

    def losses(self):
        """Returns the loss of each step."""
        return [self.steps[step]["loss"] for step in sorted(self.steps)]

    def peak_gpu_memory_bytes(self):
        """Returns the most that tensors took on the GPU at once."""
        return max(event.get("peak_gpu_memory_bytes", 0) for event in self.steps.values())

    def step_seconds(self):
        """Returns the seconds and tokens of each step."""
        metadata = json.loads((self.published / "training_metadata.json").read_text())
        tokens = [self.steps[step]["tokens"] for step in sorted(self.steps)]
        rates = [point["tokens_per_second"] for point in metadata["loss_curve"]]
        return [(count / rate, count) for count, rate in zip(tokens, rates, strict=True)]

    def digests(self):
        """Returns the digest of every file with weights."""
        found = sorted(self.published.rglob("*.safetensors"))
        return {str(path.relative_to(self.published)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


class Trainer:
    """A built trainer, on the libtorch of this very Python: the one that has CUDA."""

    def __init__(self, program, base, rows, work):
        """Says what to run, on which model and rows, and where."""
        self.program, self.base, self.rows, self.work = program, base, rows, work
        self.threads = min(os.cpu_count(), 8)

    def train(self, name, device, config, stops=()):
        """Trains and returns the run. `stops`: at which step to send which signal, in order, going on each time."""
        folder = self.work / name
        folder.mkdir()
        spec = folder / "spec.json"
        spec.write_text(json.dumps(self.spec(folder / "data", config)))
        run = Run(folder / "data")
        for at, number in (*stops, (None, None)):
            self.process(["run", "--spec", str(spec), "--resume"], device, run, at, number)
        return run

    def evaluate(self, name, device, **spec):
        """Evaluates and returns the metrics."""
        path = self.work / f"{name}.json"
        path.write_text(json.dumps(spec | {"threads": self.threads}))
        command = [str(self.program), "evaluate", "--spec", str(path)]
        said = subprocess.run(command, env=self.environment(device), stdout=subprocess.PIPE, text=True, check=True).stdout
        return next(json.loads(line)["metrics"] for line in said.splitlines() if '"evaluated"' in line)

    def process(self, arguments, device, run, stop_at, number):
        """Runs one process to its end, or to the step at which it is sent a signal."""
        command = [str(self.program), *arguments]
        with subprocess.Popen(command, env=self.environment(device), stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                event = json.loads(line)
                run.take(event)
                if event["event"] == "step" and event["step"] == stop_at:
                    process.send_signal(number)
        expected = {None: 0, signal.SIGTERM: INTERRUPTED, signal.SIGKILL: -signal.SIGKILL}[number]
        if process.returncode != expected:
            raise RuntimeError(f"the trainer ended with {process.returncode}: expected {expected}")

    def environment(self, device):
        """Returns the environment in which the trainer finds this Python's libtorch, and works on the device."""
        found = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPT_")}
        return found | {"LD_LIBRARY_PATH": str(Path(torch.__file__).parent / "lib"), "LLMOPT_DEVICE": device}

    def spec(self, data_dir, config):
        """Returns a job's specification. Its digests name the job; the trainer does not look at the files for them."""

        def digest(what):
            return f"sha256:{hashlib.sha256(what.encode()).hexdigest()}"

        return {
            "format": 1,
            "model": "ft:random-gpt2:check",
            "base": {"name": "random-gpt2", "path": str(self.base), "digest": digest("base")},
            "dataset": {"path": str(self.rows), "digest": digest("rows")},
            "evaluation": None,
            "config": {"threads": self.threads, "epochs": 1} | config,
            "code_version": "check-gpu",
            "data_dir": str(data_dir),
        }
