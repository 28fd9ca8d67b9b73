"""Writes what scripts/bench-training trains, for both trainers.

Usage: make_bench_inputs.py DATA OUT ROWS

DATA holds `tokenizers/gpt2` (the published vocabulary) and `gsm8k/train.jsonl`. Writes `base/`, a random model of
GPT-2 small's shape with that vocabulary; `rows.jsonl`, the first ROWS rows for llmopt; and `ids.jsonl`, the same rows
rendered with llmopt's default chat template and tokenized, for the peer.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel

import corpus
from tiny_model import write_json

SEED = 1


def open_tokenizer(folder):
    """Returns GPT-2's byte-level BPE."""
    model = models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_base(vocabulary, folder):
    """Writes the model folder."""
    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(GPT2Config())
    model.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(vocabulary / name, folder / name)
    special = {"bos_token": corpus.END, "eos_token": corpus.END, "unk_token": corpus.END}
    write_json(folder / "tokenizer_config.json", special | {"add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"})


def encode(tokenizer, row):
    """Returns a row's ids and its loss mask: 1 on the answer and the end token."""
    prompt = tokenizer.encode(corpus.prompt_text(row["question"])).ids
    answer = tokenizer.encode(row["answer"]).ids + [tokenizer.token_to_id(corpus.END)]
    return {"ids": prompt + answer, "mask": [0] * len(prompt) + [1] * len(answer)}


def main(data, out, count):
    """Writes everything."""
    vocabulary = data / "tokenizers/gpt2"
    write_base(vocabulary, out / "base")
    tokenizer = open_tokenizer(vocabulary)
    lines = (data / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    encoded = [encode(tokenizer, json.loads(line)) for line in lines]
    (out / "rows.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (out / "ids.jsonl").write_text("".join(json.dumps(row) + "\n" for row in encoded))
    lengths = sorted(len(row["ids"]) for row in encoded)
    labels = sum(sum(row["mask"]) for row in encoded)
    print(f"{len(lengths)} rows, {sum(lengths)} tokens ({labels} with loss); lengths {lengths[0]} to {lengths[-1]}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: make_bench_inputs.py DATA OUT ROWS")
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
