"""Fine-tunes GPT-2 with LoRA as users of transformers and peft do, and reports speed and memory.

The peer of docs/BENCHMARKS.md: `transformers.Trainer`, rank 16, alpha 32, on every linear layer of the
blocks, right-padded to the longest row of each batch. Rows are taken in the file's order, so that
another trainer can be given the same batches. Prints one JSON line.
"""

import argparse
import json
import os
import time
from itertools import pairwise
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

IGNORED = -100


def arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a GPT-2")
    parser.add_argument("--dataset", type=Path, required=True, help='JSON lines: {"ids": [...], "mask": [...]}')
    # Trainer on a CPU knows two ways to compute in bf16. `bf16` is its own option: autocast of f32 weights.
    # `bf16-weights` loads the frozen weights as bf16 (`dtype=torch.bfloat16`) and keeps peft's f32 adapters.
    parser.add_argument("--precision", choices=["f32", "bf16", "bf16-weights"], default="f32")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--gradient-accumulation", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser.parse_args()


class Collator:
    """Pads batches and remembers how many real tokens each had."""

    def __init__(self):
        """Begins with no batch."""
        self.real_tokens = []

    def __call__(self, rows):
        """Returns a batch whose labels are the tokens with loss."""
        length = max(len(row["ids"]) for row in rows)
        ids = torch.zeros(len(rows), length, dtype=torch.int64)
        attention = torch.zeros_like(ids)
        labels = torch.full_like(ids, IGNORED)
        for at, row in enumerate(rows):
            tokens, mask = torch.tensor(row["ids"]), torch.tensor(row["mask"], dtype=torch.bool)
            ids[at, : len(tokens)] = tokens
            attention[at, : len(tokens)] = 1
            labels[at, : len(tokens)] = torch.where(mask, tokens, IGNORED)
        self.real_tokens.append(int(attention.sum()))
        return {"input_ids": ids, "attention_mask": attention, "labels": labels}


class InOrder(Trainer):
    """Trainer without its shuffling."""

    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(self.train_dataset if dataset is None else dataset)


class Clock(TrainerCallback):
    """Measures the training loop alone: neither loading nor set-up."""

    def on_train_begin(self, args, state, control, **_):
        """Starts."""
        self.times = [time.perf_counter()]

    def on_step_end(self, args, state, control, **_):
        """Notes when a step is done, on a GPU too."""
        if not args.use_cpu:
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())

    def on_train_end(self, args, state, control, **_):
        """Stops."""
        self.seconds = time.perf_counter() - self.times[0]

    def step_seconds(self, tokens):
        """Returns the seconds and tokens of each step."""
        return [(end - start, count) for (start, end), count in zip(pairwise(self.times), tokens, strict=True)]


def load_model(options):
    """Opens the model without dropout and puts the adapters on."""
    dtype = torch.bfloat16 if options.precision == "bf16-weights" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=dtype, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0
    )
    lora = LoraConfig(
        r=16,
        lora_alpha=32,
        lora_dropout=0.0,
        target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def training_arguments(options):
    """Returns Trainer's settings: its defaults where they do not say what is compared."""
    return TrainingArguments(
        output_dir="/nonexistent",
        use_cpu=options.device == "cpu",
        bf16=options.precision == "bf16",
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        warmup_steps=max(1, round(0.03 * options.steps)),
        weight_decay=0.0,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=42,
    )


def peak_memory_bytes():
    """Returns the most memory that was resident at once."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def main():
    """Trains and reports."""
    options = arguments()
    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(42)
    rows = [json.loads(line) for line in options.dataset.read_text().splitlines()]
    collator, clock = Collator(), Clock()
    trainer = InOrder(
        model=load_model(options),
        args=training_arguments(options),
        train_dataset=rows,
        data_collator=collator,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # The loader fetches a batch ahead; only what was trained on counts.
    used = collator.real_tokens[: options.steps * options.gradient_accumulation]
    each = [sum(used[at : at + options.gradient_accumulation]) for at in range(0, len(used), options.gradient_accumulation)]
    report = {
        "trainer": "transformers.Trainer + peft",
        "precision": options.precision,
        "steps": options.steps,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "tokens": sum(used),
        "tokens_per_second": sum(used) / clock.seconds,
        "seconds": clock.seconds,
        "step_seconds": clock.step_seconds(each),
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if options.device == "cuda" else 0,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
