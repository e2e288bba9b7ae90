"""What all calls of speech models have in common: the form with a recording, whether a sound is whole, and
the refusal where one fails."""

from collections.abc import Awaitable, Callable, Set
from typing import TypeVar

import aiohttp

from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, AnswerCut, EndpointInfo, StatusError, describe_failure
from providers.retries import CallFailed
from utils.audio import (
    DAMAGED,
    HEAD_BYTES,
    LARGEST_AUDIO,
    NO_SPEECH,
    SPEECH_FORMATS,
    Recording,
    has_samples,
    is_cut_wav,
    sniff,
)
from utils.errors import BadInput, ProblemError, TooLarge, UnreadableDocument
from utils.outbound import AnswerTooLarge
from utils.validation import refuse_field

T = TypeVar("T")
LONGEST_TRANSCRIPT = 100_000
_TOO_LARGE = (
    f"The speech would have more than {LARGEST_AUDIO // 2**20} MB: send a shorter text, ask for mp3, or for more speed."
)
# Characters at the usual speed: a minute or more. Of less, no sound file has 16 MB unless something is wrong with it.
_LONG_TEXT = 1_000


async def call_model(
    ask: Callable[[], Awaitable[T]],
    side: EndpointInfo,
    gate: Gate,
    make_refusal: Callable[[Exception | None], ProblemError | None] = lambda cause: None,
) -> T:
    """What *ask* gives, once there is room for it; its failures in our terms.

    *make_refusal* gives one where the cause is what the caller sent, which is no failure of the endpoint.
    """
    try:
        async with gate.hold_place():
            try:
                return await ask()
            except CallFailed as exc:
                cause = exc.__cause__
                if refusal := make_refusal(cause if isinstance(cause, Exception) else None):
                    raise refusal from cause
                raise
    except CallFailed as exc:
        raise exc.failure.problem from exc.__cause__
    except CALL_ERRORS as exc:
        raise describe_failure(exc, side).problem from exc


def require_words(transcript: str) -> str:
    """*transcript*.

    Raises:
        UnreadableDocument: it has no word: nobody speaks in the recording.
    """
    if not any(map(str.isalnum, transcript)):
        raise UnreadableDocument(NO_SPEECH)
    return transcript


def add_recording(form: aiohttp.MultipartWriter, recording: Recording, data: bytes) -> None:
    """Add *recording*, whose bytes are *data*, as `file`, called by its kind and not as the caller does."""
    part = form.append(data, {"Content-Type": recording.kind.media_type})
    part.set_content_disposition("form-data", name="file", filename=f"speech.{recording.kind.extension}")


def check_sound(data: bytes, response_format: str) -> None:
    """Return where *data* is a whole sound file of this format.

    Raises:
        ValueError: it is of another format, or none.
        AnswerCut: it ends before its end.
    """
    if sniff(data[:HEAD_BYTES]) != SPEECH_FORMATS[response_format]:
        raise ValueError(f"the answer is no file of the format {response_format}")
    if is_cut_wav(data) or (response_format == "wav" and not has_samples(data)):
        raise AnswerCut("a part of a file")


def make_recording_refusal(cause: Exception | None, *, language: str | None) -> ProblemError | None:
    """The refusal of a recording that the endpoint cannot read, or of a language that it does not know."""
    if not isinstance(cause, StatusError):
        return None
    if _is_of_choice(cause, frozenset({"language"} if language else ())) and not cause.is_of_file:
        return refuse_field(
            "language: The endpoint of the speech-to-text model refused the request: it may not know this language. "
            "Leave it out, and the model finds out.",
            "language",
        )
    return UnreadableDocument(DAMAGED) if cause.is_of_file else None


def make_text_refusal(
    cause: Exception | None, text: str, *, voice: str | None, response_format: str = "wav", speed: float = 1
) -> ProblemError | None:
    """The refusal of a text that is too long, or of a voice, format or speed that the endpoint does not have."""
    if isinstance(cause, AnswerTooLarge) and len(text) / speed >= _LONG_TEXT:
        return TooLarge(_TOO_LARGE)
    if not isinstance(cause, StatusError):
        return None
    subject = "The endpoint of the text-to-speech model refused"
    if cause.is_of_question:
        return BadInput(f"{subject} the text: it may be too long for it, or a filter stopped it.")
    chosen = {"voice": bool(voice), "format": response_format != "wav", "speed": speed != 1}
    if not _is_of_choice(cause, frozenset(name for name, is_chosen in chosen.items() if is_chosen)):
        return None
    return BadInput(f"{subject} the request: it may not have this voice or format, or this speed.")


def _is_of_choice(cause: StatusError, chosen: Set[str]) -> bool:
    """Whether a refusal is about one of *chosen*, by its words; without any it may be, where there are some."""
    if not chosen or cause.status not in (400, 404, 422):
        return False
    return bool(cause.named & chosen) or (cause.status != 404 and not cause.named)
