"""Speech to text and text to speech by any OpenAI-compatible endpoint.

Wire format: https://platform.openai.com/docs/api-reference/audio
"""

import asyncio
from functools import partial

import aiohttp

from providers.answer_limits import CHAT
from providers.endpoint_check import ask_transcription
from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, EndpointInfo, StatusError
from providers.openai_wire import Json, OpenAIWire
from providers.retries import CallLimits, retry
from providers.speech.calls import (
    LONGEST_TRANSCRIPT,
    add_recording,
    call_model,
    check_sound,
    make_recording_refusal,
    make_text_refusal,
    require_words,
)
from utils.audio import LARGEST_AUDIO, NO_TRANSCRIPTION, Recording
from utils.errors import TooLarge
from utils.loops import lengthen

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class EndpointSpeechToText:
    """`SpeechToText` over an endpoint; belongs to the event loop it was made in. Nothing is asked of it yet."""

    def __init__(self, wire: OpenAIWire, model: str, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._limits, self.gate = wire, limits, gate
        self._side = EndpointInfo("speech-to-text model", "STT", model)
        self.model = model
        self.has_model = True

    async def await_model(self) -> None:
        """Ask, without a recording, until the endpoint has a model for recordings; `has_model` is False meanwhile.

        What cannot be reached is taken to have one.
        """
        pause_s = _FIRST_PAUSE_S
        while not await self._is_ready():
            await asyncio.sleep(pause_s)
            pause_s = lengthen(pause_s, _LONGEST_PAUSE_S)

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await ask_transcription(self._wire, self.model)
        except StatusError as exc:
            self.has_model = exc.code != NO_TRANSCRIPTION
            return self.has_model
        except CALL_ERRORS:
            return False
        return True

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> str:
        """The words of *recording*, not empty.

        Raises:
            UnreadableDocument: nobody speaks in it, or the endpoint does not read it.
            TooLarge: its transcript is too long.
            BadInput: the endpoint refuses *language*.
            ProviderError: the endpoint did not answer, or not as it should.
        """

        async def ask() -> str:
            data = await asyncio.to_thread(recording.read)  # now that it has a place
            send = partial(
                self._wire.upload, "/audio/transcriptions", partial(self._make_form, recording, data, language)
            )
            answered = await retry(partial(send, CHAT), self._side, self._limits, self.gate.observer)
            text = answered["text"]
            if not isinstance(text, str):
                raise ValueError("no transcript")
            if len(text) > LONGEST_TRANSCRIPT:
                raise TooLarge(
                    f"The transcript has more than {LONGEST_TRANSCRIPT:,} characters. Send a shorter recording."
                )
            return text.strip()

        make_refusal = partial(make_recording_refusal, language=language)
        return require_words(await call_model(ask, self._side, self.gate, make_refusal))

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()

    def _make_form(self, recording: Recording, data: bytes, language: str | None) -> aiohttp.MultipartWriter:
        """A body, anew for each try."""
        form = aiohttp.MultipartWriter("form-data")
        fields = {"model": self.model, "response_format": "json", **({"language": language} if language else {})}
        for name, value in fields.items():
            form.append(value).set_content_disposition("form-data", name=name)
        add_recording(form, recording, data)
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
            BadInput: the endpoint refuses what was chosen, as a voice that it does not have.
            TooLarge: the speech of a long text is too large in this format.
            ProviderError: the endpoint did not answer, or not as it should.
        """
        body: Json = {"model": self.model, "voice": voice or self._voice, "input": text}
        body |= {"response_format": response_format, **({} if speed == 1 else {"speed": speed})}

        async def ask() -> bytes:
            download = partial(self._wire.download, "/audio/speech", body, LARGEST_AUDIO)
            data = await retry(download, self._side, self._limits, self.gate.observer)
            check_sound(data, response_format)
            return data

        make_refusal = partial(make_text_refusal, text=text, voice=voice, response_format=response_format, speed=speed)
        return await call_model(ask, self._side, self.gate, make_refusal)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()
