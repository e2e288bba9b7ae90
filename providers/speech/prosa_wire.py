"""Prosa's protocol: sessions over WebSockets, their messages, and what its words for failures mean.

Written from public descriptions of the protocol, not tried against the service. A session is opened by the key and a
configuration in JSON; sound is binary messages, everything else JSON with a `type`. Source: https://docs2.prosa.ai
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from pydantic import SecretStr

from providers.openai_errors import AnswerCut, EndpointError, StatusError

_LONGEST_CLOSE_S = 1.0
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


async def read_opening(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Return once the session is open.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(await receive(socket), dict):
        raise ValueError("no session was opened")


def is_end(message: bytes | dict[str, Any]) -> bool:
    """Whether the session is complete with *message*."""
    return isinstance(message, dict) and (message["type"] == "metadata" or message.get("status") == "complete")


async def receive(socket: aiohttp.ClientWebSocketResponse) -> bytes | dict[str, Any] | None:
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
