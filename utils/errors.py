"""Every refusal the service can give, as one tree; `api/problems.py` renders it as RFC 9457 problem details.

ProblemError
├── BadInput 400                ├── RateLimited 429
├── Unauthorized 401            ├── NotReady 503
├── VisitorRefused 401          │
├── Forbidden 403               │
├── LinkRefused 403             ├── StoreUnavailable 503
├── NotFound 404                │   └── StoreRefused 503
├── Conflict 409                ├── Overloaded 503
├── Gone 410                    └── ProviderError 502
├── TooLarge 413                    ├── ProviderUnavailable 502
├── UnreadableDocument 422          ├── ProviderBusy 503
├── ReusedKey 422                   └── ProviderTimeout 504
├── TooManyAtOnce 429
└── RunFailed, as it was
"""

from collections.abc import Mapping
from http import HTTPStatus

from utils.checkpointer.errors import Conflict, ProblemError, StoreRefused, StoreUnavailable

__all__ = ["Conflict", "ProblemError", "StoreRefused", "StoreUnavailable"]  # the checkpointer raises them, too


class BadInput(ProblemError):
    """The request is malformed; `members["errors"]` names each field and what it accepts."""

    slug, title, status = "bad-input", "The request is not valid", 400


class Unauthorized(ProblemError):
    slug, title, status = "unauthorized", "A valid API key is needed", 401


class VisitorRefused(ProblemError):
    """The chat page's key is valid, but the visitor that it speaks for is not."""

    slug, title, status = "visitor-refused", "The visitor is not known", 401


class Forbidden(ProblemError):
    """The key is valid, but not for this; `members["required_scope"]` is what it lacks."""

    slug, title, status = "forbidden", "The key may not do this", 403


class LinkRefused(ProblemError):
    """A link that opens a document without a key, too old or not one of ours."""

    slug, title, status = "link-refused", "This link does not open anything", 403


class NotFound(ProblemError):
    """Also for what belongs to another tenant: its existence is not admitted."""

    slug, title, status = "not-found", "There is no such thing", 404


class Gone(ProblemError):
    """What was there once, for those who can know that it was."""

    slug, title, status = "gone", "It is not there any more", 410


class TooLarge(ProblemError):
    slug, title, status = "too-large", "The request is too large", 413


class UnreadableDocument(ProblemError):
    """A document that cannot be taken in; the others of its batch go on."""

    slug, title, status = "unreadable-document", "The document cannot be read", 422


class ReusedKey(ProblemError):
    """The status is that of draft-ietf-httpapi-idempotency-key-header-07, 2.7."""

    slug, title, status = "reused-key", "An Idempotency-Key was used twice", 422


class RateLimited(ProblemError):
    slug, title, status = "rate-limited", "Too many requests", 429


class TooManyAtOnce(ProblemError):
    """The key has as much under way as it may; `RateLimited` is about how often it asks."""

    slug, title, status = "too-many-at-once", "Too many requests at once", 429


class Overloaded(ProblemError):
    """There is no room in this process at present. Expected under load: it is counted, not logged one by one."""

    slug, title, status = "overloaded", "The service is busy", 503


class NotReady(ProblemError):
    slug, title, status = "not-ready", "The service is not ready", 503


class ProviderError(ProblemError):
    """A model failed; the base of the three below."""

    slug, title, status = "provider-error", "The model endpoint failed", 502


class ProviderUnavailable(ProviderError):
    slug, title, status = "provider-unavailable", "The model endpoint did not answer", 502


class ProviderBusy(ProviderError):
    """As many calls as we allow are under way; the endpoint was not asked."""

    slug, title, status = "provider-busy", "The model is busy", 503


class ProviderTimeout(ProviderError):
    slug, title, status = "provider-timeout", "The model endpoint took too long", 504


_UNEXPECTED = "Something went wrong on our side. Try again; if it stays, give the operator this request_id."


class RunFailed(ProblemError):
    """A run that failed on another worker, or before: its problem as it was told then."""

    def __init__(self, problem: Mapping[str, object], *, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(problem["detail"]), headers=headers, members=dict(problem))
        self.status = int(str(problem["status"]))  # type: ignore[misc]  # of this one, not of all


def problem(slug: str, title: str, status: int, detail: str) -> dict[str, object]:
    """The members of a problem document that every one has."""
    return {"type": f"urn:pustaka:problem:{slug}", "title": title, "status": status, "detail": detail}


def http_problem(status: int, detail: str) -> dict[str, object]:
    """The same for what HTTP alone has a name for."""
    phrase = HTTPStatus(status).phrase
    return problem(phrase.lower().replace(" ", "-"), phrase, status, detail)


def problem_of(error: BaseException) -> dict[str, object]:
    """What may be told of *error*, as members of a problem document; what is not ours to tell becomes a plain 500."""
    if isinstance(error, RunFailed):
        return error.members
    if isinstance(error, ProblemError):
        return {**problem(error.slug, error.title, error.status, error.detail), **error.members}
    return problem("internal", "Internal error", 500, _UNEXPECTED)
