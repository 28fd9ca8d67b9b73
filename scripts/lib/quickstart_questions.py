#!/usr/bin/env python3
"""Asks two models three held-out questions over HTTP, and prints the answers side by side.

Usage: quickstart_questions.py URL BEFORE AFTER

URL is where `llmopt serve` listens, BEFORE and AFTER are models. Fails if a question gets no answer. Python 3 standard
library only.
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

ORDERS = Path(__file__).resolve().parent.parent.parent / "examples" / "orders"
QUESTIONS = 3
MAX_TOKENS = 96


def ask(url, model, prompt):
    """Returns the model's likeliest answer."""
    question = {"model_id": model, "prompt": prompt, "max_tokens": MAX_TOKENS, "temperature": 0}
    request = urllib.request.Request(
        f"{url}/api/v1/generate",
        data=json.dumps(question).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["text"]
    except urllib.error.HTTPError as error:
        sys.exit(f"error: `{model}` gave no answer: {error.read().decode()}")
    except OSError as error:
        sys.exit(f"error: failed to ask `{model}` at {url}: {error}")


def main():
    """Asks, and prints."""
    if len(sys.argv) != 4:
        sys.exit(f"usage: {Path(sys.argv[0]).name} URL BEFORE AFTER")
    url, before, after = sys.argv[1:]
    lines = (ORDERS / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(map(json.loads, lines[:QUESTIONS]), start=1):
        answers = {model: ask(url, model, row["prompt"]) for model in (before, after)}
        print(f"\n{number}. {row['prompt']}")
        width = max(map(len, (before, after, "expected")))
        for model, answer in answers.items():
            right = "right" if answer.strip() == row["response"].strip() else "wrong"
            print(f"   {model:<{width}}  {' '.join(answer.split())}  ({right})")
        print(f"   {'expected':<{width}}  {row['response']}")


if __name__ == "__main__":
    main()
