"""Speech to text and text to speech by any OpenAI-compatible endpoint.

Wire format: https://platform.openai.com/docs/api-reference/audio
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import aiohttp

from providers.answer_limits import CHAT
from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, EndpointInfo, StatusError, describe_failure
from providers.openai_wire import Json, OpenAIWire
from providers.retries import CallFailed, CallLimits, retry
from utils.audio import HEAD_BYTES, LARGEST_AUDIO, NO_SPEECH, SPEECH_FORMATS, Recording, sniff
from utils.errors import UnreadableDocument

T = TypeVar("T")
LONGEST_TRANSCRIPT = 100_000

_DAMAGED = "The recording cannot be read: it is damaged, too short, or of a kind that is not supported. Record again."


class EndpointSpeechToText:
    """`SpeechToText` over an endpoint; belongs to the event loop it was made in. Nothing is asked of it yet."""

    def __init__(self, wire: OpenAIWire, model: str, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._limits, self.gate = wire, limits, gate
        self._side = EndpointInfo("speech-to-text model", "STT", model)
        self.model = model

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> str:
        """The words of *recording*, not empty.

        Raises:
            UnreadableDocument: nobody speaks in it, or the endpoint does not read it.
            ProviderError: the endpoint did not answer, or not as it should.
        """

        async def ask() -> str:
            data = await asyncio.to_thread(recording.read)  # now that it has a place
            send = partial(
                self._wire.upload, "/audio/transcriptions", partial(self._make_form, recording, data, language)
            )
            answered = await tell_unreadable(retry(partial(send, CHAT), self._side, self._limits, self.gate.observer))
            text = answered["text"]
            if not isinstance(text, str) or len(text) > LONGEST_TRANSCRIPT:
                raise ValueError("no transcript, or none of a recording of this size")
            return text.strip()

        return require_words(await call_model(ask, self._side, self.gate))

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()

    def _make_form(self, recording: Recording, data: bytes, language: str | None) -> aiohttp.MultipartWriter:
        """A body, anew for each try; the file has no name of the caller's, and the extension of what it is."""
        form = aiohttp.MultipartWriter("form-data")
        fields = {"model": self.model, "response_format": "json", **({"language": language} if language else {})}
        for name, value in fields.items():
            form.append(value).set_content_disposition("form-data", name=name)
        part = form.append(data, {"Content-Type": recording.kind.media_type})
        part.set_content_disposition("form-data", name="file", filename=f"speech.{recording.kind.extension}")
        return form


class EndpointTextToSpeech:
    """`TextToSpeech` over an endpoint; belongs to the event loop it was made in. Nothing is asked of it yet."""

    def __init__(self, wire: OpenAIWire, model: str, voice: str, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._voice, self._limits, self.gate = wire, voice, limits, gate
        self._side = EndpointInfo("text-to-speech model", "TTS", model)
        self.model = model

    async def speak(
        self, text: str, *, voice: str | None = None, response_format: str = "wav", speed: float = 1
    ) -> bytes:
        """*text* as a file of a format of `SPEECH_FORMATS`; *voice*: another one than usual.

        Raises:
            ProviderRefused: the endpoint refuses the request, as one with a voice that it does not have.
            ProviderError: the endpoint did not answer, or not as it should.
        """
        body: Json = {"model": self.model, "voice": voice or self._voice, "input": text}
        body |= {"response_format": response_format, **({} if speed == 1 else {"speed": speed})}

        async def ask() -> bytes:
            ask = partial(self._wire.download, "/audio/speech", body, LARGEST_AUDIO)
            data = await retry(ask, self._side, self._limits, self.gate.observer)
            if sniff(data[:HEAD_BYTES]) != SPEECH_FORMATS[response_format]:
                raise ValueError(f"the answer is no file of the format {response_format}")
            return data

        return await call_model(ask, self._side, self.gate)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()


def require_words(transcript: str) -> str:
    """*transcript*.

    Raises:
        UnreadableDocument: it has no word: nobody speaks in the recording.
    """
    if not any(map(str.isalnum, transcript)):
        raise UnreadableDocument(NO_SPEECH)
    return transcript


async def tell_unreadable(answer: Awaitable[T]) -> T:
    """*answer*.

    Raises:
        UnreadableDocument: in its place the endpoint says that it cannot read the recording.
        CallFailed: it failed otherwise.
    """
    try:
        return await answer
    except CallFailed as exc:
        if isinstance(exc.__cause__, StatusError) and exc.__cause__.is_of_file:
            raise UnreadableDocument(_DAMAGED) from exc
        raise


async def call_model(ask: Callable[[], Awaitable[T]], side: EndpointInfo, gate: Gate) -> T:
    """What *ask* gives, once there is a place for it; its failures in our terms."""
    try:
        async with gate.hold_place():
            return await ask()
    except CallFailed as exc:
        raise exc.failure.problem from exc.__cause__
    except CALL_ERRORS as exc:
        raise describe_failure(exc, side).problem from exc
