"""Speech to text and text to speech by Prosa, over WebSockets.

Written from public descriptions of the protocol, not tried against the service. A session is opened by the key and a
configuration in JSON; sound is binary messages, everything else JSON with a `type`. Source: https://docs2.prosa.ai
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from pydantic import SecretStr

from providers.gate import Gate
from providers.openai_errors import AnswerCut, EndpointError, EndpointInfo, StatusError
from providers.retries import CallLimits, retry
from providers.speech.calls import (
    LONGEST_TRANSCRIPT,
    call_model,
    check_sound,
    make_recording_refusal,
    make_text_refusal,
    require_words,
)
from utils.audio import LARGEST_AUDIO, Recording
from utils.errors import BadInput
from utils.outbound import AnswerTooLarge

_SENT_AT_ONCE = 16_000
_LARGEST_TEXT = 64 * 1024
_LONGEST_CLOSE_S = 1.0
_LABEL = "pustaka"
_STATUS_OF_CLOSE_CODE = {4000: 401, 4001: 400, 4002: 404, 4005: 402, 4029: 429}
_STATUS_OF_ERROR = {
    "auth_invalid_api_key": 401,
    "auth_unauthorized": 401,
    "forbidden": 403,
    "quota_insufficient": 402,
    "quota_empty": 402,
    "asr_model_not_found": 404,
}
_MODEL = frozenset({"model", "voice"})  # Prosa's voices are models
_ERRORS_OF_FILE = frozenset(
    {"asr_request_invalid_data", "asr_request_no_audio_data", "asr_request_unsupported_media_type"}
)


class ProsaInfo(EndpointInfo):
    """Prosa's variables, for messages."""

    def name_setting(self, setting: str) -> str:
        """What sets it; the time limits are those of all endpoints for speech."""
        own = {"BASE_URL": f"PROSA_{self.prefix}_URL", "TIMEOUT": f"{self.prefix}_TIMEOUT"}
        return own.get(setting, f"PROSA_{self.prefix}_{setting}")


class ProsaWire:
    """Opens sessions at *url*; belongs to the event loop it was made in."""

    def __init__(self, url: str, key: SecretStr, *, connect_timeout_s: float) -> None:
        self._url, self.key, self._connect_timeout_s = url, key, connect_timeout_s
        redirects = aiohttp.TraceConfig()
        redirects.on_request_redirect.append(_refuse_redirect)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=httpx.create_ssl_context() if url.startswith("wss:") else True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            trace_configs=[redirects],
        )

    @asynccontextmanager
    async def connect(
        self, headers: Mapping[str, str], *, largest_message: int
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A connection, closed after the block.

        Raises:
            StatusError: the server refuses it.
        """
        try:
            socket = await self._session.ws_connect(self._url, headers=headers, max_msg_size=largest_message)
        except aiohttp.WSServerHandshakeError as exc:
            # Not the cause: it holds the headers, and the key with them.
            failed = StatusError(exc.status) if exc.status >= 300 else ValueError("no WebSocket")
            raise failed from None
        try:
            yield socket
        finally:
            # Its own limit is by message: a server that goes on sending would hold the connection, and its place.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_CLOSE_S):
                    await socket.close()

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._session.close()


class ProsaSpeechToText:
    """`SpeechToText` by Prosa. Nothing is asked of it yet."""

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
                await _read_opening(socket)

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
            await _read_opening(socket)
            yield socket

    async def _speak(self, text: str, model: str) -> bytes:
        async with self._open_session(model) as socket:
            await socket.send_json({"text": text})
            data = await _read_sound(socket)
        check_sound(data, "wav")
        return data


async def _read_opening(socket: aiohttp.ClientWebSocketResponse) -> None:
    if not isinstance(await _receive(socket), dict):
        raise ValueError("no session was opened")


async def _send(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
    with suppress(aiohttp.ClientError, OSError):  # what reads the answer says why
        for start in range(0, len(data), _SENT_AT_ONCE):
            await socket.send_bytes(data[start : start + _SENT_AT_ONCE])
        await socket.send_bytes(b"")  # the end of the sound


async def _read_transcript(socket: aiohttp.ClientWebSocketResponse) -> str:
    """All final results, until the session is complete."""
    parts: list[str] = []
    length = 0
    while (message := await _receive(socket)) is not None and not _is_end(message):
        if isinstance(message, dict) and message["type"] == "result":
            parts.append(message["transcript"].strip())
            length += len(parts[-1]) + 1
        if length > LONGEST_TRANSCRIPT:
            raise ValueError("no transcript of a recording of this size")
    return " ".join(parts).strip()


async def _read_sound(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    """A file in one message or several; its own header says where it ends, else the end of the session."""
    data = bytearray()
    while not _is_whole(data) and (message := await _receive(socket)) is not None and not _is_end(message):
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


def _is_end(message: bytes | dict[str, Any]) -> bool:
    return isinstance(message, dict) and (message["type"] == "metadata" or message.get("status") == "complete")


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> bytes | dict[str, Any] | None:
    """The next message; None: the server ended the session in good order.

    Raises:
        StatusError, EndpointError, AnswerCut, ValueError: it failed, or sends what is not of the protocol.
    """
    message = await socket.receive()
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    if message.type is aiohttp.WSMsgType.TEXT:
        read = json.loads(message.data)
        if not isinstance(read, dict) or not isinstance(read.get("type", ""), str):
            raise ValueError("not of the protocol")
        if read.setdefault("type", "") == "error":
            raise _describe_error(read)
        return read
    if message.type is aiohttp.WSMsgType.ERROR:
        raise ValueError("not of the protocol")
    if socket.close_code == 1000:
        return None
    if status := _STATUS_OF_CLOSE_CODE.get(socket.close_code or 0):
        raise StatusError(status, named=_MODEL if status == 404 else frozenset())
    raise AnswerCut("closed")


def _describe_error(message: dict[str, Any]) -> Exception:
    """By Prosa's word for it, whichever field it stands in: the descriptions do not name the field."""
    words = {value for value in message.values() if isinstance(value, str)}
    if words & _ERRORS_OF_FILE:
        return StatusError(422, is_of_file=True)
    statuses = [status for word, status in _STATUS_OF_ERROR.items() if word in words]
    return StatusError(statuses[0]) if statuses else EndpointError()


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    raise StatusError(redirect.response.status)  # else the key would go to another server
