"""Opens prepared datasets with `datasets` and holds their rows against what transformers' tokenizer and template give.

Usage: open_prepared.py FOLDER TOKENIZER

FOLDER holds `pairs.jsonl` and `conversations.jsonl`, and what `llmopt dataset prepare` made of each with the model in
TOKENIZER: `NAME-arrow/`, `NAME-padded/` (to a multiple of 16), `NAME-parquet/` and `NAME.parquet`.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import torch
from transformers import AutoTokenizer, DataCollatorForSeq2Seq
from transformers.utils import logging

from checks import Checks

NO_LOSS = -100
MULTIPLE = 16
COLUMNS = ["input_ids", "labels", "attention_mask", "row"]


def messages(row):
    """Returns a row as a conversation."""
    if "messages" in row:
        return row["messages"]
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]


def encode(tokenizer, turns):
    """Returns ids and labels: every response and its end token, each text between them tokenized by itself."""
    ids, labels, end, pending, rendered = [], [], tokenizer.eos_token, "", ""

    def render(until, asks):
        return tokenizer.apply_chat_template(turns[:until], add_generation_prompt=asks, tokenize=False)

    def add(text, ends, has_loss):
        added = tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * ends
        ids.extend(added)
        labels.extend(added if has_loss else [NO_LOSS] * len(added))

    for index, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        prompt, whole = render(index, True), render(index + 1, False)
        assert prompt.startswith(rendered) and whole.startswith(prompt)
        add(pending + prompt[len(rendered) :], 0, False)
        response, _, pending = whole[len(prompt) :].partition(end)
        add(response, 1, turn.get("weight", 1) == 1)
        rendered = whole
    add(pending, 0, False)
    return ids, labels


def open_all(folder, name):
    """Yields what was written of a dataset, as users open it, with its cache elsewhere."""
    with tempfile.TemporaryDirectory() as cache:
        parquet = {"split": "train", "cache_dir": cache}
        yield "arrow", datasets.load_from_disk(folder / f"{name}-arrow")
        yield "padded", datasets.load_from_disk(folder / f"{name}-padded")
        for how, what in (("parquet in a folder", f"{name}-parquet/data.parquet"), ("parquet", f"{name}.parquet")):
            yield how, datasets.load_dataset("parquet", data_files=str(folder / what), **parquet)


def check_types(checks, name, opened):
    """Checks that the columns have the types that a trainer expects."""
    numbers = {"input_ids": "int32", "labels": "int32", "attention_mask": "int8"}
    expected = {column: datasets.List(datasets.Value(of)) for column, of in numbers.items()}
    expected["row"] = datasets.Value("int64")
    checks.that(opened.features == expected, f"{name}: the columns have their types", ", ".join(opened.features))


def check_rows(checks, name, opened, expected, pad_id):
    """Checks every row, padding included."""
    same = len(opened) == len(expected)
    for number, (row, (ids, labels)) in enumerate(zip(opened, expected), start=1):
        padding = -len(ids) % MULTIPLE if "padded" in name else 0
        same = same and row["row"] == number
        same = same and row["input_ids"] == ids + [pad_id] * padding
        same = same and row["labels"] == labels + [NO_LOSS] * padding
        same = same and row["attention_mask"] == [1] * len(ids) + [0] * padding
    checks.that(same, f"{name}: ids, labels and padding are those of transformers", f"{len(opened)} rows")


def check_batches(checks, name, opened, tokenizer):
    """Checks that a collator of transformers makes batches of the rows as they are."""
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=NO_LOSS)
    rows = opened.remove_columns("row")
    batch = collator([rows[index] for index in range(4)])
    shapes = {column: tuple(batch[column].shape) for column in COLUMNS[:3]}
    longest = max(len(rows[index]["input_ids"]) for index in range(4))
    same = set(shapes.values()) == {(4, longest)} and batch["labels"].dtype == torch.int64
    checks.that(same, f"{name}: transformers makes batches of them", str(shapes))


def main(folder, home):
    """Checks everything."""
    logging.set_verbosity_error()
    datasets.disable_progress_bars()
    checks = Checks("prepared")
    tokenizer = AutoTokenizer.from_pretrained(home)
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    for name in ("pairs", "conversations"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        expected = [encode(tokenizer, messages(row)) for row in rows]
        for how, opened in open_all(folder, name):
            check_types(checks, f"{name}, {how}", opened)
            check_rows(checks, f"{name}, {how}", opened, expected, pad_id)
        check_batches(checks, name, datasets.load_from_disk(folder / f"{name}-arrow"), tokenizer)
    checks.finish()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: open_prepared.py FOLDER TOKENIZER")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
