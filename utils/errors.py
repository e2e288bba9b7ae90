"""Every refusal the service can give: the one table of problem types, rendered as RFC 9457 problem details.

A type has one title and one status, `docs/api-conventions.md` lists them all, and no other type is ever sent.
"""

import time
from collections.abc import Mapping

from utils.checkpointer.errors import Conflict, ProblemError, StoreRefused, StoreUnavailable

__all__ = ["Conflict", "ProblemError", "StoreRefused", "StoreUnavailable"]  # the checkpointer raises them, too


class BadInput(ProblemError):
    """The request is malformed; `members["errors"]` names each field and what it accepts."""

    slug, title, status = "bad-input", "The request is not valid", 400


class UntrustedHost(ProblemError):
    """The request is for another name than those of TRUSTED_HOSTS."""

    slug, title, status = "untrusted-host", "Host not allowed", 400


class Unauthorized(ProblemError):
    slug, title, status = "unauthorized", "A valid API key is needed", 401


class VisitorRefused(ProblemError):
    """The chat page's key is valid, but the visitor that it speaks for is not; or a visitor's own token is not."""

    slug, title, status = "visitor-refused", "Invalid visitor token", 401


class Forbidden(ProblemError):
    """The key is valid, but not for this; `members["required_scope"]` is what it lacks."""

    slug, title, status = "forbidden", "Forbidden", 403


class OriginRefused(ProblemError):
    """The bot is not open to visitors of the website whose page asks."""

    slug, title, status = "origin-refused", "Not open to this website", 403


class LinkRefused(ProblemError):
    """A link that opens a document without a key, too old or not one of ours."""

    slug, title, status = "link-refused", "Invalid or expired link", 403


class NotFound(ProblemError):
    """Nothing of this id; also raised for what belongs to another tenant, whose existence is not admitted."""

    slug, title, status = "not-found", "Not found", 404


class MethodNotAllowed(ProblemError):
    """The `Allow` header names the methods of the path."""

    slug, title, status = "method-not-allowed", "The method is not allowed", 405


class RequestTimeout(ProblemError):
    slug, title, status = "request-timeout", "Request timed out", 408


class Gone(ProblemError):
    """What was there once, for those who can know that it was."""

    slug, title, status = "gone", "Gone", 410


class PreconditionFailed(ProblemError):
    """The caller has seen another state; `members["current"]` is the present one."""

    slug, title, status = "precondition-failed", "The resource has changed", 412


class TooLarge(ProblemError):
    slug, title, status = "too-large", "The request is too large", 413


class UnsupportedMediaType(ProblemError):
    """The `Accept` header of the answer names what the route takes (RFC 9110, 12.5.1)."""

    slug, title, status = "unsupported-media-type", "The media type is not supported", 415


class RangeNotSatisfiable(ProblemError):
    slug, title, status = "range-not-satisfiable", "The range is not in the file", 416


class UnreadableDocument(ProblemError):
    """A document that cannot be taken in; the others of its batch go on."""

    slug, title, status = "unreadable-document", "Damaged or unsupported file", 422


class InfectedFile(UnreadableDocument):
    """A file in which the malware scanner found *signature*."""

    slug, title, status = "infected-file", "The file contains malware", 422

    def __init__(self, signature: str) -> None:
        super().__init__(f"It contains malware ({signature}), and was not read.")
        self.signature = signature


class ScannerUnavailable(ProblemError):
    """No file is read before it was looked at, and the scanner does not answer. It is no fault of the document."""

    slug, title, status = "scanner-unavailable", "The malware scanner did not answer", 503


class ReusedKey(ProblemError):
    """The status is that of draft-ietf-httpapi-idempotency-key-header-07, 2.7."""

    slug, title, status = "reused-key", "The Idempotency-Key belongs to another request", 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another request before. Use a new one for a new request.")


class QuotaExceeded(ProblemError):
    """The tenant has all it may have of something; `members["quota"]` names it, its limit and the use."""

    slug, title, status = "quota-exceeded", "Quota exceeded", 429


class RequestUnderWay(Conflict):
    """One with the same Idempotency-Key is."""

    slug, title = "request-under-way", "Request already in progress"


class RateLimited(ProblemError):
    slug, title, status = "rate-limited", "Too many requests", 429


class TooManyAtOnce(ProblemError):
    """The key has as much under way as it may; `RateLimited` is about how often it asks."""

    slug, title, status = "too-many-at-once", "Concurrent request limit reached", 429


class HeadTooLarge(ProblemError):
    slug, title, status = "head-too-large", "The head of the request is too large", 431


class InternalError(ProblemError):
    """What is not ours to tell: the log has it, found by the request id."""

    slug, title, status = "internal", "Internal error", 500


class Overloaded(ProblemError):
    """There is no room in this process at present. Expected under load: it is counted, not logged one by one."""

    slug, title, status = "overloaded", "The service is overloaded", 503


class StoreDamaged(StoreRefused):
    """The file of the SQLite database is no such database, or not all of it is whole any more."""


class NotEnoughSpace(StoreUnavailable):
    """The disk is full, or nearly: what was asked for could not be kept. Nothing has changed."""

    slug, title, status = "not-enough-space", "Not enough disk space", 503


class NotReady(ProblemError):
    slug, title, status = "not-ready", "The service is not ready", 503


class SourceFailed(ProblemError):
    """A tenant's own database; the detail says what to do, without its login."""

    slug, title, status = "source-failed", "The data source cannot be read", 502


class ProviderError(ProblemError):
    """A model failed; the base of the three below."""

    slug, title, status = "provider-error", "The model endpoint failed", 502


class ProviderUnavailable(ProviderError):
    slug, title, status = "provider-unavailable", "The model endpoint did not answer", 502


class ProviderRefused(ProviderUnavailable):
    """The endpoint refused this very request, as one with a parameter that it does not know."""


class ProviderBusy(ProviderError):
    """The limit on concurrent calls is reached; the endpoint was not asked."""

    slug, title, status = "provider-busy", "The model is busy", 503


class ProviderTimeout(ProviderError):
    slug, title, status = "provider-timeout", "The model endpoint took too long", 504


_UNEXPECTED = "Something went wrong on our side. Try again; if it happens again, give the operator this request_id."


class RunFailed(ProblemError):
    """A run that failed on another worker, or before: its problem as it was told then."""

    def __init__(self, problem: Mapping[str, object], *, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(problem["detail"]), headers=headers, members=dict(problem))
        self.status = int(str(problem["status"]))  # type: ignore[misc]  # of this one, not of all


def describe_problem(error: BaseException) -> dict[str, object]:
    """What may be told of *error*, as members of a problem document; what is not ours to tell becomes a plain 500."""
    if isinstance(error, RunFailed):
        return error.members
    if not isinstance(error, ProblemError):
        error = InternalError(_UNEXPECTED)
    members = {"type": f"urn:pustaka:problem:{error.slug}", "title": error.title, "status": error.status}
    return {**members, "detail": error.detail, **error.members}


def make_problem_document(error: BaseException, *, instance: str, request_id: str | None) -> dict[str, object]:
    """The whole document for *error*, as every client gets it, wherever the request failed.

    *instance* is the path of the request, percent-encoded; `message` repeats `detail` for clients that look there.
    """
    problem = describe_problem(error)
    if instance.startswith("//"):  # which would name another host (RFC 3986, 4.2)
        instance = "/" + instance.lstrip("/")
    where = {"instance": instance, "request_id": request_id, "timestamp": int(time.time())}
    return {**problem, "message": problem["detail"], **where}


def list_problem_types(of: type[ProblemError] = ProblemError) -> list[type[ProblemError]]:
    """Every type of problem: the classes of refusals that have a name of their own."""
    below = [kind for child in of.__subclasses__() for kind in list_problem_types(child)]
    return [*([of] if "slug" in vars(of) and of is not ProblemError else []), *below]


def make_refusal(status: int, detail: str) -> ProblemError:
    """Our refusal for what an HTTP library refuses with *status*."""
    kind = _OF_STATUS.get(status, BadInput if 400 <= status < 500 else InternalError)
    return kind(_UNEXPECTED if kind is InternalError else detail)


_OF_STATUS: Mapping[int, type[ProblemError]] = {
    kind.status: kind
    for kind in (
        BadInput, Unauthorized, NotFound, MethodNotAllowed, RequestTimeout, Conflict, TooLarge, UnsupportedMediaType,
        RangeNotSatisfiable, UnreadableDocument, RateLimited, HeadTooLarge, InternalError, Overloaded,
    )
}  # fmt: skip
