"""The API as Python calls: ask, follow an answer, end it, rate it, read a conversation again, delete it."""

from copy import copy
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from clients.answer_stream import AnswerStream
from clients.api_answers import (
    Conversation,
    DataQuestion,
    Health,
    ListedConversation,
    TopicQuestion,
    Topics,
    read_message,
)
from clients.api_errors import check, ignore_missing, translate_failures
from clients.run_events import make_from_members
from clients.visitors import Visitor

MESSAGES_AT_ONCE = 40  # 20 turns
_TOPICS_TIMEOUT_S = 3.0  # a page goes without them


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress:
    """Where the API is and what opens it."""

    url: str
    key: str = field(repr=False)


class ApiClient:
    """Calls the API with one key; may be shared by threads. Every call raises `ApiAway` and `ApiRefused`.

    Args:
        stream_timeout_s: longest silence within an answer; the service sends a sign of life every 15 s.
        patience_s: how long a lost connection to an answer is tried again.
    """

    def __init__(
        self, address: ApiAddress, *, timeout_s: float = 10.0, stream_timeout_s: float = 60.0, patience_s: float = 30.0
    ) -> None:
        self._http = httpx.Client(
            base_url=address.url,
            headers={"X-API-Key": address.key},
            limits=httpx.Limits(max_connections=None),  # a chat must not wait for another to end
            trust_env=False,  # no proxy, and no credentials out of a .netrc
        )
        self._timeout_s = timeout_s
        self._stream_timeout = httpx.Timeout(timeout_s, read=stream_timeout_s)
        self._patience_s = patience_s
        self.caller_headers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def for_visitor(self, visitor: Visitor) -> "ApiClient":
        """A client with these connections, asking in the name of *visitor*; closing it closes them for all."""
        return self._with_headers(visitor.headers)

    def with_key(self, key: str) -> "ApiClient":
        """A client with these connections and another key; closing it closes them for all."""
        return self._with_headers({"X-API-Key": key})

    def _with_headers(self, headers: dict[str, str]) -> "ApiClient":
        client = copy(self)
        client.caller_headers = headers
        return client

    def ask_stream(self, conversation_id: str, message: str, parent_run_id: str | None = None) -> AnswerStream:
        """Ask, and get the answer as it comes; the last event is the whole `Answer`, or `Cancelled`.

        *parent_run_id*: of the turn that the question follows, "start" for none; None: the last one.
        The caller closes it, which does not end the run: whoever knows its id may follow it.
        """
        follows = {"parent_run_id": parent_run_id} if parent_run_id else {}
        request = self._http.build_request(
            "POST",
            "/v1/chat",
            json={"message": message, "on_disconnect": "continue", **follows},
            headers={"X-Conversation-Id": conversation_id, "Accept": "text/event-stream", **self.caller_headers},
            timeout=self._stream_timeout,
        )
        return AnswerStream(self._http, request, self._following, patience_s=self._patience_s)

    def follow(self, run_id: str, after: int = 0) -> AnswerStream:
        """The events of a run after number *after*; refused with 404 where it is not kept, or not any more."""
        request = self._following(run_id, after)
        return AnswerStream(
            self._http, request, self._following, run_id=run_id, after=after, patience_s=self._patience_s
        )

    def cancel(self, run_id: str) -> str:
        """End a run before its time. Gives its state: "processing" still, "cancelled", "completed" or "failed"."""
        body = self.call("POST", f"{_run_path(run_id)}/cancel")
        with translate_failures():
            return str(body["status"])

    def resume(self, run_id: str, call_id: str, decision: str) -> None:
        """Let a run that waits go on: "approve" or "reject" its call; refused with 409 where it does not wait."""
        self.call("POST", f"{_run_path(run_id)}/resume", body={"call_id": call_id, "decision": decision})

    def is_cancelled(self, run_id: str) -> bool:
        """Whether a run was ended before its time; not where it is not kept any more."""
        state = ""
        with ignore_missing():
            state = str(self.call("GET", _run_path(run_id)).get("status", ""))
        return state == "cancelled"

    def is_waiting(self, run_id: str, call_id: str) -> bool:
        """Whether a run still waits for a decision about a call; not where there is no such run any more."""
        waiting_for = None
        with ignore_missing():
            waiting_for = self.call("GET", _run_path(run_id)).get("waiting_for")
        with translate_failures():
            return waiting_for is not None and waiting_for["call_id"] == call_id

    def conversation(self, conversation_id: str, *, before: int | None = None, branch: str = "") -> Conversation:
        """The last messages of the conversation, or those before the one at *before*.

        *branch*: a run on the branch that is read; "": the one used last.

        Refused with 404 where there is none, or none any more.
        """
        named = {"limit": MESSAGES_AT_ONCE, "before": before, "branch": branch}
        wanted = urlencode({name: value for name, value in named.items() if value})
        body = self.call("GET", f"{make_conversation_path(conversation_id)}?{wanted}")
        with translate_failures():
            messages = tuple(read_message(item) for item in body["messages"])
            return make_from_members(Conversation, {**body, "messages": messages})

    def conversations(self, words: str = "", *, limit: int = 50) -> tuple[ListedConversation, ...]:
        """Those that hold all *words*, the last used first; refused with 404 where the service lists none."""
        wanted = urlencode({"limit": limit, **({"q": words} if words.strip() else {})})
        body = self.call("GET", f"/v1/conversations?{wanted}", timeout_s=3.0)
        with translate_failures():
            return tuple(make_from_members(ListedConversation, item) for item in body["conversations"])

    def rename(self, conversation_id: str, title: str) -> None:
        """Call the conversation *title*; refused with 404 where no list has it."""
        self.call("PATCH", make_conversation_path(conversation_id), body={"title": title})

    def delete(self, conversation_id: str, *, permanent: bool = True) -> None:
        """Delete the conversation; *permanent* erases it at once. Refused with 404 where there is none."""
        self.call("DELETE", f"{make_conversation_path(conversation_id)}{'?permanent=true' if permanent else ''}")

    def restore(self, conversation_id: str) -> None:
        """Take back that the conversation was deleted; refused with 404 where that cannot be done any more."""
        self.call("POST", f"{make_conversation_path(conversation_id)}/restore")

    def rate(self, conversation_id: str, run_id: str, rating: str, **words: str) -> None:
        """Say that an answer was "up" or "down"; *words*: a `comment`, and what was `expected`, if anything is said."""
        said = {name: text for name, text in words.items() if text.strip()}
        self.call("PUT", f"{make_answer_path(conversation_id, run_id)}/rating", body={"rating": rating, **said})

    def take_rating_back(self, conversation_id: str, run_id: str) -> None:
        """Let it count as not rated; refused with 404 where it was not."""
        self.call("DELETE", f"{make_answer_path(conversation_id, run_id)}/rating")

    def health(self) -> Health:
        """How the service is; asked of memory there, so a service that takes more than 3 s is away."""
        body = self.call("GET", "/health?verbose", timeout_s=3.0)
        with translate_failures():
            return make_from_members(Health, body)

    def topics(self, language: str, document_id: str = "") -> Topics:
        """What the documents are about, or one of them, with questions in *language*: "en", "es" or "id"."""
        asked = {"language": language, **({"document_id": document_id} if document_id else {})}
        body = self.call("GET", f"/v1/topics?{urlencode(asked)}", timeout_s=_TOPICS_TIMEOUT_S)
        with translate_failures():
            questions = tuple(make_from_members(TopicQuestion, each) for each in body["questions"])
            of_data = tuple(make_from_members(DataQuestion, each) for each in body.get("data_questions", ()))
            about = {name: tuple(map(str, body[name])) for name in ("titles", "languages")}
            return Topics(**about, questions=questions, data_questions=of_data, institution=body.get("institution"))

    def download_rows(self, conversation_id: str) -> bytes:
        """All rows of the newest result of a data source in the conversation, as CSV."""
        return self.download("GET", f"/v1/download/data/{quote(conversation_id, safe='')}")

    def download(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> bytes:
        """The file that the API answers with."""
        return self._request(method, path, json=body, timeout=timeout_s or self._timeout_s).content

    def call(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """What the API answers with, as JSON; empty where that is nothing."""
        response = self._request(method, path, json=body, timeout=timeout_s or self._timeout_s)
        with translate_failures():
            return {} if response.status_code == HTTPStatus.NO_CONTENT else dict(response.json())

    def send_form(
        self,
        path: str,
        files: dict[str, tuple[str, bytes]],
        texts: dict[str, str] | None = None,
        *,
        key: str = "",
        timeout_s: float,
    ) -> dict[str, Any]:
        """What the API answers to a form of *files* and *texts*, as JSON; with the same *key*, it is taken once."""
        headers = {"Idempotency-Key": key} if key else {}
        response = self._request("POST", path, files=files, data=texts, headers=headers, timeout=timeout_s)
        with translate_failures():
            return dict(response.json())

    def _request(self, method: str, path: str, *, headers: dict[str, str] | None = None, **sent: Any) -> httpx.Response:
        """The response, which is a success."""
        with translate_failures():
            response = self._http.request(method, path, headers={**(headers or {}), **self.caller_headers}, **sent)
            check(response)
            return response

    def _following(self, run_id: str, after: int) -> httpx.Request:
        last = {"Last-Event-ID": f"{run_id}-{after}"} if after else {}
        headers = {"Accept": "text/event-stream", **last, **self.caller_headers}
        return self._http.build_request(
            "GET", f"{_run_path(run_id)}/events", headers=headers, timeout=self._stream_timeout
        )


def _run_path(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"


def make_conversation_path(conversation_id: str) -> str:
    """The address of a conversation."""
    return f"/v1/conversations/{quote(conversation_id, safe='')}"


def make_answer_path(conversation_id: str, run_id: str) -> str:
    """Where an answer is in the API."""
    return f"{make_conversation_path(conversation_id)}/answers/{quote(run_id, safe='')}"
