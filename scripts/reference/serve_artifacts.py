"""Asks a running server what transformers answers, and compares.

Usage: serve_artifacts.py FOLDER URL

FOLDER is that of open_artifacts.py, and the server at URL serves its models `lora` and `full` in 32-bit weights. Moves
the base away in between, so that `lora` is served from the base and its adapter first, and from the merged weights then.
"""

import json
import sys
import urllib.request
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoTokenizer
from transformers.utils import logging

from checks import Checks
from open_artifacts import NEW_TOKENS, PROMPTS, chat, greedy, holding, json_lines, open_model


def post(url, path, body):
    """Returns the JSON answer to a request."""
    request = urllib.request.Request(
        f"{url}/api/v1{path}", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def question(model, prompt):
    """Returns a request for the likeliest answer."""
    return {"model_id": model, "prompt": prompt, "max_tokens": NEW_TOKENS, "temperature": 0}


def check(checks, url, name, weights, reference, prompts):
    """Checks that the server answers every prompt as the reference does, with as many tokens."""
    model, tokenizer = reference
    expected = []
    for prompt in prompts:
        ids = tokenizer.apply_chat_template(chat(prompt), add_generation_prompt=True, return_dict=False)
        generated = greedy(model, ids, tokenizer.eos_token_id)
        text = tokenizer.decode(generated, skip_special_tokens=True)
        expected.append((text, len(ids), len(generated), generated[-1] == tokenizer.eos_token_id))
    found, served_from = [], set()
    for prompt in prompts:
        answer = post(url, "/generate", question(name, prompt))
        metrics, metadata = answer["metrics"], answer["metadata"]
        served_from.add(metadata["weights"])
        stopped = metadata["finish_reason"] == "stop"
        found.append((answer["text"], metrics["input_tokens"], metrics["output_tokens"], stopped))
    same = sum(one == other for one, other in zip(found, expected))
    for one, other in zip(found, expected):
        if one != other:
            print(f"{name}: expected {other!r}, found {one!r}", file=sys.stderr)
    checks.that(served_from == {weights}, f"{name}: answers from its {weights} weights", ", ".join(served_from))
    checks.that(same == len(prompts) == PROMPTS, f"{name} ({weights}): greedy answers", f"{same} of {len(prompts)} the same")
    batch = post(url, "/generate/batch", {"requests": [question(name, prompt) for prompt in prompts]})
    texts = [result["response"]["text"] for result in batch["results"]]
    checks.that(texts == [text for text, *_ in found], f"{name} ({weights}): a batch gives the same answers")


def main(folder, url):
    """Checks everything."""
    torch.set_num_threads(2)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    checks = Checks("serving")
    prompts = [line["prompt"] for line in json_lines(folder / "prompts.jsonl")]
    merged = holding(folder / "lora", "model.safetensors", "merged")
    full = holding(folder / "full", "model.safetensors", "merged")
    adapter = holding(folder / "lora", "adapter_config.json", "adapter")
    base = folder / "base"

    adapted = PeftModel.from_pretrained(open_model(base), adapter).eval()
    check(checks, url, "lora", "adapter", (adapted, AutoTokenizer.from_pretrained(merged)), prompts)
    check(checks, url, "full", "full", (open_model(full), AutoTokenizer.from_pretrained(full)), prompts)
    away = base.rename(folder / "base-away")
    check(checks, url, "lora", "merged", (open_model(merged), AutoTokenizer.from_pretrained(merged)), prompts)
    away.rename(base)
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: serve_artifacts.py FOLDER URL")
    main(Path(sys.argv[1]), sys.argv[2].rstrip("/"))
