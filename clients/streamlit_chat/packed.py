"""Streamlit's scripts and styles, packed: it sends them as they are, which at a first visit is 2.7 MB."""

import asyncio
import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STATIC = Path(streamlit.__file__).parent / "static"
# For any other name Streamlit sends its page: whoever made names up would fill the memory.
_PACKABLE = frozenset(
    f"/{path.relative_to(_STATIC).as_posix()}" for kind in ("js", "css") for path in _STATIC.rglob(f"*.{kind}")
)
_CONDITIONS = ("range", "if-none-match", "if-modified-since", "if-range")  # are Streamlit's to answer


@dataclass(frozen=True, slots=True)
class _File:
    start: Message
    body: bytes


class PackedFiles:
    """Sends each of these files packed to who takes it so; packed once, since its name changes with what is in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed: dict[str, _File] = {}  # no more than Streamlit has: 24 MB before they are packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Streamlit does, in fewer bytes."""
        if not _may_be_packed(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        file = self._packed.get(path)
        if file is None:
            file = await self._fetch(scope, receive)
            if file.start["status"] == 200:
                file = self._packed[path] = await asyncio.to_thread(_pack, file)
        await send(file.start)
        await send({"type": "http.response.body", "body": file.body})

    async def _fetch(self, scope: Scope, receive: Receive) -> _File:
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        extensions = {name: each for name, each in scope.get("extensions", {}).items() if name == "tls"}
        await self._app({**scope, "headers": headers, "extensions": extensions}, receive, collect)
        return _File(start, b"".join(parts))


def _may_be_packed(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in _PACKABLE:
        return False
    headers = Headers(scope=scope)
    takes = re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", headers.get("accept-encoding", ""))
    return takes is not None and not any(name in headers for name in _CONDITIONS)


def _pack(file: _File) -> _File:
    body = gzip.compress(file.body, 9, mtime=0)
    headers = MutableHeaders(raw=list(file.start["headers"]))
    headers["content-encoding"], headers["content-length"] = "gzip", str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if etag := headers.get("etag"):  # of the same file in other bytes
        headers["etag"] = f"W/{etag.removeprefix('W/')}"
    return _File({**file.start, "headers": headers.raw}, body)
