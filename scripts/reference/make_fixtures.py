"""Writes the reference numbers that the trainer's tests are held against.

Usage: make_fixtures.py OUT
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from jinja2.exceptions import TemplateError
from peft import PeftModel
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

import chat_cases
import corpus
import dialect_cases
import recipe
from tiny_model import END_ID, load_model, write_adapter, write_json, write_model, write_tokenizer

NEW_TOKENS = 32
PROMPTS = 20
# Far above what the order of a sum changes in a logit, which is about 1e-5.
LEAST_MARGIN = 1e-2
# An answer that repeats one token would be right with a broken cache or wrong positions too.
LEAST_VARIETY = 8


def encode(tokenizer, order, answer):
    """Returns the ids of a row and its loss mask: 1 on the answer and the end token."""
    prompt = tokenizer.encode(corpus.prompt_text(order)).ids
    response = tokenizer.encode(answer).ids + [END_ID]
    return prompt + response, [0] * len(prompt) + [1] * len(response)


def row_tensors(prefix, rows):
    """Returns `PREFIX.N.ids` and `PREFIX.N.mask` for every row."""
    tensors = {}
    for number, (ids, mask) in enumerate(rows):
        tensors[f"{prefix}.{number}.ids"] = torch.tensor(ids)
        tensors[f"{prefix}.{number}.mask"] = torch.tensor(mask, dtype=torch.uint8)
    return tensors


def forward(model):
    """Returns sequences of differing lengths, up to the model's context, and their logits."""
    generator = torch.Generator().manual_seed(4)
    tensors = {}
    for number, length in enumerate([1, 2, 17, 40, 96]):
        ids = torch.randint(0, END_ID + 1, (length,), generator=generator)
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0]
        tensors |= {f"ids.{number}": ids, f"logits.{number}": logits.contiguous()}
    return tensors


def greedy(model, prompt_ids):
    """Returns the greedy continuation up to and with the end token, and the least margin on the way."""
    output = model.generate(
        input_ids=torch.tensor([prompt_ids]),
        attention_mask=torch.ones(1, len(prompt_ids), dtype=torch.int64),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=END_ID,
        pad_token_id=END_ID,
        output_logits=True,
        return_dict_in_generate=True,
    )
    top = torch.stack(output.logits)[:, 0].topk(2).values
    return output.sequences[0, len(prompt_ids) :].tolist(), (top[:, 0] - top[:, 1]).min().item()


def greedy_answers(tokenizer, base, adapted):
    """Returns prompts that both models answer variedly and without a near tie, with the answers of both."""
    answers, margins = {"base": [], "lora": []}, []
    for order, _ in corpus.distinct_orders(seed=5, count=200):
        prompt = corpus.prompt_text(order)
        ids = tokenizer.encode(prompt).ids
        found = {"base": greedy(base, ids), "lora": greedy(adapted, ids)}
        least = min(margin for _, margin in found.values())
        variety = min(len(set(generated)) for generated, _ in found.values())
        if least < LEAST_MARGIN or variety < LEAST_VARIETY:
            continue
        margins.append(least)
        for name, (generated, _) in found.items():
            answers[name].append({"prompt": prompt, "prompt_ids": ids, "generated_ids": generated})
        if len(margins) == PROMPTS:
            break
    assert len(margins) == PROMPTS
    print(f"greedy: least margin {min(margins):.4f} over {PROMPTS} prompts")
    return {"max_new_tokens": NEW_TOKENS, "eos_token_id": END_ID} | answers


def series(open_model, batches, name):
    """Returns both schedules' series, and says how far 64-bit arithmetic is from them."""
    record = {"settings": recipe.settings()}
    for schedule in ("linear", "cosine"):
        record[schedule] = recipe.run(open_model(torch.float32), batches, schedule)
        exact = recipe.run(open_model(torch.float64), batches, schedule)
        losses = record[schedule]["losses"]
        distance = max(abs(a - b) / b for a, b in zip(losses, exact["losses"]))
        print(f"{name} {schedule}: loss {losses[0]:.3f} to {losses[-1]:.3f}, {distance:.1e} from 64-bit")
    return record


def rendered():
    """Returns every chat case with its text, or the error its template raises."""
    cases = []
    for case in chat_cases.cases():
        bare = PreTrainedTokenizerFast(
            tokenizer_file=str(OUT / "tiny-gpt2/tokenizer.json"),
            bos_token=case["bos_token"],
            eos_token=case["eos_token"],
        )
        try:
            result = {
                "text": bare.apply_chat_template(
                    case["messages"],
                    chat_template=case["template"],
                    add_generation_prompt=case["add_generation_prompt"],
                    tokenize=False,
                )
            }
        except TemplateError as error:
            result = {"error": str(error)}
        cases.append(case | result)
    return cases


def write_lines(path, value):
    """Writes JSON with one snippet a line."""
    families = value.pop("families")
    lines = json.dumps(value, ensure_ascii=False)[:-1] + ', "families": {'
    for name, snippets in families.items():
        lines += "" if lines.endswith("{") else ","
        lines += f'\n"{name}": [\n' + ",\n".join(json.dumps(it, ensure_ascii=False) for it in snippets) + "\n]"
    path.write_text(lines + "\n}}\n")


def main():
    """Writes everything below OUT."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base_folder, adapter_folder = OUT / "tiny-gpt2", OUT / "tiny-lora"
    base_folder.mkdir(parents=True, exist_ok=True)
    write_model(base_folder)
    tokenizer = write_tokenizer(base_folder)
    write_adapter(adapter_folder, base_folder)

    def full(dtype=torch.float32):
        return load_model(base_folder, dtype)

    def lora(dtype=torch.float32):
        model = PeftModel.from_pretrained(full(), adapter_folder, is_trainable=True)
        return model.to(dtype).eval()

    save_file(forward(full()), OUT / "forward.safetensors")
    save_file(forward(lora()), OUT / "lora_logits.safetensors")

    rows = [encode(tokenizer, *pair) for pair in corpus.orders(6, recipe.ROWS * (recipe.STEPS + 1))]
    batch, rows = rows[: recipe.ROWS], rows[recipe.ROWS :]
    batches = [rows[at : at + recipe.ROWS] for at in range(0, len(rows), recipe.ROWS)]
    for name, model in {"full": full(), "lora": lora()}.items():
        loss, found = recipe.gradients(model, batch)
        tensors = found | {"loss": loss} | row_tensors("batch", batch)
        save_file(tensors, OUT / f"gradients_{name}.safetensors")
    steps = {}
    for number, batch in enumerate(batches):
        steps |= row_tensors(f"step.{number}.row", batch)
    save_file(steps, OUT / "steps.safetensors")
    write_json(OUT / "steps_full.json", series(full, batches, "full"))
    write_json(OUT / "steps_lora.json", series(lora, batches, "lora"))

    write_json(OUT / "greedy.json", greedy_answers(tokenizer, full(), lora()))
    write_json(OUT / "chat_template.json", rendered())
    write_json(OUT / "chat_template_own.json", dialect_cases.templates())
    write_lines(OUT / "chat_template_snippets.json", dialect_cases.snippets())
    write_lines(OUT / "chat_template_random.json", dialect_cases.random_snippets())
    encodings = [{"text": text, "ids": tokenizer.encode(text).ids} for text in corpus.HARD_TEXTS]
    write_json(OUT / "encodings.json", encodings)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_fixtures.py OUT")
    OUT = Path(sys.argv[1])
    main()
