"""Asks the stand-in through the official SDKs, which check what they are sent: sdks.py URL. Ends with 77 without them."""

import json
import sys

try:
    import anthropic
    import openai
except ImportError as error:
    print(error)
    sys.exit(77)

URL = sys.argv[1]
TURNS = [{"role": "user", "content": "Grüße an die 🦀 bitte"}]
SAID = "You said: Grüße an die 🦀 bitte"
ARGUMENTS = {"city": "Zürich", "days": 2}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def openai_client(**options):
    return openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-test", _strict_response_validation=True, **options)


def anthropic_client(**options):
    return anthropic.Anthropic(base_url=URL, api_key="sk-test", _strict_response_validation=True, **options)


def script(fault, times=1):
    for _ in range(times):
        anthropic.DefaultHttpxClient().post(f"{URL}/mock/next", json={"fault": fault}).raise_for_status()


def check_openai_whole(client):
    answer = client.chat.completions.create(model="gpt-mock", messages=TURNS)
    assert answer.choices[0].message.content == SAID, answer
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 7), answer.usage
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer._request_id == "req_mock"


def check_openai_stream(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="gpt-mock", messages=TURNS, stream=True, stream_options=options)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == SAID, chunks
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 12, chunks[-1]
    assert all(chunk.usage is None for chunk in chunks[:-1])


def check_openai_tool(client):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    asked = {"model": "gpt-mock", "messages": TURNS, "tools": tools, "tool_choice": "required"}
    message = client.chat.completions.create(**asked).choices[0].message
    assert message.content is None
    assert json.loads(message.tool_calls[0].function.arguments) == ARGUMENTS
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert json.loads(final.message.tool_calls[0].function.arguments) == ARGUMENTS
    assert final.finish_reason == "tool_calls"


def check_responses_whole(client):
    answer = client.responses.create(model="gpt-mock", input=TURNS, store=False)
    assert answer.output_text == SAID, answer
    assert answer.status == "completed" and answer.error is None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 7), answer.usage
    assert answer.usage.output_tokens_details.reasoning_tokens == 0
    assert answer._request_id == "req_mock"
    short = client.responses.create(model="gpt-mock", input="word " * 40, max_output_tokens=16)
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens", short


def check_responses_stream(client):
    events = list(client.responses.create(model="gpt-mock", input=TURNS, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == SAID, deltas
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.total_tokens == 12, events[-1]
    with client.responses.stream(model="gpt-mock", input=TURNS) as stream:
        assert stream.get_final_response().output_text == SAID


def check_responses_tool(client):
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    tokens = {"input": 5, "output": 9, "reasoning": 2}
    asked = {"model": "gpt-mock", "input": TURNS, "tools": [tool], "tool_choice": "required"}
    anthropic.DefaultHttpxClient().post(f"{URL}/mock/next", json={"tokens": tokens}).raise_for_status()
    thought, call = client.responses.create(**asked).output
    assert thought.type == "reasoning" and json.loads(call.arguments) == ARGUMENTS, call
    events = list(client.responses.create(**asked, stream=True))
    parts = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(parts)) == ARGUMENTS, parts
    answered = [
        *TURNS,
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    assert client.responses.create(model="gpt-mock", input=answered).output_text == SAID


def check_responses_errors(client):
    def ask(**more):
        return client.responses.create(model="gpt-mock", input=TURNS, **more)

    script({"kind": "rate_limited", "retry_after": "9"})
    assert raised(openai.RateLimitError, ask).code == "rate_limit_exceeded"
    script({"kind": "error_after", "events": 5})
    last = list(ask(stream=True))[-1]
    assert (last.type, last.code, last.sequence_number) == ("error", "server_error", 5), last
    raised(openai.BadRequestError, lambda: ask(max_output_tokens=15))
    raised(openai.BadRequestError, lambda: ask(extra_body={"stop": "END"}))


def check_anthropic_whole(client):
    answer = client.messages.create(model="claude-mock", max_tokens=100, messages=TURNS)
    assert answer.content[0].text == SAID, answer
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 7), answer.usage
    assert answer.usage.cache_creation.ephemeral_1h_input_tokens == 0
    assert answer._request_id == "req_mock"


def check_anthropic_stream(client):
    with client.messages.stream(model="claude-mock", max_tokens=100, messages=TURNS) as stream:
        assert "".join(stream.text_stream) == SAID
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 7), final.usage


def check_anthropic_tool(client):
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    asked = {"model": "claude-mock", "max_tokens": 100, "messages": TURNS, "tools": tools}
    asked["tool_choice"] = {"type": "any"}
    answer = client.messages.create(**asked)
    assert answer.content[0].input == ARGUMENTS and answer.stop_reason == "tool_use", answer
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert final.content[0].input == ARGUMENTS, final


def check_lists(openai_client, anthropic_client):
    models = list(openai_client.models.list())
    assert [model.id for model in models] == ["gpt-mock", "gpt-mock-old"], models
    models = list(anthropic_client.models.list())
    assert [model.id for model in models] == ["claude-mock", "claude-mock-small"], models


def raised(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def check_errors(openai_client, anthropic_client):
    def ask_openai(**more):
        return openai_client.chat.completions.create(model="gpt-mock", messages=TURNS, **more)

    def ask_anthropic(**more):
        return anthropic_client.messages.create(model="claude-mock", max_tokens=9, messages=TURNS, **more)

    script({"kind": "rate_limited", "retry_after": "9"})
    error = raised(openai.RateLimitError, ask_openai)
    assert error.code == "rate_limit_exceeded" and error.response.headers["retry-after"] == "9"
    script({"kind": "quota_exhausted"})
    assert raised(openai.RateLimitError, ask_openai).code == "insufficient_quota"
    script({"kind": "status", "status": 401})
    raised(openai.AuthenticationError, ask_openai)
    script({"kind": "error_after", "events": 2})
    raised(openai.APIError, lambda: list(ask_openai(stream=True)))
    script({"kind": "cut_after", "bytes": 700})
    raised(openai.APIError, lambda: list(ask_openai(stream=True)))

    script({"kind": "rate_limited", "retry_after": "9"})
    assert raised(anthropic.RateLimitError, ask_anthropic).response.headers["retry-after"] == "9"
    script({"kind": "quota_exhausted"})
    assert raised(anthropic.RateLimitError, ask_anthropic).error_code == "enforced_spend_limit_reached"
    script({"kind": "status", "status": 529})
    assert raised(anthropic.APIStatusError, ask_anthropic).status_code == 529
    script({"kind": "error_after", "events": 4})
    raised(anthropic.APIStatusError, lambda: list(ask_anthropic(stream=True)))
    missing = {"model": "claude-mock", "messages": TURNS}
    raised(anthropic.BadRequestError, lambda: anthropic_client.post("/v1/messages", body=missing, cast_to=object))


def main():
    theirs, others = openai_client(max_retries=0), anthropic_client(max_retries=0)
    for check in (check_openai_whole, check_openai_stream, check_openai_tool):
        check(theirs)
    for check in (check_responses_whole, check_responses_stream, check_responses_tool, check_responses_errors):
        check(theirs)
    for check in (check_anthropic_whole, check_anthropic_stream, check_anthropic_tool):
        check(others)
    check_lists(theirs, others)
    check_errors(theirs, others)
    # With retries, one answer comes of two refusals.
    script({"kind": "status", "status": 500}, times=2)
    check_openai_whole(openai_client(max_retries=2))
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}")


main()
