"""Prosa's speech services over real WebSockets, which misbehave when told to."""

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from aiohttp import WSMsgType, web

from tests.fakes.speech_server import make_wav

Act = Callable[[web.WebSocketResponse, web.Request], Awaitable[object]]


class FakeProsaServer:
    """`act`: what a session does in place of an answer, once it is configured. *tls*: over that."""

    def __init__(self, key: str, tls: ssl.SSLContext | None = None) -> None:
        self.key, self._tls = key, tls
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.reset()

    def reset(self) -> None:
        """As it was at first."""
        self.heard, self.sound = ["How much does a", "dormitory room cost?"], make_wav(0.1)
        self.act_stt: Act | None = None
        self.act_tts: Act | None = None
        self.sessions: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/stt", self._transcribe)
        app.router.add_get("/tts", self._speak)
        app.router.add_get("/moved", _redirect)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.url = f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with suppress(ConnectionError):
            if request.headers.get("x-api-key") != self.key:
                await socket.close(code=4000)
                return socket
            session = {"path": "stt", "config": await socket.receive_json(), "sound": b""}
            self.sessions.append(session)
            await socket.send_json({"type": "created", "id": "1"})
            if self.act_stt:
                await self.act_stt(socket, request)
                return socket
            while (part := await socket.receive()).type is WSMsgType.BINARY and part.data:
                session["sound"] += part.data
            await socket.send_json({"type": "status", "status": "in_progress"})
            for words in self.heard:
                await socket.send_json({"type": "result", "transcript": words, "time_start": 0.0, "time_end": 1.0})
            await socket.send_json({"type": "status", "status": "complete"})
            await socket.close()
        return socket

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with suppress(ConnectionError):
            if await socket.receive_json() != {"token": self.key}:
                await socket.close(code=4000)
                return socket
            session = {"path": "tts", "config": await socket.receive_json()}
            self.sessions.append(session)
            await socket.send_json({"type": "created", "id": "1"})
            if self.act_tts:
                await self.act_tts(socket, request)
                return socket
            session |= await socket.receive_json()
            half = len(self.sound) // 2
            await socket.send_bytes(self.sound[:half])
            await socket.send_bytes(self.sound[half:])
            await socket.receive()  # the client has it, and closes
        return socket


async def _redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/stt")


async def cut(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Break the connection off in the middle of an answer."""
    await socket.send_json({"type": "result", "transcript": "How much"})
    assert request.transport is not None
    request.transport.abort()


async def hang(socket: web.WebSocketResponse, _request: web.Request) -> None:
    """Hear everything and say nothing."""
    async for _ in socket:
        pass


async def send_noise(socket: web.WebSocketResponse, _request: web.Request) -> None:
    """Text that is no JSON."""
    await socket.send_str("\x00\ufffd no {json")
    await hang(socket, _request)


async def send_bytes(socket: web.WebSocketResponse, _request: web.Request) -> None:
    """Bytes that are no sound."""
    await socket.send_bytes(bytes(range(256)))
    await socket.close()


async def send_endless_text(socket: web.WebSocketResponse, _request: web.Request) -> None:
    """Results without end."""
    while not socket.closed:
        await socket.send_str(json.dumps({"type": "result", "transcript": "word " * 1000}))


async def send_endless_sound(socket: web.WebSocketResponse, _request: web.Request) -> None:
    """A WAV file of unknown length, without end."""
    await socket.send_bytes(b"RIFF\xff\xff\xff\xffWAVE")
    while not socket.closed:
        await socket.send_bytes(bytes(256 * 1024))


def close_with(code: int) -> Act:
    """End the session with *code*."""
    return lambda socket, _: socket.close(code=code)


def say_error(word: str) -> Act:
    """Say an error and end."""

    async def act(socket: web.WebSocketResponse, _request: web.Request) -> None:
        await socket.send_json({"type": "error", "error": word, "message": "secret words"})
        await socket.close()

    return act
