"""Opens what llmopt published in the libraries that users open it with.

Usage: open_artifacts.py FOLDER

FOLDER holds `base/` (the base model), `lora/` and `full/` (links to the published folders), `prompts.jsonl`, and what
`llmopt evaluate --predictions` wrote: `lora.jsonl` (the adapter on the base), `merged.jsonl`, `full.jsonl`.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

import corpus
from checks import Checks

NEW_TOKENS = 32
PROMPTS = 20
# Merging in f32 reorders a few sums; rounding the result to 16 bits costs up to half a unit in the last place of each
# weight (2^-9 for bf16), of which a logit of this model sees a few percent at worst.
MERGED_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def json_lines(path):
    """Returns a file's JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def holding(published, file, inner):
    """Returns the published folder, or its inner one, that holds a file."""
    found = [folder for folder in (published, published / inner) if (folder / file).is_file()]
    if not found:
        sys.exit(f"error: neither `{published}` nor its `{inner}` has a {file}")
    return found[0]


def open_model(folder):
    """Opens a model as users do, to compute in f32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def chat(order):
    """Returns an order as a conversation."""
    return [{"role": "user", "content": order}]


def greedy(model, prompt_ids, end_id):
    """Returns the greedy continuation, with the end token where it was generated."""
    ids = torch.tensor([prompt_ids])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )
    return output[0, ids.shape[1] :].tolist()


def logits(model, prompts):
    """Returns the logits of every position of every prompt."""
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in prompts])


def distance(a, b):
    """Returns the largest difference over the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def check_tokenizer(checks, name, folder, predictions):
    """Checks that the tokenizer beside the weights renders and encodes as llmopt did; returns its end token."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    orders = [line["prompt"] for line in predictions]
    texts = [tokenizer.apply_chat_template(chat(order), add_generation_prompt=True, tokenize=False) for order in orders]
    checks.that(texts == [corpus.prompt_text(order) for order in orders], f"{name}: apply_chat_template gives our text")
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    checks.that(ids == [line["prompt_ids"] for line in predictions], f"{name}: the tokenizer gives our ids")
    decoded = [tokenizer.decode(line["generated_ids"], skip_special_tokens=True) for line in predictions]
    checks.that(decoded == [line["generated"] for line in predictions], f"{name}: the tokenizer decodes to our text")
    return tokenizer.eos_token_id


def check_lock(checks, folder):
    """Checks that the recorded conversations, each with its answer, render and encode the same here."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    golden = json.loads((folder / "template_lock.json").read_text())["golden"]
    texts = [tokenizer.apply_chat_template(example["messages"], tokenize=False) for example in golden]
    same = texts == [example["text"] for example in golden]
    checks.that(golden and same, "template lock: apply_chat_template gives the recorded texts", f"{len(golden)} conversations")
    decoded = [tokenizer.decode(example["ids"]) for example in golden]
    # What the template writes after the last end token is not trained on.
    same = all(text and example["text"].startswith(text) for text, example in zip(decoded, golden))
    checks.that(golden and same, "template lock: the ids decode to the recorded texts")


def check_greedy(checks, name, model, predictions, end_id):
    """Checks that both generate the same tokens for every prompt."""
    found = [greedy(model, line["prompt_ids"], end_id) for line in predictions]
    same = sum(one == line["generated_ids"] for one, line in zip(found, predictions))
    lengths = sorted(len(one) for one in found)
    detail = f"{same} of {len(found)} the same, {lengths[0]} to {lengths[-1]} tokens each"
    checks.that(same == len(predictions) == PROMPTS, f"{name}: greedy generation", detail)


def check_weights(checks, name, model, folder):
    """Checks that a plain `from_pretrained` holds the file's weights and nothing else."""
    extra = [parameter for parameter, _ in model.named_parameters() if "lora_" in parameter]
    # peft, where it is installed, puts an adapter that lies beside a model's files on that model.
    checks.that(not extra, f"{name}: opens without an adapter on it", ", ".join(extra[:1]))
    parameters = dict(model.named_parameters())
    stored = {key: value for key, value in load_file(folder / "model.safetensors").items() if key in parameters}
    same = all(torch.equal(parameters[key], value.float()) for key, value in stored.items())
    checks.that(len(stored) == len(parameters) and same, f"{name}: every weight is the file's")
    return next(iter(stored.values())).dtype if stored else torch.float32


def check_adapter(checks, base, folder):
    """Checks that peft opens the adapter; returns the adapted model."""
    model = PeftModel.from_pretrained(open_model(base), folder).eval()
    opened, stored = get_peft_model_state_dict(model), load_file(folder / "adapter_model.safetensors")
    same = opened.keys() == stored.keys() and all(torch.equal(opened[key], stored[key].float()) for key in stored)
    checks.that(same, "adapter: every tensor is the file's", f"{len(stored)} tensors")
    moved = [key for key, value in stored.items() if "lora_B" in key and value.abs().max() > 0]
    checks.that(moved and len(moved) * 2 == len(stored), "adapter: every B has moved from zero")
    return model


def main(folder):
    """Checks everything."""
    torch.set_num_threads(2)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    checks = Checks("artifacts")
    predictions = {name: json_lines(folder / f"{name}.jsonl") for name in ("lora", "merged", "full")}
    adapter_folder = holding(folder / "lora", "adapter_config.json", "adapter")
    merged_folder = holding(folder / "lora", "model.safetensors", "merged")
    full_folder = holding(folder / "full", "model.safetensors", "merged")

    adapted = check_adapter(checks, folder / "base", adapter_folder)
    merged, full = open_model(merged_folder), open_model(full_folder)
    dtype = check_weights(checks, "merged", merged, merged_folder)
    check_weights(checks, "full", full, full_folder)

    for name, model, home in (
        ("adapter", adapted, adapter_folder),
        ("merged", merged, merged_folder),
        ("full", full, full_folder),
    ):
        lines = predictions["lora" if name == "adapter" else name]
        tokenizer_home = home if (home / "tokenizer.json").is_file() else merged_folder
        end_id = check_tokenizer(checks, name, tokenizer_home, lines)
        check_greedy(checks, name, model, lines, end_id)

    check_lock(checks, merged_folder)

    prompts = [line["prompt_ids"] for line in predictions["lora"]]
    base = logits(open_model(folder / "base"), prompts)
    on_base, of_merged, of_full = (logits(model, prompts) for model in (adapted, merged, full))
    off, bound = distance(of_merged, on_base), MERGED_TOLERANCE[dtype]
    checks.that(off <= bound, "merged: logits as with the adapter on the base", f"{off:.1e} apart, {dtype}, at most {bound}")
    for name, learnt in (("adapter", on_base), ("full", of_full)):
        moved = distance(learnt, base)
        checks.that(moved > 0.1, f"{name}: logits far from the base's", f"{moved:.1e} apart")
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: open_artifacts.py FOLDER")
    main(Path(sys.argv[1]))
