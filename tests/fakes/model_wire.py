"""OpenAI's chat answers as bytes: server-sent events in HTTP chunks, also broken ones.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.model_answers import text_of
from tests.fakes.model_behaviour import Fault

Json = dict[str, Any]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def stream_pieces(body: Json, tokens: list[str], fault: Fault | None, finish_reason: str) -> Iterator[bytes | None]:
    """The parts of a streamed answer, one a token; None where the stream is to break off."""
    envelope = _envelope(body, "chat.completion.chunk")
    role = _chunk(envelope, {"role": "assistant", "content": ""})
    for number, token in enumerate(tokens):
        if fault and number >= fault.after_tokens:
            yield from _fault_pieces(fault, role if number == 0 else b"")
            return
        chunk = _chunk(envelope, {"content": token})
        yield role + chunk if number == 0 else chunk
    end = _chunk(envelope, {}, finish_reason=finish_reason)
    if (body.get("stream_options") or {}).get("include_usage"):
        end += _event({**envelope, "choices": [], "usage": _usage(body, "".join(tokens))})
    yield end + _frame(b"data: [DONE]\n\n") + LAST_CHUNK


def whole_answer(body: Json, text: str, finish_reason: str, calls: list[Json] | None = None) -> Json:
    """The answer to a call that did not ask for a stream; with *calls* of tools, whose arguments may be broken JSON."""
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        finish_reason = "tool_calls"
        message |= {"content": None, "tool_calls": [_call(number, call) for number, call in enumerate(calls)]}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    return {**_envelope(body, "chat.completion"), "choices": [choice], "usage": _usage(body, text)}


def _call(number: int, call: Json) -> Json:
    asked = call["arguments"]
    function = {"name": call["tool"], "arguments": asked if isinstance(asked, str) else json.dumps(asked)}
    return {"id": f"call-{number}", "type": "function", "function": function}


def _fault_pieces(fault: Fault, role: bytes) -> Iterator[bytes | None]:
    yield role
    if fault.kind == "end_early":
        yield LAST_CHUNK
    elif fault.kind == "error_event":
        yield _event({"error": {"message": "A fault that a test asked for.", "code": 502}}) + LAST_CHUNK
    elif fault.kind == "malformed":
        yield _frame(b'data: {"choices": [{"del\n\n') + LAST_CHUNK
    elif fault.kind == "empty":
        yield _event({"choices": []}) + LAST_CHUNK
    elif fault.kind == "truncate":
        yield None
    # `stall`: nothing more comes, the connection stays open.


def _envelope(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-fake", "object": kind, "created": 1_700_000_000, "model": body["model"]}


def _usage(body: Json, text: str) -> Json:
    """Tokens by the rule of thumb of four characters each; a model called `usage=…` says just that."""
    if body["model"].startswith("usage="):
        return json.loads(body["model"].removeprefix("usage="))  # type: ignore[no-any-return] # or nonsense
    prompt, completion = sum(len(text_of(message)) for message in body["messages"]) // 4 + 1, len(text) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _chunk(envelope: Json, delta: Json, *, finish_reason: str | None = None) -> bytes:
    return _event({**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def _event(data: Json) -> bytes:
    return _frame(b"data: " + json.dumps(data).encode() + b"\n\n")


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
