"""A small API that speaks the contract of `/v1/chat` and of runs over real HTTP and can be told how to behave."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.clients.stub_runs import Place, StubRun

ACME_KEY, GLOBEX_KEY = "ak_acme", "ak_globex"
QUOTE = "A single room costs $410 a month and $30 for laundry."
ELSEWHERE = "What was asked elsewhere"
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

TOPICS = {
    "institution": "Acme <b>University</b>",
    "titles": ["Student dormitory", "Tuition, fees & payment"],
    "languages": ["id", "en"],
    "questions": [
        {"question": f"What does “{title}” say about “{heading}”?", "heading": heading, "document_id": document_id}
        for document_id, title, heading in (
            ("d1", "Student dormitory", "House rules"),
            ("d2", "Tuition, fees & payment", "Deadlines"),
            ("d1", "Student dormitory", "Laundry"),
        )
    ],
}


@dataclass
class Behaviour:
    """What the stub does next; a test sets it before it asks. `held`: tokens wait for `go_on` after the first ones."""

    persistence: str = "redis"
    language_model: bool = False
    problem: dict[str, Any] | None = None  # in place of an answer
    deleting_problem: dict[str, Any] | None = None
    rating_problem: dict[str, Any] | None = None
    stream_problem: dict[str, Any] | None = None  # in the midst of an answer
    following_problem: dict[str, Any] | None = None  # for who follows a run
    cuts: int = 0  # so many connections break in the midst of an answer
    taken_over: bool = False  # in the midst of an answer another worker begins it anew; held again, if it was
    fallback_reason: str | None = None  # in the midst of an answer the language model fails
    clarification: dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    waiting_call: dict[str, Any] | None = None  # that the visitor has to approve first
    approving_problem: dict[str, Any] | None = None
    held: bool = False
    held_until_followed: bool = False  # by another connection than the one that asked
    cancelled_when_followed: bool = False
    is_busy: bool = False  # with a question from elsewhere that arrives just before the next one
    beats: bool = True  # gives signs of life while held
    lists: bool = False  # conversations, as a service with a transcript does
    page: str | None = None  # answer everything with this HTML
    page_status: int = 200
    retry_after_s: int | None = None  # sent with a problem
    go_on: threading.Event = field(default_factory=threading.Event)
    go_on_anew: threading.Event = field(default_factory=threading.Event)
    citations: list[dict[str, Any]] = field(default_factory=lambda: [ROOM, FEES])
    support: dict[str, Any] | None = None
    answered: bool = True
    confidence: str | None = "high"
    topics: dict[str, Any] = field(default_factory=lambda: TOPICS)
    follow_ups_held: bool = False  # topics of a document wait for `go_on`
    parent: str | None = None  # the run of the turn that the question follows
    answer: str = f"{QUOTE} [1] Rent is due on the fifth working day of each month. [2]"


@dataclass
class ApiStub:
    """A running stub: its address, what it does, the questions it got and the conversations it keeps by key and id."""

    url: str
    behaviour: Behaviour = field(default_factory=Behaviour)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    conversations: dict[Place, list[dict[str, Any]]] = field(default_factory=dict)
    titles: dict[Place, str] = field(default_factory=dict)
    deleted: dict[Place, list[dict[str, Any]]] = field(default_factory=dict)  # that can be restored
    shares: dict[Place, list[dict[str, Any]]] = field(default_factory=dict)
    runs: dict[str, StubRun] = field(default_factory=dict)
    rated: list[tuple[str, dict[str, Any] | None]] = field(default_factory=list)  # run and rating, None: taken back
    visitors: list[tuple[str | None, str | None]] = field(default_factory=list)  # of each call: token and address
    document_keys: list[str] = field(default_factory=list)  # that quotas were asked for with
    parents: list[str | None] = field(default_factory=list)  # that the questions name
    followed: list[int] = field(default_factory=list)  # after which number runs were followed
    taken_back: threading.Event = field(default_factory=threading.Event)  # a rating was
    left: threading.Event = field(default_factory=threading.Event)  # a reader went away in the midst of an answer

    def begin(self, place: Place, question: str) -> StubRun:
        """Begin to answer, whoever asks."""
        run = StubRun(f"run-{len(self.runs) + 1}", place)
        self.runs[run.run_id] = run
        said = self.conversations.setdefault(place, [])
        created = {"created_at": "2026-11-21T10:00:00Z", "run_id": run.run_id}
        said.append({"role": "user", "content": question, **created})
        run.work(lambda run: _answer(self.behaviour, run, said))
        return run

    def running(self, place: Place) -> StubRun | None:
        """The run that answers the conversation now."""
        return next((run for run in self.runs.values() if run.place == place and run.status == "processing"), None)

    def reset(self) -> None:
        """As it was at first; what was held goes on."""
        self.behaviour.go_on.set()
        self.behaviour.go_on_anew.set()
        self.behaviour = Behaviour()
        lists = (
            self.asked,
            self.conversations,
            self.titles,
            self.deleted,
            self.shares,
            self.runs,
            self.rated,
            self.document_keys,
            self.parents,
            self.followed,
            self.visitors,
        )
        for known in (*lists, self.taken_back, self.left):
            known.clear()


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
            Handler.api.reset()
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

    def parse_request(self) -> bool:
        is_one = super().parse_request()
        if is_one and not self.path.startswith("/health"):
            self.api.visitors.append((self.headers.get("X-Visitor-Id"), self.headers.get("X-Visitor-Address")))
        return is_one

    def do_GET(self) -> None:
        if self.api.behaviour.page:
            self._send(self.api.behaviour.page_status, self.api.behaviour.page.encode(), "text/html")
            return
        if self.path == "/health?verbose":
            self._json(200, {"status": "healthy", "language_model": self.api.behaviour.language_model, "version": "1"})
            return
        if self.path.endswith("/events"):
            self._follow(self._run())
            return
        if self.path.startswith("/v1/runs/"):
            self._tell_run(self._run())
            return
        if self.path.startswith("/v1/download/data/"):
            self._send(200, b"place,n\r\n", "text/csv")
            return
        if self.path == "/v1/terms" and self.api.behaviour.lists:
            shared = {"are_shareable": True, "are_sources_shared": True}
            self._json(200, {"kept_s": 864_000, "undo_s": 60, **shared})
            return
        if self.path == "/v1/tenant/usage":
            self._tell_usage()
            return
        if self.path.endswith("/shares"):
            self._json(200, {"shares": self.api.shares.get(self._place(self.path.split("/")[3]), [])})
            return
        if self.path.startswith("/v1/topics?"):
            if self.api.behaviour.follow_ups_held and "document" in self.path:
                self.api.behaviour.go_on.wait()
            self._json(200, self.api.behaviour.topics)
            return
        if self.path.startswith("/v1/conversations?"):
            if self.api.behaviour.lists:
                self._list(self.path.partition("?")[2])
            else:
                self._problem(problem(404, "Not found", "Nothing is listed here."))
            return
        path, _, query = self.path.partition("?")
        place = self._place(path.rpartition("/")[2])
        run = self.api.running(place)  # before the messages: when it is over, the answer is among them
        messages = self.api.conversations.get(place)
        if messages is None:
            self._problem(problem(404, "Not found", "Conversation not found or expired."))
            return
        told: dict[str, Any] = {"persistence": self.api.behaviour.persistence, "running": run is not None}
        waiting = [one for one in self.api.runs.values() if one.place == place and one.status == "waiting"]
        told |= {"waiting": bool(waiting)}
        run = run or (waiting[0] if waiting else None)
        asked = dict(parse_qsl(query))
        stop = int(asked.get("before", len(messages)))
        start = max(0, stop - int(asked.get("limit", 50)))
        told |= {"messages": messages[start:stop], "offset": start, "total": len(messages)}
        self._json(200, {"expires_in_s": 600, "run_id": run and run.run_id, **told})

    def _tell_usage(self) -> None:
        key = self.headers.get("X-API-Key") or ""
        self.api.document_keys.append(key)
        if key in (ACME_KEY, GLOBEX_KEY):
            quota = {"limit": 100, "used": 1}
            self._json(200, {"document_quota": quota, "byte_quota": quota})
        else:
            self._problem(problem(401, "A valid API key is needed", "Send a valid key."))

    def _list(self, query: str) -> None:
        """The conversations of the key, by what was said in them; only where the stub keeps them."""
        words = dict(parse_qsl(query)).get("q", "").casefold().split()
        found = []
        for place, said in self.api.conversations.items():
            title = self.api.titles.get(place, said[0]["content"])
            text = " ".join([title, *(message["content"] for message in said)]).casefold()
            if place[0] == self.headers.get("X-API-Key") and all(word in text for word in words):
                found.append({"id": place[1], "title": title, "updated_at": f"2026-11-21T10:00:0{len(found) % 10}Z"})
        self._json(200, {"conversations": found[::-1], "total": len(found)})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.api.titles[self._place(self.path.rpartition("/")[2])] = body["title"]
        self._json(200, body)

    def _restore(self) -> None:
        place = self._place(self.path.split("/")[3])
        said = self.api.deleted.pop(place, None)
        if said is None:
            self._problem(problem(404, "Not found", "There is no deleted conversation of this id."))
            return
        self.api.conversations[place] = said
        self._json(200, {"id": place[1]})

    def _share(self, place: Place) -> None:
        listed = self.api.shares.setdefault(place, [])
        made = {"created_at": "2026-11-21T10:00:00Z", "expires_at": "2026-12-21T10:00:00Z"}
        listed.append({"id": f"share-{len(listed) + 1}", **made})
        self._json(201, {**listed[-1], "url": f"{self.api.url}/v1/shared?token=t{len(listed)}"})

    def do_PUT(self) -> None:
        self._rate(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _rate(self, body: dict[str, Any] | None) -> None:
        """Note what is said of an answer, or take it back."""
        if self.api.behaviour.rating_problem:
            self._problem(self.api.behaviour.rating_problem)
            return
        *_, conversation_id, _, run_id, _ = self.path.split("/")
        said = self.api.conversations.get(self._place(conversation_id), [])
        answers = [each for each in said if (each["role"], each.get("run_id")) == ("assistant", run_id)]
        if not answers:
            self._problem(problem(404, "Not found", "This conversation has no answer of this run."))
            return
        answers[0]["rating"] = body and body["rating"]
        self.api.rated.append((run_id, body))
        if body is None:
            self.api.taken_back.set()
        self._json(200, body) if body else self._send(204, b"", "text/plain")

    def do_DELETE(self) -> None:
        if self.path.endswith("/rating"):
            self._rate(None)
            return
        if "/shares/" in self.path:
            *_, conversation_id, _, share_id = self.path.split("/")
            listed = self.api.shares[self._place(conversation_id)]
            listed[:] = [one for one in listed if one["id"] != share_id]
            self._send(204, b"", "text/plain")
            return
        if self.api.behaviour.deleting_problem:
            self._problem(self.api.behaviour.deleting_problem)
            return
        address, _, query = self.path.partition("?")
        place = self._place(address.rpartition("/")[2])
        run = self.api.running(place)
        if run and not (run.cancelled.is_set() and run.ended.wait(5)):
            self._problem(problem(409, "Something else is in the way", "It is being answered."))
            return
        said = self.api.conversations.pop(place, None)
        if said is None:
            self._problem(problem(404, "Not found", "Conversation not found or expired."))
            return
        if not query:
            self.api.deleted[place] = said
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/files"):
            self._problem(problem(409, "Conflict", "Files cannot be attached here."))
            return
        body = json.loads(sent or b"{}")
        if self.path.endswith("/restore"):
            self._restore()
            return
        if self.path.endswith("/shares"):
            self._share(self._place(self.path.split("/")[3]))
            return
        if self.path == "/api/load-document":
            is_pages = self.headers.get("X-API-Key") == ACME_KEY
            self._problem(problem(422, "Not valid", "No file.") if is_pages else problem(404, "Not found", "Not here."))
            return
        if self.path.endswith("/clear"):
            mine = [place for place in self.api.conversations if place[0] == self.headers.get("X-API-Key")]
            for place in mine:
                del self.api.conversations[place]
            self._json(200, {"deleted_count": len(mine), "busy_count": 0, "remaining_count": 0})
            return
        if self.api.behaviour.page:
            self._send(self.api.behaviour.page_status, self.api.behaviour.page.encode(), "text/html")
            return
        if self.path.endswith("/cancel"):
            self._cancel(self._run())
            return
        if self.path.endswith("/resume"):
            self._resume(self._run(), body)
            return
        assert body["on_disconnect"] == "continue"
        key, conversation_id = self._place(self.headers["X-Conversation-Id"])
        self.api.asked.append((key, conversation_id, body["message"]))
        self.api.parents.append(body.get("parent_run_id"))
        if key not in (ACME_KEY, GLOBEX_KEY):
            self._problem(problem(401, "A valid API key is needed", "Send a valid key."))
            return
        if self.api.behaviour.problem:
            if self.api.behaviour.problem["status"] != 429:  # then it is not even taken
                said = self.api.conversations.setdefault((key, conversation_id), [])
                said.append({"role": "user", "content": body["message"], "created_at": "2026-11-21T10:00:00Z"})
            self._problem(self.api.behaviour.problem)
            return
        if self.api.behaviour.is_busy:
            self.api.behaviour.is_busy = False
            run = self.api.begin((key, conversation_id), ELSEWHERE)
            self._problem({**problem(409, "Something else is in the way", "It is busy."), "run_id": run.run_id})
            return
        self._stream(self.api.begin((key, conversation_id), body["message"]), 0)

    def _run(self) -> StubRun | None:
        run = self.api.runs.get(self.path.split("/")[3])
        return run if run and run.place[0] == self.headers.get("X-API-Key") else None

    def _follow(self, run: StubRun | None) -> None:
        last = self.headers.get("Last-Event-ID", "-0")
        after = int(last.rpartition("-")[2])
        self.api.followed.append(after)
        if run is None or last not in ("-0", f"{run.run_id}-{after}"):
            self._problem(problem(404, "Not found", "Run not found or expired."))
        elif self.api.behaviour.following_problem:
            self._problem(self.api.behaviour.following_problem)
        else:
            if self.api.behaviour.held_until_followed:
                self.api.behaviour.go_on.set()
            if self.api.behaviour.cancelled_when_followed:
                run.cancelled.set()
            self._stream(run, after)

    def _cancel(self, run: StubRun | None) -> None:
        if run is None:
            self._problem(problem(404, "Not found", "Run not found or expired."))
            return
        self._json(202, {"status": run.status})
        run.cancelled.set()

    def _tell_run(self, run: StubRun | None) -> None:
        if run is None:
            self._problem(problem(404, "Not found", "Run not found or expired."))
            return
        waiting_for = self.api.behaviour.waiting_call if run.status == "waiting" else None
        self._json(200, {"id": run.run_id, "status": run.status, "waiting_for": waiting_for})

    def _resume(self, run: StubRun | None, body: dict[str, Any]) -> None:
        if run is None or run.status != "waiting":
            self._problem(problem(409, "Conflict", "This run does not wait."))
            return
        if body["decision"] == "approve" and self.api.behaviour.approving_problem:
            self._problem(self.api.behaviour.approving_problem)
            return
        run.decision = body["decision"]
        run.tell("approval", run_id=run.run_id, call_id=body["call_id"], approved=body["decision"] == "approve")
        run.decided.set()
        self._json(202, {"status": run.status})

    def _stream(self, run: StubRun, after: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("X-Run-Id", run.run_id)
        self.end_headers()
        does = self.api.behaviour
        try:
            for told in run.follow(after):
                if told is not None:
                    after, kind, body = told
                    data = json.dumps(body, ensure_ascii=False)
                    self.wfile.write(f"id: {run.run_id}-{after}\nevent: {kind}\ndata: {data}\n\n".encode())
                elif does.beats:
                    self.wfile.write(b": still here\n\n")
                if does.cuts and run.middle and after >= run.middle:
                    does.cuts -= 1
                    return
        except OSError:
            self.api.left.set()

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


def _answer(does: Behaviour, run: StubRun, said: list[dict[str, Any]]) -> Iterator[None]:
    """What a run tells, and where it may be cancelled."""
    if does.waiting_call:
        run.tell("start", conversation_id=run.place[1], request_id="req-1", run_id=run.run_id)
        run.tell("waiting", run_id=run.run_id, call=does.waiting_call)
        while not run.decided.wait(0.02):
            yield
        if run.decision == "approve":
            run.tell("tool_start", call_id="c", name=does.waiting_call["name"])
            run.tell("tool_result", call_id="c", name=does.waiting_call["name"], ok=True, duration_ms=1, summary="")
        else:
            does.answer, does.citations = "It was not done.", []
    words = does.answer.split(" ")
    yield from _draft(does, run, words[:4])
    while (does.held or does.held_until_followed) and not does.go_on.wait(0.02):
        yield
    if does.stream_problem:
        run.tell("error", run_id=run.run_id, problem=does.stream_problem)
        return
    if does.taken_over:
        run.tell("resumed", run_id=run.run_id)
        yield from _draft(does, run, words[:4])
        while does.held and not does.go_on_anew.wait(0.02):
            yield
    if does.fallback_reason:
        run.tell("fallback", reason=does.fallback_reason)
        run.tell("token", content=" ".join(words[:4]))
    for word in words[4:]:
        run.tell("token", content=f" {word}")
        yield
    said.append(
        {
            "role": "assistant",
            "content": does.answer,
            "citations": does.citations,
            "answered": does.answered,
            "confidence": does.confidence,
            "support": does.support,
            "fallback_reason": does.fallback_reason,
            "clarification": does.clarification,
            "tool_calls": does.tool_calls,
            "run_id": run.run_id,
            "rating": None,
        }
    )
    for citation in does.citations:
        run.tell("citation", **citation)
    told = {"answered": does.answered, "confidence": does.confidence}
    told |= {"language_model": does.language_model, "persistence": does.persistence, "metrics": {}}
    names = {"conversation_id": run.place[1], "request_id": "req-1", "run_id": run.run_id}
    whole = {
        "answer": does.answer,
        "response": does.answer,
        "sources": "",
        "citations": does.citations,
        "support": does.support,
        "fallback_reason": does.fallback_reason,
        "clarification": does.clarification,
        "tool_calls": does.tool_calls,
        "parent_run_id": does.parent,
    }
    run.tell("done", **whole, **told, **names)


def _draft(does: Behaviour, run: StubRun, words: list[str]) -> Iterator[None]:
    run.tell("start", conversation_id=run.place[1], request_id="req-1", run_id=run.run_id)
    run.tell("status", stage="retrieve")
    run.tell("of-the-future", anything=1)
    run.tell("status", stage="answer")
    run.middle = run.middle or run.last + len(words)
    for place, word in enumerate(words):
        run.tell("token", content=word if place == 0 else f" {word}")
        yield
