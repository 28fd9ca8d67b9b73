"""Templates, conversations and snippets whose rendering pins the dialect of Jinja that transformers has."""

import json
import re
import warnings
from datetime import datetime
from pathlib import Path

from transformers.utils import chat_template_utils

from dialect_grammar import Grammar

FOLDER = Path(__file__).parent
DAY = datetime(2024, 7, 26)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Says the weather; <b>now</b>.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "enum": [1, 2]}},
                "required": ["city"],
            },
        },
    }
]
MORE_TOOLS = TOOLS + [
    {
        "type": "function",
        "function": {
            "name": "book",
            "description": "Books “rooms” & more.",
            "parameters": {
                "type": "object",
                "properties": {
                    "rooms": {"type": "array", "items": {"type": "object", "properties": {"beds": {"type": "number"}}}},
                    "note": {"type": ["string", "null"], "default": None},
                },
                "required": [],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}, "required": []}}},
]
SYSTEM = [{"role": "system", "content": "Be <brief> & 'kind'."}]
ASKED = [{"role": "user", "content": "  What's the weather in Zürich?\n"}]
ARGUMENTS = {"city": "Zürich", "days": 2, "exact": True, "unit": None, "scale": 1.0}
CALLED = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}],
    },
    {"role": "tool", "content": '{"sun": 0.5}', "tool_call_id": "call_1", "name": "weather"},
]
ANSWERED = [{"role": "assistant", "content": "<think>\nhm\n</think>\n\nSunny 🙂"}]
THANKED = [{"role": "user", "content": 'Danke "sehr"'}]
CHATTED = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"}]
CONVERSATIONS = {
    "one prompt": (ASKED, None),
    "one pair": (CHATTED, None),
    "system and pair": (SYSTEM + CHATTED, None),
    "several turns": (SYSTEM + CHATTED + ASKED + ANSWERED + THANKED, None),
    "tools that are not called": (SYSTEM + ASKED, MORE_TOOLS),
    "a call": (ASKED + CALLED[:1], TOOLS),
    "a call and its answer": (ASKED + CALLED + ANSWERED, MORE_TOOLS),
    "all of it": (SYSTEM + ASKED + CALLED + ANSWERED + THANKED, TOOLS),
}
EXPRESSIONS = 2600
STATEMENTS = 900
LONGEST = 420


class Day(datetime):
    """A clock that stands still, as ours does."""

    @classmethod
    def now(cls, tz=None):
        """Returns the day."""
        return DAY


def render(template, messages, tools, add_generation_prompt):
    """Returns the text of a template and what it marks as the assistant's, or the message of what it raises."""
    chat_template_utils.datetime = Day
    # What Python warns of in the code that Jinja2 makes.
    warnings.simplefilter("ignore", SyntaxWarning)
    try:
        texts, marks = chat_template_utils.render_jinja_template(
            conversations=[messages],
            tools=tools,
            chat_template=template,
            return_assistant_tokens_mask=True,
            add_generation_prompt=add_generation_prompt,
            bos_token="<s>",
            eos_token="</s>",
        )
        texts[0].encode()
    except Exception as error:  # Whatever Python raises in a template.
        return {"error": str(error)}
    if re.search(" at 0x[0-9a-f]+", texts[0]):
        return {"error": "prints where Python has something"}
    return {"text": texts[0], "marks": [list(mark) for mark in marks[0]]}


def templates():
    """Returns every template with every conversation."""
    sources = {path.stem: path.read_bytes().decode() for path in sorted((FOLDER / "templates/own").glob("*.jinja"))}
    cases = []
    for template, source in sources.items():
        for conversation, (messages, tools) in CONVERSATIONS.items():
            for asks in (True, False):
                found = render(source, messages, tools, asks)
                if not found.get("marks"):
                    found.pop("marks", None)
                cases.append({"template": template, "conversation": conversation, "add_generation_prompt": asks} | found)
    conversations = {
        name: {"messages": messages} | ({"tools": tools} if tools else {})
        for name, (messages, tools) in CONVERSATIONS.items()
    }
    return {"templates": sources, "conversations": conversations, "cases": cases}


def snippet(source, prelude=""):
    """Returns a snippet with its text, or with nothing where it raises an error."""
    messages, tools = CONVERSATIONS["all of it"]
    return [source, render(prelude + source, messages, tools, True).get("text")]


def about():
    """Returns what all snippets are rendered with."""
    messages, tools = CONVERSATIONS["all of it"]
    return {"messages": messages, "tools": tools}


def snippets():
    """Returns the snippets that people wrote."""
    files = sorted((FOLDER / "snippets").glob("*.json"))
    return about() | {"families": {path.stem: [snippet(it) for it in json.loads(path.read_text())] for path in files}}


def random_snippets(seed=7):
    """Returns snippets that nobody wrote."""
    grammar = Grammar(seed)
    return about() | {
        "prelude": grammar.PRELUDE,
        "families": {
            "expressions": distinct(grammar.expression, EXPRESSIONS),
            "statements": distinct(grammar.statements, STATEMENTS, grammar.PRELUDE),
        },
    }


def distinct(make, count, prelude=""):
    """Returns that many short snippets, no two of them the same."""
    found = {}
    while len(found) < count:
        source = make()
        text = snippet(source, prelude)[1]
        if len(source) + len(text or "") <= LONGEST:
            found[source] = text
    return [list(pair) for pair in found.items()]
