"""Endpoints that speak the formats of Anthropic and Google over real HTTP, and misbehave when told to.

Sources: https://docs.anthropic.com/en/api/messages-streaming, https://ai.google.dev/api/generate-content
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Json = dict[str, Any]
Format = Literal["anthropic", "google"]


@dataclass
class Vendor:
    """What an endpoint says, and what it was asked. Each call takes the next of *faults*; without one it answers.

    A fault is a status with its message, `hang`, or of a stream `cut`, `early` (in good order, without its end), or
    `error`.
    """

    format: Format
    base_url: str = ""
    words: tuple[str, ...] = ("It ", "opens ", "at eight [1].")
    reason: str = ""
    tool: str = ""  # that a whole answer calls, in place of words
    city: str = "Bandung"  # that it is called with
    blocks: str = ""  # why a question is not answered at all; of Google alone
    faults: list[tuple[int, str] | Literal["hang", "cut", "early", "error"]] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    @property
    def last(self) -> Json:
        """The body of the last request."""
        found: Json = self.requests[-1]["body"]
        return found


@contextmanager
def serve_vendor(format: Format) -> Iterator[Vendor]:
    """An endpoint on the loopback."""
    vendor = Vendor(format)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            vendor.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
            fault = vendor.faults.pop(0) if vendor.faults else None
            if isinstance(fault, tuple):
                self._send(fault[0], json.dumps(_make_error(vendor.format, *fault)).encode())
            elif fault == "hang":
                vendor.end.wait(30)
            elif body.get("stream") or "streamGenerateContent" in self.path:
                self._stream(fault)
            else:
                self._send(200, json.dumps(_WHOLE[vendor.format](vendor)).encode())

        def _stream(self, fault: str | None) -> None:
            events = list(_EVENTS[vendor.format](vendor))
            if fault:
                events = events[: len(events) // 2]
            if fault == "error":
                events.append(_make_error(vendor.format, 529, "Overloaded"))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                name = f"event: {event['type']}\n" if "type" in event else ""
                self._chunk(f"{name}data: {json.dumps(event)}\n\n".encode())
            if fault == "cut":
                self.close_connection = True
            else:
                self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def _send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        vendor.base_url = f"http://127.0.0.1:{listening.server_port}"
        try:
            yield vendor
        finally:
            vendor.end.set()
            listening.shutdown()
            thread.join()


def _make_error(format: Format, status: int, message: str) -> Json:
    if format == "anthropic":
        return {"type": "error", "error": {"type": "some_error", "message": message}}
    return {"error": {"code": status, "message": message, "status": "SOME_ERROR"}}


def _say_whole_as_anthropic(vendor: Vendor) -> Json:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "as-told", "stop_sequence": None,
        "content": [
            {"type": "tool_use", "id": "toolu_1", "name": vendor.tool, "input": {"city": vendor.city}}
            if vendor.tool
            else {"type": "text", "text": "".join(vendor.words)}
        ],
        "stop_reason": vendor.reason or "end_turn", "usage": {"input_tokens": 11, "output_tokens": 5},
    }  # fmt: skip


def _stream_as_anthropic(vendor: Vendor) -> Iterator[Json]:
    message = {**_say_whole_as_anthropic(vendor), "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": {**message, "usage": {"input_tokens": 11, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for word in vendor.words:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    delta = {"stop_reason": vendor.reason or "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"input_tokens": 11, "output_tokens": 5}}
    yield {"type": "message_stop"}


def _say_as_google(text: str, reason: str | None, call: Json | None = None) -> Json:
    part: Json = {"functionCall": call} if call else {"text": text}
    candidate: Json = {"content": {"parts": [part], "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 5, "totalTokenCount": 16}
    ended = {"finishReason": reason} if reason else {}
    return {"candidates": [candidate | ended], "usageMetadata": usage, "modelVersion": "as-told"}


def _say_whole_as_google(vendor: Vendor) -> Json:
    if vendor.blocks:
        return {"promptFeedback": {"blockReason": vendor.blocks}, "usageMetadata": {"promptTokenCount": 11}}
    call = {"name": vendor.tool, "args": {"city": vendor.city}} if vendor.tool else None
    return _say_as_google("".join(vendor.words), vendor.reason or "STOP", call)


def _stream_as_google(vendor: Vendor) -> Iterator[Json]:
    if vendor.blocks:
        yield _say_whole_as_google(vendor)
        return
    *words, last = vendor.words
    for word in words:
        yield _say_as_google(word, None)
    yield _say_as_google(last, vendor.reason or "STOP")


_WHOLE: dict[Format, Callable[[Vendor], Json]] = {
    "anthropic": _say_whole_as_anthropic,
    "google": _say_whole_as_google,
}
_EVENTS: dict[Format, Callable[[Vendor], Iterator[Json]]] = {
    "anthropic": _stream_as_anthropic,
    "google": _stream_as_google,
}
