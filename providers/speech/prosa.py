"""Speech to text and text to speech by Prosa, over WebSockets.

Written from public descriptions of the protocol, not tried against the service. Source: https://docs2.prosa.ai
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import aiohttp

from providers.gate import Gate
from providers.openai_errors import AnswerCut, EndpointInfo
from providers.retries import CallLimits, retry
from providers.speech.calls import (
    LONGEST_TRANSCRIPT,
    call_model,
    check_sound,
    make_recording_refusal,
    make_text_refusal,
    require_words,
)
from providers.speech.prosa_wire import ProsaWire, is_end, read_opening, receive
from utils.audio import LARGEST_AUDIO, Recording
from utils.errors import BadInput
from utils.outbound import AnswerTooLarge

_SENT_AT_ONCE = 16_000
_LARGEST_TEXT = 64 * 1024
_LABEL = "pustaka"


class ProsaInfo(EndpointInfo):
    """Prosa's variables, for messages."""

    def name_setting(self, setting: str) -> str:
        """What sets it; the time limits are those of all endpoints for speech."""
        own = {"BASE_URL": f"PROSA_{self.prefix}_URL", "TIMEOUT": f"{self.prefix}_TIMEOUT"}
        return own.get(setting, f"PROSA_{self.prefix}_{setting}")


class ProsaSpeechToText:
    """`SpeechToText` by Prosa. Nothing is asked of it yet."""

    has_model = True

    def __init__(self, wire: ProsaWire, model: str, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._limits, self.gate, self.model = wire, limits, gate, model
        self._side = ProsaInfo("speech-to-text model", "STT", model, "Prosa")

    async def transcribe(self, recording: Recording, *, language: str | None = None) -> str:
        """The words of *recording*, not empty. The protocol has no place for *language*: the model decides.

        Raises:
            UnreadableDocument: nobody speaks in it, or Prosa does not read it.
            ProviderError: Prosa did not answer, or not as it should.
        """

        async def ask() -> str:
            data = await asyncio.to_thread(recording.read)  # now that it has a place
            return await retry(partial(self._transcribe, data), self._side, self._limits, self.gate.observer)

        make_refusal = partial(make_recording_refusal, language=None)
        return require_words(await call_model(ask, self._side, self.gate, make_refusal))

    async def check(self) -> None:
        """Open a session and send no sound.

        Raises:
            ProviderError: none was opened.
        """

        async def ask() -> None:
            async with self._open_session() as socket:
                await read_opening(socket)

        await call_model(partial(retry, ask, self._side, self._limits, self.gate.observer), self._side, self.gate)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()

    @asynccontextmanager
    async def _open_session(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {"x-api-key": self._wire.key.get_secret_value()}
        async with self._wire.connect(headers, largest_message=_LARGEST_TEXT) as socket:
            await socket.send_json({"label": _LABEL, "model": self.model, "include_partial": False})
            yield socket

    async def _transcribe(self, data: bytes) -> str:
        async with self._open_session() as socket:
            sending = asyncio.create_task(_send(socket, data))
            try:
                return await _read_transcript(socket)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


class ProsaTextToSpeech:
    """`TextToSpeech` by Prosa, whose models are its voices. Nothing is asked of it yet."""

    def __init__(self, wire: ProsaWire, model: str, sample_rate: int, *, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._limits, self.gate, self.model = wire, limits, gate, model
        self._sample_rate = sample_rate
        self._side = ProsaInfo("text-to-speech model", "TTS", model, "Prosa")

    async def speak(
        self, text: str, *, voice: str | None = None, response_format: str = "wav", speed: float = 1
    ) -> bytes:
        """*text* as a WAV file; *voice*: another one of Prosa's models than usual.

        Raises:
            BadInput: it is asked for another format or speed, or for a voice that Prosa does not have.
            TooLarge: the speech of a long text is too large.
            ProviderError: Prosa did not answer, or not as it should.
        """
        if response_format != "wav" or speed != 1:
            raise BadInput("Speech of Prosa is a WAV file of the usual speed: ask for `wav`, and for no speed.")
        speak = partial(self._speak, text, voice or self.model)
        ask = partial(retry, speak, self._side, self._limits, self.gate.observer)
        return await call_model(ask, self._side, self.gate, partial(make_text_refusal, text=text, voice=voice))

    async def check(self) -> None:
        """Open a session and send no text.

        Raises:
            ProviderError: none was opened.
        """

        async def ask() -> None:
            async with self._open_session(self.model):
                pass

        await call_model(partial(retry, ask, self._side, self._limits, self.gate.observer), self._side, self.gate)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()

    @asynccontextmanager
    async def _open_session(self, model: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        config = {"label": _LABEL, "model": model, "audio_format": "wav", "sample_rate": self._sample_rate}
        async with self._wire.connect({}, largest_message=LARGEST_AUDIO) as socket:
            await socket.send_json({"token": self._wire.key.get_secret_value()})
            await socket.send_json(config)
            await read_opening(socket)
            yield socket

    async def _speak(self, text: str, model: str) -> bytes:
        async with self._open_session(model) as socket:
            await socket.send_json({"text": text})
            data = await _read_sound(socket)
        check_sound(data, "wav")
        return data


async def _send(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
    with suppress(aiohttp.ClientError, OSError):  # what reads the answer says why
        for start in range(0, len(data), _SENT_AT_ONCE):
            await socket.send_bytes(data[start : start + _SENT_AT_ONCE])
        await socket.send_bytes(b"")  # the end of the sound


async def _read_transcript(socket: aiohttp.ClientWebSocketResponse) -> str:
    """All final results, until the session is complete."""
    parts: list[str] = []
    length = 0
    while (message := await receive(socket)) is not None and not is_end(message):
        if isinstance(message, dict) and message["type"] == "result":
            parts.append(message["transcript"].strip())
            length += len(parts[-1]) + 1
        if length > LONGEST_TRANSCRIPT:
            raise ValueError("no transcript of a recording of this size")
    return " ".join(parts).strip()


async def _read_sound(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    """A file in one message or several; its own header says where it ends, else the end of the session."""
    data = bytearray()
    while not _is_whole(data) and (message := await receive(socket)) is not None and not is_end(message):
        if isinstance(message, bytes):
            data += message
        if len(data) > LARGEST_AUDIO:
            raise AnswerTooLarge(f"{LARGEST_AUDIO} bytes")
    if not data:
        raise AnswerCut("no sound")
    return bytes(data)


def _is_whole(wav: bytearray) -> bool:
    size = int.from_bytes(wav[4:8], "little")
    return len(wav) > 8 and 0 < size < 0xFFFFFFFF and len(wav) >= size + 8
