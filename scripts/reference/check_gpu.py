"""Holds what the trainer does on a GPU against what it does on a CPU, and its speed against transformers + peft.

Usage: check_gpu.py TRAINER DATA WORK [PART ...]

TRAINER is the built program, DATA as for make_bench_inputs.py, WORK an empty folder. The parts are `agreement`,
`resume`, `artifacts` and `speed`; all of them by default. Ends with 77 where PyTorch finds no GPU.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import make_bench_inputs
from checks import Checks
from gpu_runs import Trainer

NO_GPU = 77
ROWS = 1400
METHODS = [("lora", "f32"), ("lora", "bf16"), ("full", "f32"), ("full", "bf16")]
LEARNING_RATE = {"lora": 2e-4, "full": 2e-5}

AGREEMENT_STEPS = 30
# The largest relative difference of a step's loss. f32: both sides compute in f32, without TF32, and differ in the
# order of sums, as from the reference libraries in the trainer's parity tests. bf16: operands are rounded to 8 bits,
# an error of up to 2^-9 of each label's loss whose sign is chance; over a step's some 400 labels a twentieth of it
# remains, 1e-4, and a few steps add up.
LOSS_TOLERANCE = {"f32": 1e-4, "bf16": 5e-4}
RESUME_STEPS = 16
# Relative: the same weights in f32 on both devices, and as they are stored merged, in 16 bits.
EVALUATION_TOLERANCE = 1e-5
LOGITS_TOLERANCE = {"the adapter": 1e-4, "the merged weights": 1e-2}
# Precision, rows a step, steps, and the least share of the faster peer's tokens a second, with room for another card:
# found on an H200 were 1.70, 1.97, 3.97 and 3.73 (docs/BENCHMARKS.md). Of memory it is never more than the peer's.
SPEEDS = [("f32", 4, 80, 1.0), ("f32", 32, 40, 1.2), ("bf16", 4, 80, 1.2), ("bf16", 32, 40, 1.2)]
# What the peer calls its ways to compute in a precision, and what we call them.
PEERS = {
    "f32": {"f32": "transformers + peft"},
    "bf16": {"bf16": "transformers + peft, autocast", "bf16-weights": "transformers + peft, bf16 weights"},
}
# Steps that load kernels and fill the allocator's reserves.
WARM_UP = 10


def check_agreement(checks, trainer):
    """Trains the same steps on both devices and compares their losses."""
    print("\n| method | precision | loss, first | last, GPU | last, CPU | largest difference of a loss | of a gradient's norm |")
    print("|---|---|---:|---:|---:|---:|---:|")
    found = {}
    for method, precision in METHODS:
        config = {"method": method, "precision": precision, "learning_rate": LEARNING_RATE[method]}
        config |= {"batch_size": 4, "micro_batch_size": 4, "max_steps": AGREEMENT_STEPS}
        gpu, cpu = (trainer.train(f"{method}-{precision}-{device}", device, config) for device in ("cuda", "cpu"))
        write_steps(trainer.work / f"{method}-{precision}.tsv", gpu, cpu)
        losses = largest(gpu, cpu, "loss")
        cells = [method, precision, f"{gpu.losses()[0]:.6f}", f"{gpu.losses()[-1]:.6f}", f"{cpu.losses()[-1]:.6f}"]
        print("| " + " | ".join([*cells, f"{losses:.1e}", f"{largest(gpu, cpu, 'gradient_norm'):.1e}"]) + " |", flush=True)
        found[method, precision] = (gpu, cpu, losses)
    for (method, precision), (gpu, cpu, losses) in found.items():
        name, bound = f"{method} in {precision}", LOSS_TOLERANCE[precision]
        checks.that((gpu.device, cpu.device) == ("cuda", "cpu"), f"{name}: trained on the GPU, and on the CPU")
        checks.that(losses <= bound, f"{name}: losses are the CPU's", f"{losses:.1e} apart, at most {bound:.0e}")


def write_steps(path, gpu, cpu):
    """Writes the losses of both, side by side."""
    lines = ["step\tgpu\tcpu"] + [f"{step}\t{event['loss']}\t{cpu.steps[step]['loss']}" for step, event in gpu.steps.items()]
    path.write_text("\n".join(lines) + "\n")


def largest(gpu, cpu, key):
    """Returns the largest relative difference of a step's number."""
    pairs = [(event[key], cpu.steps[step][key]) for step, event in gpu.steps.items()]
    return max(abs(one - other) / abs(other) for one, other in pairs)


def check_resume(checks, trainer):
    """Trains once through, once more, and once with a stop and a kill in between, and compares the bytes."""
    for method, precision in METHODS[:3]:
        config = {"method": method, "precision": precision, "learning_rate": LEARNING_RATE[method], "dropout": 0.1}
        config |= {"batch_size": 8, "micro_batch_size": 4, "max_steps": RESUME_STEPS, "lora": {"dropout": 0.1}}
        # A checkpoint of all weights is 1.5 GB.
        config |= {"checkpoint_steps": 4} if method == "lora" else {}
        name = f"{method} in {precision}"
        prefix = f"resume-{method}-{precision}"
        whole = trainer.train(f"{prefix}-whole", "cuda", config)
        again = trainer.train(f"{prefix}-again", "cuda", config)
        kills = [(RESUME_STEPS - 3, signal.SIGKILL)] if method == "lora" else []
        stopped = trainer.train(f"{prefix}-stopped", "cuda", config, [(RESUME_STEPS // 2 - 1, signal.SIGTERM), *kills])
        checks.that(whole.losses() == again.losses(), f"{name}: every loss is the same when it is trained again")
        checks.that(whole.digests() == again.digests(), f"{name}: so are the bytes")
        checks.that(whole.losses() == stopped.losses(), f"{name}: every loss is the same where it was stopped in between")
        checks.that(whole.digests() == stopped.digests(), f"{name}: so are the bytes", f"{len(whole.digests())} files")


def check_artifacts(checks, trainer):
    """Opens what was trained on the GPU, on both devices."""
    config = {"batch_size": 8, "micro_batch_size": 4, "max_steps": 20, "learning_rate": 1e-3}
    for precision in ("f32", "bf16"):
        run = trainer.train(f"artifacts-{precision}", "cuda", config | {"precision": precision})
        adapter = load_file(run.published / "adapter/adapter_model.safetensors")
        finite = all(tensor.isfinite().all() for tensor in adapter.values())
        checks.that(finite, f"{precision}: every number of the adapter is finite", f"{len(adapter)} tensors")
        moved = [name for name, tensor in adapter.items() if "lora_B" in name and tensor.abs().max() > 0]
        checks.that(len(moved) * 2 == len(adapter), f"{precision}: every B has moved from zero")
        rows = [json.loads(line)["ids"] for line in (trainer.rows.parent / "ids.jsonl").read_text().splitlines()[:8]]

        def opened(folder):
            return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

        base = logits(opened(trainer.base), rows, "cpu")
        on_base = PeftModel.from_pretrained(opened(trainer.base), run.published / "adapter", torch_device="cpu").eval()
        expected = logits(on_base, rows, "cpu")
        changed = distance(expected, base)
        checks.that(changed > 1e-2, f"{precision}: the adapter changes the logits", f"{changed:.1e} apart")
        for name, model in (("the adapter", on_base), ("the merged weights", opened(run.published))):
            off, bound = distance(logits(model, rows, "cuda"), expected), LOGITS_TOLERANCE[name]
            what = f"{precision}: logits with {name} on the GPU are the adapter's on the CPU"
            checks.that(off <= bound, what, f"{off:.1e} apart, at most {bound:.0e}")
        spec = {"model": str(trainer.base), "adapter": str(run.published / "adapter"), "tokenizer": str(run.published)}
        spec |= {"dataset": str(trainer.rows), "limit": 16, "max_new_tokens": 16, "predictions": None}
        gpu, cpu = (trainer.evaluate(f"{precision}-{device}", device, **spec) for device in ("cuda", "cpu"))
        off = abs(gpu["loss"] - cpu["loss"]) / cpu["loss"]
        what = f"{precision}: the trainer's evaluation on the GPU gives the CPU's loss"
        checks.that(off <= EVALUATION_TOLERANCE, what, f"{off:.1e} apart, at most {EVALUATION_TOLERANCE:.0e}")


def logits(model, rows, device):
    """Returns the logits of every position of every row."""
    model = model.to(device)
    with torch.no_grad():
        found = torch.cat([model(input_ids=torch.tensor([ids], device=device)).logits[0].cpu() for ids in rows])
    model.to("cpu")
    return found


def distance(a, b):
    """Returns the largest difference over the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def measure_speed(checks, trainer):
    """Measures both trainers, in turn, prints a table and holds ours against the better of the peer's ways."""
    print("\n| precision | rows a step | trainer | tokens/s | x peer | peak MiB of tensors on the GPU | loss, last 5 |")
    print("|---|---:|---|---:|---:|---:|---:|")
    found = [compare(trainer, precision, rows, steps) for precision, rows, steps, _ in SPEEDS]
    for (precision, rows, _, least), (rate, memory) in zip(SPEEDS, found, strict=True):
        name = f"{precision}, {rows} rows a step"
        checks.that(rate >= least, f"{name}: tokens/s beside the faster peer", f"{rate:.2f} of it, at least {least}")
        checks.that(memory <= 1, f"{name}: memory beside the smaller peer", f"{memory:.2f} of it, at most 1")


def compare(trainer, precision, rows, steps):
    """Measures one setting and prints its lines; returns our speed and memory over the best peer's."""
    config = {"precision": precision, "batch_size": rows, "micro_batch_size": rows, "max_steps": steps}
    ours = our_speed(trainer, f"speed-{precision}-{rows}", config)
    peers = {name: peer_speed(trainer, kind, rows, steps) for kind, name in PEERS[precision].items()}
    best = max(run["tokens_per_second"] for run in peers.values())
    for name, run in {"llmopt": ours, **peers}.items():
        rate, memory = run["tokens_per_second"], run["peak_gpu_memory_bytes"] / 2**20
        cells = [precision, str(rows), name, f"{rate:.0f}", f"{rate / best:.2f}", f"{memory:.0f}", f"{run['loss']:.3f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    smallest = min(run["peak_gpu_memory_bytes"] for run in peers.values())
    return ours["tokens_per_second"] / best, ours["peak_gpu_memory_bytes"] / smallest


def our_speed(trainer, name, config):
    """Returns our numbers."""
    run = trainer.train(name, "cuda", config)
    return speed(run.step_seconds(), run.losses(), run.peak_gpu_memory_bytes())


def peer_speed(trainer, precision, rows, steps):
    """Returns the peer's numbers."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("train_peer.py")), "--device", "cuda"]
    command += ["--model", str(trainer.base), "--dataset", str(trainer.rows.parent / "ids.jsonl"), "--precision", precision]
    command += ["--steps", str(steps), "--batch-size", str(rows), "--threads", str(trainer.threads)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    report = json.loads(said.splitlines()[-1])
    return speed(report["step_seconds"], report["losses"], report["peak_gpu_memory_bytes"])


def speed(steps, losses, memory):
    """Returns a run's numbers from the seconds and tokens of its steps."""
    seconds, tokens = map(sum, zip(*steps[WARM_UP:]))
    loss = sum(losses[-5:]) / 5
    return {"tokens_per_second": tokens / seconds, "peak_gpu_memory_bytes": memory, "loss": loss}


PARTS = {
    "agreement": check_agreement,
    "resume": check_resume,
    "artifacts": check_artifacts,
    "speed": measure_speed,
}


def main(program, data, work, parts):
    """Makes the inputs and runs the parts."""
    if not torch.cuda.is_available():
        print(f"skip gpu: PyTorch {torch.__version__} finds no GPU that it can use")
        sys.exit(NO_GPU)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    make_bench_inputs.main(data, work, ROWS)
    trainer = Trainer(program, work / "base", work / "rows.jsonl", work)
    checks = Checks("gpu")
    for part in parts:
        began = time.monotonic()
        PARTS[part](checks, trainer)
        print(f"{part} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) < 4 or not set(sys.argv[4:]) <= PARTS.keys():
        sys.exit(f"usage: check_gpu.py TRAINER DATA WORK [PART ...], of {', '.join(PARTS)}")
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:] or list(PARTS))
