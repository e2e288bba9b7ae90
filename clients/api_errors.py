"""What can go wrong on the way to the API and back, in words for the person who asked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Literal

import httpx

Kind = Literal["away", "broken", "slow", "unexpected"]
_AWAY: dict[Kind, tuple[str, str]] = {
    "away": ("The service is away", "The service cannot be reached. Try again in a moment."),
    "broken": ("The answer broke off", "The service ended the answer before it was complete."),
    "slow": ("The service takes too long", "The service did not answer in time. Try again in a moment."),
    "unexpected": ("Unexpected response", "The response did not come from the service. Try again later."),
}
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
    """The service did not answer, or stopped in the midst of it; `reached` is False where it never got the call.

    `kind` says how: it is away, ended too early, did not answer in time, or something else answered.
    """

    def __init__(self, kind: Kind = "away", *, reached: bool = True) -> None:
        super().__init__(*_AWAY[kind])
        self.kind: Kind = kind
        self.reached = reached


class ApiRefused(ApiError):
    """The service answered with a problem document (RFC 9457); *status* is its HTTP status.

    `retry_after_s` is how long it asks to wait, `run_id` the run that is in the way, `bot_id` the bot that is switched
    off, `limit` how many there may be of something; None where it does not say.
    `kind` is the last part of the problem's type, such as "not-found", empty where there is none.
    `ended_run`: it is how a run ended, not a refusal to tell of one.
    """

    def __init__(
        self, status: int, problem: Mapping[str, Any], *, retry_after_s: int | None = None, ended_run: bool = False
    ) -> None:
        title = str(problem.get("title") or _phrase(status))
        super().__init__(
            title,
            str(problem.get("detail") or title),
            request_id=problem.get("request_id"),
            worth_retrying=(status in (408, 409, 429) and "limit" not in problem) or status >= 500,
        )
        self.status, self.retry_after_s, self.run_id = status, retry_after_s, problem.get("run_id")
        self.bot_id, self.limit = problem.get("bot_id"), problem.get("limit")
        self.kind = str(problem.get("type") or "").rpartition(":")[2]
        self.ended_run = ended_run


@contextmanager
def translate_failures() -> Iterator[None]:
    """Turn what goes wrong on the way into our errors."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise ApiAway(reached=False) from exc
    except httpx.TimeoutException as exc:
        raise ApiAway("slow") from exc
    except httpx.TransportError as exc:
        raise ApiAway() from exc
    except (ValueError, TypeError, KeyError, httpx.DecodingError) as exc:
        raise ApiAway("unexpected") from exc


@contextmanager
def ignore_missing() -> Iterator[None]:
    """Pass over that there is no such thing, or not any more."""
    try:
        yield
    except ApiRefused as refusal:
        if refusal.status != HTTPStatus.NOT_FOUND:
            raise


def check_streamed(response: httpx.Response) -> None:
    """Raise what is wrong with a reply that should be a stream of events: ours, or ValueError."""
    if response.is_success and response.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    response.read()
    check(response)
    raise ValueError("The reply is not a stream of events.")


def check(response: httpx.Response) -> None:
    """Raise the error that a reply tells of."""
    if response.is_success:
        return
    problem = _read_problem(response)
    if not problem and response.status_code in _FROM_A_PROXY:
        raise ApiAway()
    wait = response.headers.get("Retry-After", "")
    raise ApiRefused(
        response.status_code,
        problem,
        # The other form is a date, which the service never sends.
        retry_after_s=int(wait) if wait.isdecimal() else None,
    )


def _read_problem(response: httpx.Response) -> Mapping[str, Any]:
    """What the service says is wrong, also at addresses that answer as OpenAI's do; empty where something else
    answered."""
    media_type = response.headers.get("Content-Type", "")
    if media_type.startswith("application/problem+json"):
        problem: dict[str, Any] = response.json()
        return problem
    body: Any = None
    if media_type.startswith("application/json"):
        with suppress(ValueError):
            body = response.json()
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not error.get("code"):
        return {}
    return {"type": error["code"], "detail": error.get("message"), "request_id": response.headers.get("X-Request-Id")}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP {status}"
