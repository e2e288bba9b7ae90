"""A small API that speaks the contract of `/v1/chat` over real HTTP and can be told how to behave."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACME_KEY, GLOBEX_KEY = "ak_acme", "ak_globex"
QUOTE = "A single room costs $410 a month and $30 for laundry."
ROOM = {
    "number": 1,
    "document_id": "d1",
    "title": "Student dormitory",
    "source": "samples/student-dormitory.md",
    "page": None,
    "heading": "Student dormitory › Rooms and rent",
    "start": 10,
    "end": 60,
    "quote": QUOTE,
    "score": 0.91,
    "url": None,
}
FEES = ROOM | {
    "number": 2,
    "document_id": "d2",
    "title": "Tuition, fees & payment",
    "source": "samples/tuition-fees-and-payment.pdf",
    "page": 3,
    "heading": "Deadlines",
    "quote": "Rent is due on the fifth working day of each month.",
    "url": "https://example.org/fees.pdf",
}


@dataclass
class Behaviour:
    """What the stub does next; a test sets it before it asks. `held`: tokens wait for `go_on` after the first."""

    persistence: str = "redis"
    language_model: bool = False
    problem: dict[str, Any] | None = None  # in place of an answer
    deleting_problem: dict[str, Any] | None = None
    stream_problem: dict[str, Any] | None = None  # in the midst of an answer
    cut: bool = False  # the connection breaks in the midst of an answer
    held: bool = False
    beats: bool = True  # gives signs of life while held
    page: str | None = None  # answer everything with this HTML
    page_status: int = 200
    retry_after_s: int | None = None  # sent with a problem
    go_on: threading.Event = field(default_factory=threading.Event)
    citations: list[dict[str, Any]] = field(default_factory=lambda: [ROOM, FEES])
    answer: str = f"{QUOTE} [1] Rent is due on the fifth working day of each month. [2]"


@dataclass
class ApiStub:
    """A running stub: its address, what it does, the questions it got and the conversations it keeps by key and id."""

    url: str
    behaviour: Behaviour = field(default_factory=Behaviour)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    conversations: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    left: threading.Event = field(default_factory=threading.Event)  # a reader went away in the midst of an answer
    running: set[tuple[str, str]] = field(default_factory=set)  # conversations that are being answered


@contextmanager
def serve_stub(port: int = 0) -> Iterator[ApiStub]:
    """The stub on a free port until the block is left."""

    class Handler(_Handler):
        api: ApiStub

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        Handler.api = ApiStub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Handler.api
        finally:
            Handler.api.behaviour.go_on.set()
            server.shutdown()
            thread.join()


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """A problem document as the API sends it."""
    return {
        "type": f"urn:pustaka:problem:{status}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/v1/chat",
        "request_id": "req-77",
        "message": detail,
        "timestamp": 1_795_000_000,
    }


class _Handler(BaseHTTPRequestHandler):
    api: ApiStub

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.api.behaviour.page:
            self._send(self.api.behaviour.page_status, self.api.behaviour.page.encode(), "text/html")
            return
        if self.path == "/health":
            self._json(200, {"status": "healthy", "language_model": self.api.behaviour.language_model, "version": "1"})
            return
        place = self._place(self.path.rpartition("/")[2])
        running = place in self.api.running  # before the messages: when it is over, the answer is among them
        messages = self.api.conversations.get(place)
        if messages is None:
            self._problem(problem(404, "There is no such thing", "There is no conversation of this id."))
            return
        persistence = self.api.behaviour.persistence
        body = {"messages": messages, "expires_in_s": 600, "persistence": persistence, "running": running}
        self._json(200, body)

    def do_DELETE(self) -> None:
        if self.api.behaviour.deleting_problem:
            self._problem(self.api.behaviour.deleting_problem)
            return
        if self.api.conversations.pop(self._place(self.path.rpartition("/")[2]), None) is None:
            self._problem(problem(404, "There is no such thing", "There is no conversation of this id."))
            return
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"]
        if self.api.behaviour.page:
            self._send(self.api.behaviour.page_status, self.api.behaviour.page.encode(), "text/html")
            return
        key, conversation_id = self._place(self.headers["X-Conversation-Id"])
        self.api.asked.append((key, conversation_id, message))
        if key not in (ACME_KEY, GLOBEX_KEY):
            self._problem(problem(401, "A valid API key is needed", "Send a valid key."))
            return
        said = self.api.conversations.setdefault((key, conversation_id), [])
        said.append({"role": "user", "content": message, "created_at": "2026-11-21T10:00:00Z"})
        if self.api.behaviour.problem:
            self._problem(self.api.behaviour.problem)
            return
        self.api.running.add((key, conversation_id))
        try:
            self._stream(conversation_id, said)
        finally:
            self.api.running.discard((key, conversation_id))

    def _stream(self, conversation_id: str, said: list[dict[str, Any]]) -> None:
        does = self.api.behaviour
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self._event("start", conversation_id=conversation_id, request_id="req-1")
        self._event("status", stage="retrieve")
        self._event("of-the-future", anything=1)
        self.wfile.write(b": still here\n\n")
        self._event("status", stage="answer")
        try:
            for place, word in enumerate(does.answer.split(" ")):
                self._event("token", content=word if place == 0 else f" {word}")
                if place == 3:
                    if does.cut:
                        return
                    if does.stream_problem:
                        self._event("error", problem=does.stream_problem)
                        return
                    if does.held:
                        self._hold()
                        if does.cut:  # meanwhile
                            return
        except OSError:
            self.api.left.set()
            return
        citations = does.citations
        said.append({"role": "assistant", "content": does.answer, "citations": citations, "answered": True})
        for citation in citations:
            self._event("citation", **citation)
        self._event(
            "done",
            answer=does.answer,
            response=does.answer,
            sources="",
            citations=citations,
            answered=True,
            language_model=does.language_model,
            conversation_id=conversation_id,
            persistence=does.persistence,
            request_id="req-1",
            metrics={},
        )

    def _hold(self) -> None:
        while not self.api.behaviour.go_on.wait(0.05):
            if self.api.behaviour.beats:
                self.wfile.write(b": still here\n\n")

    def _event(self, name: str, **members: object) -> None:
        data = json.dumps({"type": name, **members}, ensure_ascii=False)
        self.wfile.write(f"id: r-1\nevent: {name}\ndata: {data}\n\n".encode())
        self.wfile.flush()

    def _place(self, conversation_id: str) -> tuple[str, str]:
        return self.headers.get("X-API-Key", ""), conversation_id

    def _problem(self, document: dict[str, Any]) -> None:
        wait_s = self.api.behaviour.retry_after_s
        self._json(
            document["status"],
            document,
            "application/problem+json",
            {} if wait_s is None else {"Retry-After": str(wait_s)},
        )

    def _json(
        self, status: int, body: object, kind: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        self._send(status, json.dumps(body).encode(), kind, headers)

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
