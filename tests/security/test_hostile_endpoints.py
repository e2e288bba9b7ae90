"""Endpoints of tenants' models that answer with whatever harms: each question is answered, by them or with quotes.

No turn is lost, nothing is a 500, and nothing holds the event loop: the service is watched.
"""

import gzip
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fakes.raw_endpoint import Json, RawEndpoint, serve_raw
from tests.service import Service, assert_nothing_held_the_loop, one_document

pytestmark = [pytest.mark.long, pytest.mark.soak]
QUESTION = "How much does a dormitory room cost?"
ROOM = b"# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n"
SAID = "A dormitory room costs 850,000 rupiah a month [1]."
FORMATS = ("openai", "anthropic", "google")
MB = 2**20
MAX_GROWTH = 200 * MB  # of the service, which works on eight of them at once
Writer = Callable[[bool, threading.Event], Iterable[bytes]]
"""What is written, streamed or not."""


def head(*fields: str, status: str = "200 OK", kind: str = "") -> bytes:
    """Of an answer that ends with its connection."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind or 'application/json'}", *fields, "", ""]).encode()


def whole(content: object = SAID, *, reason: object = "stop", answer: Json | None = None, **message: Any) -> Json:
    said = {"role": "assistant", "content": content, **message}
    return {"id": "x", "choices": [{"index": 0, "message": said, "finish_reason": reason}], **(answer or {})}


def as_events(answer: Json) -> Iterator[bytes]:
    """A whole answer as events, with the same oddities."""
    choices = answer.get("choices")
    if isinstance(choices, list):
        choices = [{**one, "delta": one["message"], "message": None} for one in choices]
    yield b"data: " + json.dumps({**answer, "choices": choices}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def says(answer: Json) -> Writer:
    """An answer in JSON, or in events."""

    def write(streams: bool, end: threading.Event) -> Iterator[bytes]:
        yield head(kind="text/event-stream" if streams else "")
        yield from as_events(answer) if streams else [json.dumps(answer).encode()]

    return write


def writes(*pieces: bytes | Iterable[bytes], before: bytes | None = None) -> Writer:
    """These bytes, whatever was asked for."""

    def write(streams: bool, end: threading.Event) -> Iterator[bytes]:
        yield head() if before is None else before
        for piece in pieces:
            yield from [piece] if isinstance(piece, bytes) else piece

    return write


def drip(streams: bool, end: threading.Event) -> Iterator[bytes]:
    """A byte now and then, for ever."""
    yield head()
    while not end.wait(0.02):
        yield b" "


def event(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def calls(count: int, arguments: str) -> Json:
    one = {"id": "c", "type": "function", "index": 0, "function": {"name": "weather", "arguments": arguments}}
    return whole(None, tool_calls=[one] * count)


def squeeze(data: bytes, *, how: str) -> bytes:
    return gzip.compress(data) if how == "gzip" else zlib.compress(data)


def flood(piece: bytes, size: int) -> Iterable[bytes]:
    """*piece* again and again, 64 KB at a time."""
    block = piece * (65536 // len(piece) + 1)
    return repeat(block, size // len(block) + 1)


GOOD = json.dumps(whole()).encode()
ANY: dict[str, Writer] = {
    "60 MB of numbers": writes(b'{"choices":[0', flood(b",0", 60 * MB), b"]}"),
    "4 MB of numbers": writes(b'{"choices":[0', flood(b",0", 3 * MB), b"]}"),
    "4 MB of objects": writes(b'{"choices":[0', flood(b",{}", 3 * MB), b"]}"),
    "4 MB of names": writes(b'{"x":0', (b',"%d":[]' % at for at in range(300_000)), b"}"),
    "nested": writes(b"[" * 200_000),
    "nested in an event": writes(b"data: " + b'{"a":' * 100_000 + b"\n\n"),
    "a line without an end": writes(b"data: ", flood(b"x", 40 * MB)),
    "lines of an event without an end": writes(flood(b"data: 0\n", 40 * MB)),
    "events that say nothing": writes(flood(b"data: {}\n\n", 40 * MB)),
    "comments": writes(flood(b": x\n\n", 40 * MB)),
    "empty lines": writes(flood(b"\n", 40 * MB)),
    "bytes that are no text": writes(bytes(range(256)) * 1000),
    "nothing": writes(),
    "a drip": drip,
    "gzip of 50 MB": writes(squeeze(bytes(50 * MB), how="gzip"), before=head("Content-Encoding: gzip")),
    "gzip of 50 MB of events": writes(
        squeeze(b"data: {}\n\n" * (5 * MB), how="gzip"), before=head("Content-Encoding: gzip")
    ),
    "deflate of 50 MB": writes(squeeze(bytes(50 * MB), how="deflate"), before=head("Content-Encoding: deflate")),
    "gzip that is none": writes(b"hello", before=head("Content-Encoding: gzip")),
    "brotli": writes(b"\x8b\x02\x80hello\x03", before=head("Content-Encoding: br")),
    "an unknown encoding": writes(GOOD, before=head("Content-Encoding: gzip, gzip, x-no-such")),
    "a page": writes(b"<!doctype html><h1>Hello</h1>", before=head(kind="text/html")),
    "a redirect": writes(before=head("Location: http://169.254.169.254/", status="302 Found")),
    "not modified": writes(before=head(status="304 Not Modified")),
    "no content": writes(before=head(status="204 No Content")),
    "another protocol": writes(
        GOOD, before=head("Upgrade: x", "Connection: upgrade", status="101 Switching Protocols")
    ),
    "a length too long": writes(GOOD, before=head("Content-Length: 99999999999999999999")),
    "a length of some more": writes(GOOD, before=head("Content-Length: 100000")),
    "a length too short": writes(GOOD, before=head("Content-Length: 5")),
    "a negative length": writes(GOOD, before=head("Content-Length: -5")),
    "two lengths": writes(GOOD, before=head("Content-Length: 5", "Content-Length: 7")),
    "broken chunks": writes(b"zz\r\nhello\r\n", before=head("Transfer-Encoding: chunked")),
    "a huge chunk": writes(b"fffffffffffffffff\r\nhello", before=head("Transfer-Encoding: chunked")),
    "chunks of a byte": writes(flood(b"1\r\n \r\n", 20 * MB), before=head("Transfer-Encoding: chunked")),
    "1xx without an end": writes(flood(b"HTTP/1.1 103 Early Hints\r\n\r\n", 30 * MB), before=b""),
    "many headers": writes(before=head(*(f"X-{at}: y" for at in range(50_000)))),
    "a long header": writes(b"X: ", flood(b"y", 10 * MB), before=b"HTTP/1.1 200 OK\r\n"),
    "a long status": writes(flood(b"y", 10 * MB), before=b"HTTP/1.1 200 "),
    "no HTTP": writes(b"SSH-2.0-x\r\n", before=b""),
    "a long refusal": writes(b'{"error":{"message":"', flood(b"no ", 30 * MB), before=head(status="400 Bad Request")),
    "a refusal of numbers": writes(b'{"error":[0', b",0" * 30_000, b"]}", before=head(status="400 Bad Request")),
    "a year beyond all": writes(
        before=head("Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT", status="429 Too Many Requests")
    ),
    "wait for ever": writes(before=head("Retry-After: 1e300", status="503 Service Unavailable")),
}
OPENAI: dict[str, Writer] = {
    "text without an end": writes(event(content="A room costs much. "), flood(event(content="la "), 40 * MB)),
    "events with an end each": writes(
        flood(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n', 8 * MB)
    ),
    "text of 3 MB": says(whole("la " * MB)),
    "text of commas": says(whole("," * 90_000)),
    "text of brackets": says(whole("[1]" * 20_000)),
    "text of control characters": says(whole("\x00\x1b\u202e\ufdfa" * 1000)),
    "half a surrogate pair": writes(b'data: {"choices":[{"delta":{"content":"\\ud800"},"finish_reason":"stop"}]}\n\n'),
    "20,000 choices": says(whole(answer={"choices": whole()["choices"] * 20_000})),
    "choices as an object": says(whole(answer={"choices": {"0": 1}})),
    "choices of lists": writes(b'{"choices":[[]]}'),
    "choices of null": says(whole(answer={"choices": None})),
    "10,000 calls": says(calls(10_000, '{"city": "Bandung"}')),
    "10 MB of arguments": says(calls(1, json.dumps({"city": "x" * 10 * MB}))),
    "100 KB of broken arguments": says(calls(1, '{"a": [' + "[1]," * 24_000 + "!")),
    "nested arguments": says(calls(1, '{"city":' * 900 + "1" + "}" * 900)),
    "deeply nested arguments": says(calls(1, '{"city":' * 9000 + "1" + "}" * 9000)),
    "arguments of an object": says(calls(1, {"city": ["x"]})),  # type: ignore[arg-type]
    "arguments of numbers": says(calls(1, "[" + "0," * 40_000 + "0]")),
    "an argument beyond all numbers": says(calls(1, '{"city": 1e999, "x": NaN, "y": ' + "9" * 4000 + "}")),
    "calls of null": says(whole(None, tool_calls=[None])),
    "calls without a function": says(whole(None, tool_calls=[{"id": []}])),
    "ids of lists": says(whole(answer={"id": ["x"], "model": {"a": 1}, "created": "no", "service_tier": [1]})),
    "a role of another": says(whole(role="system")),
    "a role of none": says(whole(role=["x"])),
    "content of parts": says(whole([{"type": "text", "text": SAID}, {"type": "image"}, 5, None])),
    "content of numbers": says(whole(5)),
    "content of an object": says(whole({"text": SAID})),
    "an end of a list": says(whole(reason=["stop"])),
    "an end of an object": says(whole(reason={"a": [1] * 1000})),
    "an end of a megabyte": says(whole(reason="x" * MB)),
    "an end of a number": says(whole(reason=5)),
    "an error of a list": says(whole(answer={"error": ["x"] * 1000})),
    **{
        f"usage {told}": writes(b'data: {"choices":[],"usage":%s}\n\n' % told.encode(), before=None)
        if told == "NaN"
        else says(whole(answer={"usage": json.loads(told)}))
        for told in (
            '{"prompt_tokens": -5, "completion_tokens": -9, "total_tokens": -14}',
            '{"prompt_tokens": 1e308, "completion_tokens": 1e308, "total_tokens": 1e308}',
            '{"prompt_tokens": 9223372036854775807, "completion_tokens": 9223372036854775807, "total_tokens": 1}',
            '{"prompt_tokens": "many", "completion_tokens": [], "total_tokens": {}}',
            "[1, 2]",
            "NaN",
        )
    },
}
OF_VENDORS_TOO = (
    "60 MB of numbers", "4 MB of objects", "nested in an event", "a line without an end", "events that say nothing",
    "gzip of 50 MB of events", "a drip", "a redirect", "a page", "a year beyond all",
)  # fmt: skip
# Odd, but no reason to throw the text away; of others it may depend on how the answer is asked for.
ANSWERS = {
    "text of brackets", "text of commas", "text of control characters", "content of parts", "ids of lists",
    "a role of another", "a role of none", "an end of a list", "an end of an object", "an end of a number",
    "negative usage", "usage beyond all", "negative counts", "an end of a list to Anthropic",
    "an end of an object to Google",
    *(name for name in OPENAI if name.startswith("usage ") and name != "usage NaN"),
}  # fmt: skip
EITHER = {
    "text without an end", "events with an end each", "text of 3 MB", "20,000 choices", "an end of a megabyte",
    "an unknown encoding",
}  # fmt: skip
ANTHROPICS = {"type": "message", "role": "assistant", "model": "m", "id": "x", "stop_reason": "end_turn"}
VENDORS: dict[str, tuple[str, Json]] = {
    "negative usage": (
        "anthropic",
        {**ANTHROPICS, "content": [{"type": "text", "text": SAID}], "usage": {"input_tokens": -5, "output_tokens": -9}},
    ),
    "usage beyond all": (
        "anthropic",
        {**ANTHROPICS, "content": [{"type": "text", "text": SAID}], "usage": {"input_tokens": 1e308}},
    ),
    "blocks of an object": ("anthropic", {**ANTHROPICS, "content": {"a": 1}, "usage": None}),
    "blocks of numbers": ("anthropic", {**ANTHROPICS, "content": [1, [2], None], "usage": []}),
    "10,000 calls of tools": (
        "anthropic",
        {**ANTHROPICS, "content": [{"type": "tool_use", "id": [1], "name": "weather", "input": {}}] * 10_000},
    ),
    "an end of a list to Anthropic": (
        "anthropic",
        {**ANTHROPICS, "content": [{"type": "text", "text": SAID}], "stop_reason": ["x"]},
    ),
    "negative counts": (
        "google",
        {
            "candidates": [{"content": {"parts": [{"text": SAID}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": -5, "candidatesTokenCount": -1e308},
        },
    ),
    "parts of numbers": ("google", {"candidates": [{"content": {"parts": [1, [2]]}, "finishReason": 7}]}),
    "candidates of an object": ("google", {"candidates": {"a": 1}, "usageMetadata": [1]}),
    "10,000 functions": (
        "google",
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "x", "args": {"a": [1]}}}] * 10_000}}]},
    ),
    "an end of an object to Google": (
        "google",
        {"candidates": [{"content": {"parts": [{"text": SAID}]}, "finishReason": {"a": 1}}], "modelVersion": [1]},
    ),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RawEndpoint]:
    with serve_raw() as served:
        yield served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    variables = {
        "LLM_MAX_RETRIES": "0",
        "LLM_RETRY_AFTER": "0",
        "EMBEDDING_PROVIDER": "embedded",
        "TOOL_MODULES": "tests.fakes.booking_tools",
        "BOOKING_URL": "http://127.0.0.1:9",
        "MODEL_NETWORKS": "127.0.0.1",
        "RATE_LIMIT_ENABLED": "false",
        **one_document(folder),
    }
    with Service(folder / "data", **variables).watched() as running:
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture(scope="module")
def tenant(service: Service, endpoint: RawEndpoint) -> Iterator[httpx.Client]:
    """One with a document and, for each format, a bot whose model is at the endpoint; `tools` has tools besides."""
    with ExitStack() as stack:
        client = stack.enter_context(service.client(service.new_key("acme", ["all"])))
        dataset = client.post("/v1/tenant/datasets", json={"name": "Rooms"}).json()["id"]
        files = [("files", ("rooms.md", ROOM))]
        [job] = client.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=files).json()["jobs"]
        service.wait_for(lambda: client.get(job["status_url"]).json()["status"] == "completed")
        for name in FORMATS:
            body = {"id": name, "provider": name, "base_url": f"{endpoint.base_url}/{name}", "model": "m"}
            assert client.post("/v1/tenant/models", json={**body, "timeout_s": 2}).status_code == 201
            add_bot(client, name, name)
        add_bot(client, "tools", "openai", tools=["weather"])
        yield client


def add_bot(client: httpx.Client, bot_id: str, model_id: str, **said: Any) -> None:
    made = client.post("/v1/tenant/bots", json={"id": bot_id, "name": bot_id, "model_id": model_id, **said})
    assert made.status_code == 201, made.text


@dataclass(frozen=True)
class Case:
    """What the endpoint of a bot writes, and whether that is an answer in spite of all."""

    name: str
    writer: Writer
    bot: str
    streams: bool


def ask(client: httpx.Client, case: Case, number: int) -> tuple[str, Json]:
    """A conversation with one question, which names the case to the endpoint, and the answer."""
    talk = uuid4().hex
    body = {"message": f"{QUESTION} (case {number})", "bot_id": case.bot}
    path = "/v1/chat/stream" if case.streams else "/v1/chat"
    said = client.post(path, json=body, headers={"X-Conversation-Id": talk})
    assert said.status_code == 200, said.text
    if not case.streams:
        return talk, said.json()
    events = [json.loads(line[5:]) for line in said.text.splitlines() if line.startswith("data:")]
    assert events[-1]["type"] == "done", events[-1]
    return talk, events[-1]


def resident_bytes(service: Service) -> int:
    with open(f"/proc/{service.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def make_vendor_events(bot: str, answer: Json) -> Iterator[bytes]:
    """A whole answer of a vendor, as the events that say the same."""
    if bot == "google":
        yield b"data: " + json.dumps(answer).encode() + b"\n\n"
        return
    blocks = answer["content"] if isinstance(answer["content"], list) else [answer["content"]]
    told: list[Json] = [{"type": "message_start", "message": {**answer, "content": []}}]
    told += [{"type": "content_block_start", "index": at, "content_block": block} for at, block in enumerate(blocks)]
    told += [{"type": "message_delta", "delta": {"stop_reason": answer["stop_reason"]}, "usage": answer.get("usage")}]
    for one in told:
        yield f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode()


def say_as(bot: str, answer: Json) -> Writer:
    def write(streams: bool, end: threading.Event) -> Iterable[bytes]:
        yield head(kind="text/event-stream" if streams else "")
        yield from make_vendor_events(bot, answer) if streams else [json.dumps(answer).encode()]

    return write


TABLE = [
    *((name, writer, "openai") for name, writer in ANY.items()),
    *((name, ANY[name], bot) for name in OF_VENDORS_TOO for bot in ("anthropic", "google")),
    *((name, writer, bot) for name, writer in OPENAI.items() for bot in ("openai", "tools")),
    *((name, say_as(bot, answer), bot) for name, (bot, answer) in VENDORS.items()),
]
CASES = [Case(*row, streams) for row in TABLE for streams in (False, True)]
FIRST = [number for number, case in enumerate(CASES) if case.name == "a page"]


def test_a_question_is_answered_whatever_the_endpoint_says(
    service: Service, endpoint: RawEndpoint, tenant: httpx.Client
) -> None:
    def answer(path: str, body: Json, end: threading.Event) -> Iterable[bytes]:
        [number, *_] = re.findall(r"\(case (\d+)\)", json.dumps(body))
        is_streamed = bool(body.get("stream")) or "streamGenerateContent" in path
        return CASES[int(number)].writer(is_streamed, end)

    def try_case(number: int) -> str:
        """What is wrong with the answer in this case."""
        case = CASES[number]
        try:
            talk, said = ask(tenant, case, number)
            kept = tenant.get(f"/v1/conversations/{talk}", params={"bot_id": case.bot})
            assert len(kept.json()["messages"]) == 2, kept.text
            told = said["language_model"], said["fallback_reason"]
            assert told == (True, None) if case.name in ANSWERS else told[1] or case.name in EITHER, told
        except AssertionError as exc:
            return f"{case.bot}, streamed {case.streams}, {case.name}: {exc}"
        return ""

    endpoint.answer = answer
    for number in FIRST:  # packages of vendors take room, too
        try_case(number)
    before = resident_bytes(service)
    with ThreadPoolExecutor(8) as threads:
        wrong = list(filter(None, threads.map(try_case, range(len(CASES)))))
    assert not wrong, "\n".join(wrong)
    assert resident_bytes(service) - before < MAX_GROWTH
