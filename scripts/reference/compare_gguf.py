"""Compares our GGUF files with llama.cpp's own, and opens both in its Python package.

Usage: compare_gguf.py FOLDER ADAPTER

FOLDER holds `models/NAME` and for each of them `NAME-TYPE.ours.gguf`, `.again.gguf` (a second run) and
`.theirs.gguf`; and the same of `adapter`, which was made from the folder ADAPTER.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from checks import Checks

TYPES = ("f32", "f16", "q8_0")
# What the converter guesses from a folder's name and a model card; a file of ours does not depend on either.
GUESSED = ("general.name", "general.basename", "general.finetune", "general.version", "general.size_label")
DENIED = ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token")
VOCABULARY = ("model", "pre", "tokens", "token_type", "merges")
LAYERS = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def metadata(reader):
    """Returns a file's keys with types and values, but for what the reader adds and the converter guesses."""
    fields = reader.fields.items()
    return {
        key: ([int(kind) for kind in field.types], field.contents())
        for key, field in fields
        if not key.startswith("GGUF.") and key not in GUESSED and not key.startswith("general.base_model.")
    }


def tensors(reader):
    """Returns a file's tensors by name: type, dimensions and bytes."""
    return {
        tensor.name: (tensor.tensor_type.name, tensor.shape.tolist(), tensor.data.tobytes())
        for tensor in reader.tensors
    }


def matrices(reader):
    """Returns a file's tensors of 32-bit floats by name, as arrays."""
    return {tensor.name: tensor.data for tensor in reader.tensors}


def first_difference(ours, theirs):
    """Says what differs first between two dictionaries, and in what."""
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in ours or key not in theirs:
            return f"`{key}` is only in {'ours' if key in ours else 'theirs'}"
        if ours[key] != theirs[key]:
            pair = zip(ours[key], theirs[key])
            return f"`{key}`: " + next(f"{str(a)[:60]}, theirs {str(b)[:60]}" for a, b in pair if a != b)
    return ""


def check_same(checks, name, ours, theirs):
    """Checks that two dictionaries are equal."""
    difference = first_difference(ours, theirs)
    checks.that(ours and not difference, f"{name} as the converter's", difference or f"{len(ours)} of them")


def open_pair(checks, folder, name):
    """Checks our file against our second run, and its metadata against the converter's; returns both readers."""
    paths = {run: folder / f"{name}.{run}.gguf" for run in ("ours", "again", "theirs")}
    same = paths["ours"].read_bytes() == paths["again"].read_bytes()
    checks.that(same, f"{name}: a second run gives the same bytes")
    readers = GGUFReader(paths["ours"]), GGUFReader(paths["theirs"])
    ours, theirs = map(metadata, readers)
    # The converter says only what a tokenizer's file says; llama.cpp takes silence for no.
    for key in DENIED:
        if key not in theirs and ours.get(key, (None, True))[1] is False:
            del ours[key]
    check_same(checks, f"{name}: metadata", ours, theirs)
    return readers


def check_kinds(checks, name, kind, reader):
    """Checks that matrices have the type that was asked for where their rows allow it."""
    kinds = {tensor.tensor_type.name for tensor in reader.tensors}
    expected = {"f32": {"F32"}, "f16": {"F32", "F16"}, "q8_0": {"F32", "Q8_0"}}[kind]
    if kind == "q8_0" and name == "tiny":
        expected = expected | {"F16"}
    checks.that(kinds == expected, f"{name}-{kind}: the types of its tensors", ", ".join(sorted(kinds)))


def check_values(checks, folder, name, kind, reader):
    """Checks that the numbers are the model's, to what the type can tell apart."""
    weights = load_file(folder / "models" / name / "model.safetensors")
    tolerance = {"f32": 0.0, "f16": 2**-11, "q8_0": 1 / 254 + 2**-10}[kind]
    worst = 0.0
    for layer, part in LAYERS.items():
        tensor = next(t for t in reader.tensors if t.name == f"blk.1.{part}.weight")
        read = dequantize(tensor.data, GGMLQuantizationType(tensor.tensor_type))
        exact = weights[f"transformer.h.1.{layer}.weight"].float().numpy().T
        worst = max(worst, np.abs(read - exact).max() / np.abs(exact).max())
    detail = f"{worst:.1e} apart, at most {tolerance:.1e}"
    checks.that(worst <= tolerance, f"{name}-{kind}: the matrices are the model's", detail)


def check_factors(checks, reader, peft):
    """Checks that an adapter's tensors are PEFT's, as they are."""
    found, expected = matrices(reader), {}
    for name, value in load_file(peft / "adapter_model.safetensors").items():
        module, factor = name.removeprefix("base_model.model.transformer.h.").split(".lora_")
        layer, part = module.split(".", 1)
        expected[f"blk.{layer}.{LAYERS[part]}.weight.lora_{factor[0].lower()}"] = value.float().numpy()
    same = found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in expected)
    checks.that(expected and same, "adapter: every tensor is PEFT's", f"{len(expected)} tensors")


def check_update(checks, reader, base, peft):
    """Checks that what llama.cpp adds to a model's matrices is what peft merges into them."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    merged = PeftModel.from_pretrained(model, peft).merge_and_unload().state_dict()
    factors, alpha = matrices(reader), reader.fields["adapter.lora.alpha"].contents()
    worst = 0.0
    for layer, part in LAYERS.items():
        a, b = (factors[f"blk.2.{part}.weight.lora_{factor}"] for factor in "ab")
        name = f"transformer.h.2.{layer}.weight"
        expected = (merged[name] - before[name]).numpy().T
        # llama.cpp divides by the rank that it sees in B.
        update = alpha / b.shape[1] * b @ a
        worst = max(worst, np.abs(update - expected).max() / np.abs(expected).max())
    # Adding to a weight and taking it away again costs a few units in its last place.
    checks.that(worst <= 1e-5, "adapter: its updates are what peft merges", f"{worst:.1e} apart, at most 1e-05")


def check_adapter(checks, folder, peft):
    """Checks the adapter's file against the converter's, PEFT's, and what peft computes."""
    ours, theirs = open_pair(checks, folder, "adapter")
    # The converter turns a GPT-2's factors round with the weights, which llama.cpp then refuses: only names are alike.
    check_same(checks, "adapter: names", *(dict.fromkeys(matrices(reader), ()) for reader in (ours, theirs)))
    check_factors(checks, ours, peft)
    check_update(checks, ours, folder / "models/tiny", peft)


def check_vocabulary(checks, folder):
    """Checks the published vocabulary, from both forms of its files."""
    readers = [metadata(GGUFReader(folder / f"{name}-f16.ours.gguf")) for name in ("plain", "full")]
    plain, full = ([fields[f"tokenizer.ggml.{key}"] for key in VOCABULARY] for fields in readers)
    sizes = len(full[2][1]), len(full[4][1])
    checks.that(sizes == (50257, 50000), "vocabulary: its size", f"{sizes[0]} tokens, {sizes[1]} merges")
    checks.that(plain == full, "vocabulary: the same from vocab.json and merges.txt as from tokenizer.json")


def main(folder, peft):
    """Checks everything."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    checks = Checks("gguf")
    names = sorted(path.name for path in (folder / "models").iterdir())
    for name in (name for name in names if name != "plain"):
        for kind in TYPES:
            ours, theirs = open_pair(checks, folder, f"{name}-{kind}")
            check_same(checks, f"{name}-{kind}: tensors", tensors(ours), tensors(theirs))
            check_kinds(checks, name, kind, ours)
            check_values(checks, folder, name, kind, ours)
    check_adapter(checks, folder, peft)
    if "full" in names:
        check_vocabulary(checks, folder)
    else:
        checks.skip("the published vocabulary", "LLMOPT_TEST_DATA has no `tokenizers/gpt2`")
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: compare_gguf.py FOLDER ADAPTER")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
