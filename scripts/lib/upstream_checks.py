#!/usr/bin/env python3
"""Asks models of servers that others wrote through ours, and checks what is answered and billed.

Usage: upstream_checks.py URL KEY ADMIN_KEY INPUT_USD OUTPUT_USD MODEL...

The prices are those of a million tokens that the servers are set up with. Prints `ok` or `FAIL` and what was checked, a line
each. Python 3 standard library only.
"""

import json
import sys
import urllib.error
import urllib.request

QUESTION = "Explain machine learning in a sentence, please"


class Server:
    """Our server."""

    def __init__(self, url, key, admin_key):
        self.url, self.key, self.admin_key = url, key, admin_key

    def open(self, path, body=None, key=None):
        """Returns what is answered, as lines of text."""
        headers = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode().splitlines()
        except urllib.error.HTTPError as error:
            return error.read().decode().splitlines()

    def whole(self, model):
        """Returns an answer that comes at once."""
        return json.loads("".join(self.open("/generate", question(model, False))))

    def stream(self, model):
        """Returns the events of an answer that comes in parts."""
        events, name = [], None
        for line in self.open("/generate", question(model, True)):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
        return events

    def usage(self):
        """Returns what was used, by provider."""
        answer = json.loads("".join(self.open("/commercial/usage?group_by=provider", key=self.admin_key)))
        return {group["group"]: group for group in answer["groups"]}


def question(model, stream):
    """Returns what is asked."""
    return {"model_id": model, "prompt": QUESTION, "max_tokens": 32, "stream": stream}


class Checks:
    """Prints what is found."""

    def __init__(self, prices):
        self.prices = prices

    def check(self, what, holds, found):
        """Prints whether something holds."""
        print(f"ok {what}" if holds else f"FAIL {what}: found {found}")

    def answer(self, what, answer):
        """Checks a whole answer, and returns what it cost in picodollars."""
        metrics, metadata = answer.get("metrics", {}), answer.get("metadata", {})
        self.check(f"{what}: has a text", bool(answer.get("text")), answer)
        tokens = (metrics.get("input_tokens", 0), metrics.get("output_tokens", 0))
        self.check(f"{what}: has the tokens that the server counted", min(tokens) > 0 and tokens[1] <= 32, answer)
        self.check(f"{what}: is billed by them", metadata.get("cost_basis") == "measured", answer)
        # A millionth of a dollar is a million picodollars, and prices are of a million tokens.
        cost = round(sum(count * price * 1e6 for count, price in zip(tokens, self.prices)))
        self.check(f"{what}: costs {cost} picodollars", metadata.get("cost_picodollars") == cost, answer)
        return cost


def main(url, key, admin_key, input_usd, output_usd, *models):
    """Checks each model."""
    server, checks = Server(url, key, admin_key), Checks((float(input_usd), float(output_usd)))
    for model in models:
        cost = checks.answer(f"{model}, whole", server.whole(model))
        events = server.stream(model)
        texts = [data["text"] for name, data in events if name == "text"]
        checks.check(f"{model}, stream: comes in parts", len(texts) > 1, events)
        last = events[-1] if events else (None, {})
        checks.check(f"{model}, stream: is whole", last[0] == "done" and "".join(texts) == last[1].get("text"), events)
        cost += checks.answer(f"{model}, stream", last[1])
        provider = model.split("/", 1)[0]
        group = server.usage().get(provider, {})
        found = round(float(group.get("cost_usd", 0)) * 1e12)
        checks.check(f"{model}: {provider}'s usage has both", (group.get("requests"), found) == (2, cost), group)


if __name__ == "__main__":
    if len(sys.argv) < 7:
        sys.exit("usage: upstream_checks.py URL KEY ADMIN_KEY INPUT_USD OUTPUT_USD MODEL...")
    main(*sys.argv[1:])
