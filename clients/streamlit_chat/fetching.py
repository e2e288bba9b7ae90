"""What Streamlit's server answers, whole, so that it can be changed before it is sent."""

import asyncio
import gzip
import re
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Scope, Send

CONDITIONS = ("range", "if-none-match", "if-modified-since", "if-range")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The message that starts a response, and its whole body."""

    start: Message
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it as it is."""
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body})


async def fetch(app: ASGIApp, scope: Scope, *, without: Collection[str] = ()) -> Fetched:
    """The answer of *app* to a GET, not compressed; it does not see the request's headers named in *without*."""
    start: Message = {}
    parts: list[bytes] = []

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    hidden = {"accept-encoding", *without}
    headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in hidden]
    # Else Starlette gives the path of a file to the server, in place of its bytes.
    extensions = {name: each for name, each in scope.get("extensions", {}).items() if name == "tls"}
    await app({**scope, "headers": headers, "extensions": extensions}, _never_leave, collect)
    return Fetched(start, b"".join(parts))


async def _never_leave() -> Message:
    """Receive nothing, as from a visitor who waits: for one who has left, Starlette breaks off the file it sends."""
    message: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await message


def takes_gzip(scope: Scope) -> bool:
    """Whether whoever asks can unpack gzip."""
    accepted = Headers(scope=scope).get("accept-encoding", "")
    return re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted) is not None


def pack(answer: Fetched) -> Fetched:
    """The same, compressed by gzip."""
    body = gzip.compress(answer.body, 9, mtime=0)
    headers = MutableHeaders(raw=list(answer.start["headers"]))
    headers["content-encoding"], headers["content-length"] = "gzip", str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if etag := headers.get("etag"):  # of the same file in other bytes
        headers["etag"] = f"W/{etag.removeprefix('W/')}"
    return Fetched({**answer.start, "headers": headers.raw}, body)
