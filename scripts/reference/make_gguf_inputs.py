"""Writes the model folders that GGUF files are made of.

Usage: make_gguf_inputs.py FIXTURES OUT [DATA]

Below OUT/models: `tiny`, the fixture; `wide`, whose rows are whole blocks of Q8_0, in bfloat16, with an output
projection of its own, a chat template and more rows than its tokenizer has tokens; and, where DATA holds
`tokenizers/gpt2`, two with the published vocabulary: `plain` as two files, `full` as transformers saves it.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

import corpus
from tiny_model import randomise, write_json

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{{ eos_token }}{% endfor %}"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def config(**fields):
    """Returns a small shape. The converter asks for `n_ctx`, which transformers no longer writes."""
    return GPT2Config(n_positions=32, n_ctx=32, n_layer=2, n_head=2, **fields)


def write_model(folder, shape, dtype=torch.float32):
    """Writes a random model."""
    model = GPT2LMHeadModel(shape)
    randomise(model.named_parameters(), seed=9)
    model.to(dtype).save_pretrained(folder)


def write_tiny(fixture, folder):
    """Copies the fixture."""
    shutil.copytree(fixture, folder)
    settings = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", settings | {"n_ctx": settings["n_positions"]})


def write_wide(fixture, folder):
    """Writes the model that differs from the fixture in everything a converter looks at."""
    shape = config(vocab_size=330, n_embd=64, tie_word_embeddings=False, bos_token_id=319, eos_token_id=319)
    write_model(folder, shape, torch.bfloat16)
    for name in TOKENIZER_FILES:
        shutil.copyfile(fixture / name, folder / name)
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def write_plain(vocabulary, folder):
    """Writes a model with the published vocabulary as it was first published."""
    write_model(folder, config(vocab_size=50257, n_embd=32))
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(vocabulary / name, folder / name)
    special = {f"{name}_token": corpus.END for name in ("bos", "eos", "unk")}
    write_json(folder / "tokenizer_config.json", special | {"tokenizer_class": "GPT2Tokenizer"})


def write_full(plain, folder):
    """Writes the same model as transformers saves it, with `tokenizer.json`."""
    shutil.copytree(plain, folder, ignore=shutil.ignore_patterns("vocab.json", "merges.txt", "tokenizer*"))
    GPT2TokenizerFast.from_pretrained(plain).save_pretrained(folder)


def main(fixtures, out, data):
    """Writes the folders."""
    models, fixture = out / "models", fixtures / "tiny-gpt2"
    models.mkdir(parents=True)
    write_tiny(fixture, models / "tiny")
    write_wide(fixture, models / "wide")
    vocabulary = data and data / "tokenizers/gpt2"
    if vocabulary and vocabulary.is_dir():
        write_plain(vocabulary, models / "plain")
        write_full(models / "plain", models / "full")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: make_gguf_inputs.py FIXTURES OUT [DATA]")
    data = Path(sys.argv[3]) if len(sys.argv) == 4 and sys.argv[3] else None
    main(Path(sys.argv[1]), Path(sys.argv[2]), data)
