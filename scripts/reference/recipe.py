"""Loss, gradients and training steps as plain PyTorch: what the trainer's numbers are held against."""

import torch
import torch.nn.functional as F
from transformers import get_scheduler

STEPS = 50
WARMUP_STEPS = 5
ROWS = 4
LEARNING_RATE = 2e-3
BETAS = (0.9, 0.999)
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
MAX_GRADIENT_NORM = 1.0
IGNORED = -100


def pad(rows):
    """Returns ids, attention mask and labels of (ids, loss mask) rows, padded on the right."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, (tokens, mask) in enumerate(rows):
        tokens, mask = torch.tensor(tokens), torch.tensor(mask, dtype=torch.bool)
        ids[row, : len(tokens)] = tokens
        attention[row, : len(tokens)] = 1
        labels[row, : len(tokens)] = torch.where(mask, tokens, IGNORED)
    return ids, attention, labels


def batch_loss(model, rows):
    """Returns the sum of the label tokens' cross-entropies over the number of label tokens in the batch."""
    ids, attention, labels = pad(rows)
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1]
    labels = labels[:, 1:]
    total = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum()


def published_name(name):
    """Returns the name a parameter has in published files: without PEFT's adapter name."""
    return name.replace(".default.", ".")


def trainable(model):
    """Returns the parameters that training changes, with their published names."""
    return [(published_name(n), p) for n, p in model.named_parameters() if p.requires_grad]


def gradients(model, rows):
    """Returns the loss of a batch and the gradient of every trainable parameter."""
    model.zero_grad()
    loss = batch_loss(model, rows)
    loss.backward()
    return loss.detach().reshape(1), {n: p.grad.clone().contiguous() for n, p in trainable(model)}


def run(model, batches, schedule):
    """Trains on the batches in order; returns each step's loss, gradient norm before clipping and rate."""
    parameters = [p for _, p in trainable(model)]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, foreach=False)
    scheduler = get_scheduler(schedule, optimizer, WARMUP_STEPS, len(batches))
    record = {"losses": [], "gradient_norms": [], "learning_rates": []}
    for rows in batches:
        optimizer.zero_grad()
        loss = batch_loss(model, rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        record["losses"].append(loss.item())
        record["gradient_norms"].append(norm.item())
        record["learning_rates"].append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return record


def settings():
    """Returns the constants of `run`, for the record."""
    return {
        "steps": STEPS,
        "warmup_steps": WARMUP_STEPS,
        "rows_per_step": ROWS,
        "learning_rate": LEARNING_RATE,
        "beta1": BETAS[0],
        "beta2": BETAS[1],
        "epsilon": EPSILON,
        "weight_decay": WEIGHT_DECAY,
        "max_gradient_norm": MAX_GRADIENT_NORM,
    }
