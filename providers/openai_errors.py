"""What went wrong with a call to an OpenAI-compatible endpoint, in our terms.

An answer that is not in the wire format surfaces as whatever its reader stumbled over, LangChain's code among them.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import aiohttp

from utils.audio import NO_TRANSCRIPTION
from utils.errors import ProviderError, ProviderRefused, ProviderTimeout, ProviderUnavailable
from utils.outbound import AnswerTooLarge
from utils.reach import AddressRefused


class StatusError(Exception):
    """The endpoint refused; `code` is its own word for why, `retry_after` its header of that name.

    `unwanted`: a parameter of the request that it does not take. `is_of_question`: it says that what was asked is too
    long, or stopped by a filter. `is_of_file`: it says that the sound file that was sent cannot be read. `named`: what
    of a request about speech it speaks of, such as "voice".
    """

    def __init__(
        self,
        status: int,
        code: str = "",
        retry_after: str | None = None,
        unwanted: str = "",
        *,
        is_of_question: bool = False,
        is_of_file: bool = False,
        named: Set[str] = frozenset(),
    ) -> None:
        super().__init__(f"status {status}")
        self.status, self.code, self.retry_after, self.unwanted = status, code, retry_after, unwanted
        self.is_of_question, self.is_of_file, self.named = is_of_question, is_of_file, named


class EndpointError(Exception):
    """The endpoint said inside its answer that it failed."""


class AnswerCut(ConnectionError):
    """The endpoint ended its answer in good order, but before the end."""


class AnswerEmpty(AnswerCut):
    """The endpoint gave no answer at all, as some do where a filter of theirs stops it."""


class AnswerEndless(TimeoutError):
    """The endpoint goes on answering for longer than is listened."""


CALL_ERRORS = (
    StatusError,
    EndpointError,
    aiohttp.ClientError,
    OSError,  # TimeoutError is one
    ValueError,  # malformed JSON and schema violations
    TypeError,  # valid JSON of another shape: nothing checks it first
    KeyError,
    IndexError,
    AttributeError,
)
"""All that a call may raise because of the endpoint."""

_PASSING_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529})
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Parameters that an answer can be had without, and words of a refusal that is about one of them. A value that is out of
# bounds is another matter: without the parameter it would only be hidden.
OPTIONAL_PARAMETERS = (
    "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens",
    "tool_choice", "stream_options",
)  # fmt: skip
_NAMED = {name: re.compile(rf"\b{name}\b") for name in OPTIONAL_PARAMETERS}
_UNWANTED = re.compile(
    r"unsupported|not supported|n.t support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|not allowed"
    r"|deprecated|only the default|invalid.{0,20}argument|use .?max_",
    re.IGNORECASE,
)
_OUT_OF_BOUNDS = re.compile(
    r"context length|too (large|long|high|low)|at (most|least)|maximum|less than|greater than", re.IGNORECASE
)
_OF_QUESTION = re.compile(
    r"flagged|moderation|content[ _-]?(filter|policy|management)|context[ _-]?(length|size|window)"
    r"|(request|prompt|input|message)s?( is| length is| are)? too (large|long)|input length exceeds",
    re.IGNORECASE,
)
_FILE = r"(audio|file|media|recording)"
_OF_FILE = re.compile(
    r"(could not|could ?n.t|cannot|can.t|failed to|unable to) (decode|read|load|open|process|parse).{0,20}" + _FILE
    + r"|(invalid|unsupported|unrecogni[sz]ed|corrupt(ed)?|damaged) .{0,20}" + _FILE
    + "|" + _FILE + r".{0,30} (corrupt|damaged|invalid|unsupported|decoded|too short)"
    + "|" + _FILE + r".{0,30} not (valid|supported|recogni[sz]ed)",
    re.IGNORECASE,
)  # fmt: skip
# Of the model, or of the form that the file comes in: faults of the set-up. A type that is named is the file's.
_OF_SETUP = re.compile(r"\bmodel\b|multipart|form[- ]data|\b(media|content|mime)[- ]?type", re.IGNORECASE)
_SOUND_TYPE = re.compile(r"\b(audio|video)/\w", re.IGNORECASE)
_OF_SPEECH = re.compile(r"(?<![a-z])(model|voice|language|format|speed)s?(?![a-z])", re.IGNORECASE)
_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


Reason = Literal[
    "unreachable", "timeout", "disconnected", "rate_limited", "key_refused", "no_credit", "not_found", "refused",
    "server_error", "malformed",
]  # fmt: skip
"""All kinds of failure, for figures."""
_LASTING = frozenset[Reason]({"key_refused", "no_credit", "not_found"})


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A failed call: `problem` is for the caller; `passing` means the same call may succeed soon.

    `retry_after_s` is what the endpoint asked us to wait, None if it did not. `replaceable` means another model may do
    better; a refused key is not, so that it is noticed. `cause` is for the operator, where `problem` must not tell it.
    `is_of_question`: what was asked may be why, so that it tells nothing of other calls.
    """

    problem: ProviderError
    reason: Reason
    passing: bool
    retry_after_s: float | None = None
    replaceable: bool = True
    cause: str = ""
    is_of_question: bool = False

    @property
    def is_lasting(self) -> bool:
        """Whether all calls will fail until somebody changes something."""
        return self.reason in _LASTING


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """Which endpoint failed, for messages: `name` as "chat model", `prefix` of its variables as "LLM".

    Without a prefix it is a tenant's, which has fields in place of variables.
    """

    name: str
    prefix: str
    model: str
    format: str = "OpenAI"

    def name_setting(self, setting: str) -> str:
        """What sets it, as BASE_URL, API_KEY, MODEL or TIMEOUT: the variable, or the field of the tenant's model."""
        return f"{self.prefix}_{setting}" if self.prefix else _FIELDS[setting]


_FIELDS = {"BASE_URL": "base_url", "API_KEY": "api_key", "MODEL": "model", "TIMEOUT": "timeout_s"}


def describe_failure(exc: Exception, side: EndpointInfo) -> CallFailure:
    """What *exc*, one of `CALL_ERRORS`, means. No message holds a key, an address or words of the endpoint."""
    if isinstance(exc, StatusError):
        return _describe_status(exc, side)
    subject = f"The endpoint of the {side.name}"
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        # In the same words for every reason: else a tenant could find out which names there are in a private network.
        private = "" if side.prefix else " One at a private address needs MODEL_NETWORKS."
        detail = f"{subject} cannot be reached: check {side.name_setting('BASE_URL')}.{private}"
        return CallFailure(ProviderUnavailable(detail), "unreachable", passing=True, cause=_find_cause(exc))
    if isinstance(exc, TimeoutError):
        detail = f"{subject} did not answer in time: check that it is well, or raise {side.name_setting('TIMEOUT')}."
        is_endless = isinstance(exc, AnswerEndless)
        return CallFailure(ProviderTimeout(detail), "timeout", passing=False, is_of_question=is_endless)
    if isinstance(exc, EndpointError):
        return CallFailure(
            ProviderUnavailable(f"{subject} reported an error inside its answer."), "server_error", passing=True
        )
    if isinstance(exc, aiohttp.ClientError | OSError) and not isinstance(exc, aiohttp.InvalidURL):
        problem, is_empty = ProviderUnavailable(f"{subject} broke the connection off."), isinstance(exc, AnswerEmpty)
        return CallFailure(problem, "disconnected", passing=True, is_of_question=is_empty)
    if isinstance(exc, AnswerTooLarge):
        detail = f"{subject} sends more than is read of an answer ({exc}): check {side.name_setting('BASE_URL')}."
        return CallFailure(ProviderUnavailable(detail), "malformed", passing=False, is_of_question=True)
    detail = (
        f"{subject} does not speak the {side.format} format: check that {side.name_setting('BASE_URL')} is right"
        f"{', often it ends in /v1' if side.format == 'OpenAI' else ''}."
    )
    return CallFailure(ProviderUnavailable(detail), "malformed", passing=False)


def _find_cause(exc: aiohttp.ClientError) -> str:
    error = getattr(exc, "os_error", exc)  # that of a certificate has none
    if isinstance(error.__cause__, AddressRefused):
        return f"{error.__cause__} MODEL_NETWORKS opens private ones."
    return str(error)


def _describe_status(exc: StatusError, side: EndpointInfo) -> CallFailure:
    subject, status, setting = f"The endpoint of the {side.name}", exc.status, side.name_setting
    code = exc.code if exc.code and _CODE.fullmatch(exc.code) else ""
    cause = f"{status}, {code}" if code else str(status)
    if status < 400:
        advice = f"set {setting('BASE_URL')} to the new address"
        detail = f"{subject} redirects ({cause}), and redirects are not followed: {advice}."
        return CallFailure(ProviderUnavailable(detail), "not_found", passing=False)
    if exc.is_of_question:
        return _describe_refused(f"{subject} refused the request ({cause}): check {setting('MODEL')} and its limits.")
    if status in (401, 403):
        detail = f"{subject} refused the API key ({cause}): check {setting('API_KEY')}."
        return CallFailure(ProviderUnavailable(detail), "key_refused", passing=False, replaceable=False)
    if status == 402 or code in _NO_CREDIT:
        return CallFailure(
            ProviderUnavailable(f"{subject} reports that its credit is used up ({cause})."), "no_credit", passing=False
        )
    if status in _PASSING_STATUSES or status >= 500:
        return _describe_passing(
            exc, f"{subject} is limiting requests" if status == 429 else f"{subject} failed", cause
        )
    if code == NO_TRANSCRIPTION:
        detail = f"{subject} has no model for recordings ({status}): start it with one, or unset {setting('BASE_URL')}."
        return CallFailure(ProviderUnavailable(detail), "not_found", passing=False)
    if status == 404:
        detail = f"{subject} does not know the address or the model {side.model!r} ({cause})"
        detail += f": check {setting('BASE_URL')} and {setting('MODEL')}."
        if not side.model:  # it has none, or is not asked by its name
            detail = f"{subject} does not know the address ({cause}): check {setting('BASE_URL')}."
        return CallFailure(ProviderUnavailable(detail), "not_found", passing=False)
    return _describe_refused(f"{subject} refused the request ({cause}): check {setting('MODEL')} and its limits.")


def _describe_refused(detail: str) -> CallFailure:
    return CallFailure(ProviderRefused(detail), "refused", passing=False, is_of_question=True)


def _describe_passing(exc: StatusError, what: str, cause: str) -> CallFailure:
    wait_s = retry_after_s(exc.retry_after)
    headers = {} if wait_s is None else {"Retry-After": str(int(wait_s + 1))}
    problem = ProviderUnavailable(f"{what} ({cause}): try again later.", headers=headers)
    return CallFailure(problem, "rate_limited" if exc.status == 429 else "server_error", True, wait_s)


def is_of_question(status: int, code: str, refusal: str) -> bool:
    """Whether a *refusal* with *status* and *code* is about what was asked: too long, or stopped by a filter.

    Sources: what OpenAI, Azure, OpenRouter, llama.cpp and Ollama say, some with 403, 429 or 500.
    """
    return status >= 400 and status not in (401, 402, 404) and bool(_OF_QUESTION.search(f"{code} {refusal}"))


def is_of_file(status: int, refusal: str) -> bool:
    """Whether a *refusal* with *status* says that a sound file cannot be read, and not that none is taken.

    Sources: what OpenAI, Groq, vLLM, whisper.cpp and Speaches say.
    """
    is_of_setup = any(match[1] is None or not _SOUND_TYPE.search(refusal) for match in _OF_SETUP.finditer(refusal))
    return status in (400, 415, 422) and bool(_OF_FILE.search(refusal)) and not is_of_setup


def find_named(refusal: str) -> frozenset[str]:
    """What of a request about speech a *refusal* speaks of: "model", "voice", "language", "format" or "speed"."""
    return frozenset(map(str.lower, _OF_SPEECH.findall(refusal)))


def find_unwanted(status: int, code: str, refusal: str) -> str:
    """The parameter that a *refusal* with *status* and *code* says the endpoint does not take, "" if it says none.

    Source: https://platform.openai.com/docs/guides/error-codes, and what vLLM, FastAPI and Anthropic say.
    """
    if status not in (400, 422):
        return ""
    is_about_one = code.startswith(("unsupported", "unknown_param")) or _UNWANTED.search(refusal)
    if not is_about_one or (_OUT_OF_BOUNDS.search(refusal) and not code.startswith("unsupported")):
        return ""
    named = {name: match.start() for name, pattern in _NAMED.items() if (match := pattern.search(refusal))}
    # "'max_tokens' is not supported. Use 'max_completion_tokens'": what is to be used comes after.
    return min(named, key=named.__getitem__) if named else ""


def retry_after_s(header: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, a number or a date (RFC 9110, 10.2.3); None if it says nothing."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # of a year that no computer knows
            return None
    # Not a number and infinity parse as numbers too.
    return max(0.0, seconds) if seconds < 1e9 else None
