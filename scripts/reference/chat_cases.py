"""Conversations and chat templates whose rendering pins the Jinja dialect of transformers."""

from pathlib import Path

FOLDER = Path(__file__).parent / "templates"

SHORT = [{"role": "user", "content": "Turn on the lamp."}]
PAIR = SHORT + [{"role": "assistant", "content": "on lamp"}]
SYSTEM = [{"role": "system", "content": "Answer in one line."}]
LONG = SYSTEM + PAIR + [
    {"role": "user", "content": "  And the fan?\n"},
    {"role": "assistant", "content": "on fan "},
    {"role": "user", "content": "Danke <b>&\"sehr\"</b> 'é' 🙂"},
]
CONVERSATIONS = {
    "one prompt": (SHORT, True),
    "one pair": (PAIR, False),
    "system and prompt": (SYSTEM + SHORT, True),
    "system and pair": (SYSTEM + PAIR, False),
    "several turns": (LONG, True),
    "several turns, not continued": (LONG, False),
    "two users in a row": (SHORT + SHORT, True),
}
TOKENS = {
    "default": ("<|endoftext|>", "<|endoftext|>"),
    "chatml": ("<|endoftext|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral": ("<s>", "</s>"),
    "gemma": ("<bos>", "<eos>"),
    "dialect": ("<s>", "</s>"),
    "corners": ("<s>", "</s>"),
}


def cases():
    """Yields every template with every conversation."""
    for template, (bos_token, eos_token) in TOKENS.items():
        source = (FOLDER / f"{template}.jinja").read_text()
        for name, (messages, add_generation_prompt) in CONVERSATIONS.items():
            yield {
                "name": f"{template}: {name}",
                "template": source,
                "bos_token": bos_token,
                "eos_token": eos_token,
                "messages": messages,
                "add_generation_prompt": add_generation_prompt,
            }
