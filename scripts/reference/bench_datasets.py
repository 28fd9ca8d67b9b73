"""The peer of scripts/bench-datasets: makes rows of GSM8K's shape, or tokenizes and masks them with `datasets`.

    bench_datasets.py make GSM8K.jsonl ROWS.jsonl COUNT
    bench_datasets.py map ROWS.jsonl TOKENIZER_FOLDER PROCESSES

`map` reads the file, checks that prompt and response are texts and not blank, renders the prompt as our default template
does, tokenizes prompt and response with the fast tokenizer, in batches, and labels the response and its end token.
Prints what it did as JSON.
"""

import json
import random
import re
import resource
import sys
import tempfile
import time


def make(source: str, target: str, count: int) -> None:
    """Writes `count` different rows, each a mixture of sentences, of as many as a row of GSM8K has."""
    with open(source) as file:
        rows = [json.loads(line) for line in file]
    split = re.compile(r"(?<=[.?!])\s+|\n").split
    questions, answers = ([split(row[name]) for row in rows] for name in ("question", "answer"))
    pools = [[sentence for text in texts for sentence in text] for texts in (questions, answers)]
    draw = random.Random(7)
    with open(target, "w") as file:
        for number in range(count):
            at = number % len(rows)
            mixed = [draw.choices(pool, k=len(texts[at])) for pool, texts in zip(pools, (questions, answers))]
            row = {"prompt": f"{number}: " + " ".join(mixed[0]), "response": "\n".join(mixed[1])}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def map_rows(path: str, folder: str, processes: int) -> None:
    """Tokenizes and masks the rows as one does with `datasets`."""
    from datasets import load_dataset
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", eos_token="<|endoftext|>")
    end = tokenizer.eos_token_id

    def encode(batch: dict) -> dict:
        for text in batch["prompt"] + batch["response"]:
            if not isinstance(text, str) or not text.strip():
                raise ValueError("a row without text")
        prompts = tokenizer([f"### User:\n{text}\n\n### Assistant:\n" for text in batch["prompt"]])["input_ids"]
        responses = tokenizer(batch["response"])["input_ids"]
        pairs = list(zip(prompts, responses))
        return {
            "input_ids": [prompt + response + [end] for prompt, response in pairs],
            "labels": [[-100] * len(prompt) + response + [end] for prompt, response in pairs],
        }

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        rows = load_dataset("json", data_files=path, split="train", cache_dir=cache)
        done = rows.map(encode, batched=True, num_proc=processes, remove_columns=rows.column_names)
        seconds = time.perf_counter() - began
        tokens = sum(len(ids) for ids in done["input_ids"])
        labels = sum(sum(label != -100 for label in row) for row in done["labels"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rows": len(done), "tokens": tokens, "labels": labels, "seconds": round(seconds, 3), "peak_kib": peak}))


if sys.argv[1] == "make":
    make(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    map_rows(sys.argv[2], sys.argv[3], int(sys.argv[4]))
