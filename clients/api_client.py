"""The API as Python calls: ask, read a conversation again, forget it."""

import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from clients.server_sent_events import ServerSentEvent, read_events

T = TypeVar("T")
_AWAY = ("The service is away", "The service cannot be reached. Try again in a moment.")
_FROM_A_PROXY = (502, 503, 504)  # in words of its own: what stands behind it is away


class ApiError(Exception):
    """A call that failed, in words for the person who asked.

    `request_id` is what an operator finds the call by, None where the service did not say. `worth_retrying` tells
    whether the same call may succeed later.
    """

    def __init__(self, title: str, detail: str, *, request_id: str | None = None, worth_retrying: bool = True) -> None:
        super().__init__(detail)
        self.title, self.detail, self.request_id, self.worth_retrying = title, detail, request_id, worth_retrying


class ApiAway(ApiError):
    """The service did not answer, or stopped in the midst of it; `reached` is False where it never got the call."""

    def __init__(self, title: str, detail: str, *, reached: bool = True) -> None:
        super().__init__(title, detail)
        self.reached = reached


class ApiRefused(ApiError):
    """The service answered with a problem document (RFC 9457); *status* is its HTTP status.

    `retry_after_s` is how long it asks to wait, None where it does not say.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], *, retry_after_s: int | None = None) -> None:
        title = str(problem.get("title") or _phrase(status))
        super().__init__(
            title,
            str(problem.get("detail") or title),
            request_id=problem.get("request_id"),
            worth_retrying=status in (408, 409, 429) or status >= 500,
        )
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True, slots=True)
class Citation:
    """What a mark `[number]` in an answer points at."""

    number: int
    title: str
    source: str
    quote: str
    page: int | None = None
    heading: str | None = None
    url: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is "user" or "assistant", `created_at` ISO 8601."""

    role: str
    content: str
    citations: tuple[Citation, ...] = ()
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation from its beginning.

    `persistence` is "redis", or "memory" while it would not survive a restart. `running`: it is being answered now.
    """

    messages: tuple[Message, ...]
    expires_in_s: int | None = None
    persistence: str = "redis"
    running: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is: `language_model` is False when answers are made of quotes alone."""

    status: str = "healthy"
    language_model: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """The service has taken the question."""

    conversation_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What the service is doing now: `stage` is "contextualize", "retrieve", "answer" and so on."""

    stage: str


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer."""

    content: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer, always the last event."""

    answer: str
    citations: tuple[Citation, ...] = ()
    answered: bool = True
    persistence: str = "redis"
    request_id: str | None = None


Event = Started | Stage | Token | Citation | Answer
_EVENTS: Mapping[str, type[Event]] = {
    "start": Started,
    "status": Stage,
    "token": Token,
    "citation": Citation,
    "done": Answer,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress:
    """Where the API is and what opens it."""

    url: str
    key: str = field(repr=False)


class ApiClient:
    """Calls the API with one key; may be shared by threads. Every call raises `ApiAway` and `ApiRefused`.

    Args:
        stream_timeout_s: longest silence within an answer; the service sends a sign of life every 15 s.
    """

    def __init__(self, address: ApiAddress, *, timeout_s: float = 10.0, stream_timeout_s: float = 60.0) -> None:
        self._http = httpx.Client(
            base_url=address.url,
            headers={"X-API-Key": address.key},
            limits=httpx.Limits(max_connections=None),  # a chat must not wait for another to end
            trust_env=False,  # no proxy, and no credentials out of a .netrc
        )
        self._timeout_s = timeout_s
        self._stream_timeout = httpx.Timeout(timeout_s, read=stream_timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def ask_stream(self, conversation_id: str, message: str) -> "AnswerStream":
        """Ask, and get the answer as it comes; the last event is the whole `Answer`. The caller closes it."""
        request = self._http.build_request(
            "POST",
            "/v1/chat",
            json={"message": message},
            headers={"X-Conversation-Id": conversation_id, "Accept": "text/event-stream"},
            timeout=self._stream_timeout,
        )
        return AnswerStream(self._http, request)

    def conversation(self, conversation_id: str) -> Conversation:
        """The conversation from its beginning; refused with 404 where there is none, or none any more."""
        body = self._call("GET", _conversation_path(conversation_id))
        with _failures_told():
            messages = tuple(_message(item) for item in body["messages"])
            return _made(Conversation, {**body, "messages": messages})

    def delete(self, conversation_id: str) -> None:
        """Forget the conversation; refused with 404 where there is none."""
        self._call("DELETE", _conversation_path(conversation_id))

    def health(self) -> Health:
        """How the service is; asked of memory there, so a service that takes more than 3 s is away."""
        body = self._call("GET", "/health", timeout_s=3.0)
        with _failures_told():
            return _made(Health, body)

    def _call(self, method: str, path: str, timeout_s: float | None = None) -> dict[str, Any]:
        with _failures_told():
            response = self._http.request(method, path, timeout=timeout_s or self._timeout_s)
            _check(response)
            return {} if response.status_code == HTTPStatus.NO_CONTENT else dict(response.json())


def _conversation_path(conversation_id: str) -> str:
    return f"/v1/conversations/{quote(conversation_id, safe='')}"


class AnswerStream(Iterator[Event]):
    """The events of one answer. Taking the next raises `ApiAway` and `ApiRefused`."""

    def __init__(self, http: httpx.Client, request: httpx.Request) -> None:
        self._response: httpx.Response | None = None
        self._closed = False
        self._events = self._read(http, request)

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """End the call, so that the service learns that nobody reads on. Any thread may, while another waits."""
        self._closed = True
        if self._response is not None:
            _hang_up(self._response)
        with suppress(ValueError):  # the other thread is in it, and finds the line dead
            self._events.close()

    def _read(self, http: httpx.Client, request: httpx.Request) -> Generator[Event]:
        with _failures_told(), closing(http.send(request, stream=True)) as response:
            self._response = response
            _check_streamed(response)
            for received in read_events(response.iter_bytes()):
                event = _event(received)
                if event is not None:
                    yield event
                if isinstance(event, Answer) or self._closed:
                    return
        raise ApiAway("The answer broke off", "The service ended the answer before it was complete.")


def _hang_up(response: httpx.Response) -> None:
    """Shut the connection for both sides: closing its descriptor would not wake a thread that waits on it."""
    stream = response.extensions.get("network_stream")
    line = stream.get_extra_info("socket") if stream else None
    if line is not None and not response.is_closed:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def _failures_told() -> Iterator[None]:
    """Turn what goes wrong on the way into our errors."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise ApiAway(*_AWAY, reached=False) from exc
    except httpx.TimeoutException as exc:
        raise ApiAway(
            "The service takes too long", "The service did not answer in time. Try again in a moment."
        ) from exc
    except httpx.TransportError as exc:
        raise ApiAway(*_AWAY) from exc
    except (ValueError, TypeError, KeyError, httpx.DecodingError) as exc:
        raise ApiAway("The answer cannot be read", "Something other than the service answered.") from exc


def _check_streamed(response: httpx.Response) -> None:
    if response.is_success and response.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    response.read()
    _check(response)
    raise ValueError("The reply is not a stream of events.")


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    told = response.headers.get("Content-Type", "").startswith("application/problem+json")
    if not told and response.status_code in _FROM_A_PROXY:
        raise ApiAway(*_AWAY)
    wait = response.headers.get("Retry-After", "")
    raise ApiRefused(
        response.status_code,
        response.json() if told else {},
        retry_after_s=int(wait)
        if wait.isdecimal()
        else None,  # the other form is a date, which the service never sends
    )


def _event(received: ServerSentEvent) -> Event | None:
    """The event, None for a kind that is newer than this client."""
    body = json.loads(received.data)
    if received.name == "error":
        raise ApiRefused(int(body["problem"].get("status", 500)), body["problem"])
    kind = _EVENTS.get(received.name)
    if kind is Answer:
        return _made(Answer, {**body, "citations": _citations(body)})
    return None if kind is None else _made(kind, body)


def _message(body: Mapping[str, Any]) -> Message:
    return _made(Message, {**body, "citations": _citations(body)})


def _citations(body: Mapping[str, Any]) -> tuple[Citation, ...]:
    return tuple(_made(Citation, item) for item in body.get("citations") or ())


def _made(kind: type[T], body: Mapping[str, Any]) -> T:
    """A dataclass from the members it knows: the service may send more."""
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # mypy has no type for "a dataclass"
    return kind(**{name: value for name, value in body.items() if name in known})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"
