"""The bodies of requests, read under limits."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar, cast
from wsgiref.types import WSGIEnvironment

from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent, HTTPScope
from flask import Request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable

from server.body_limits import BodyLimits, ClientLeft
from server.environ import make_environ
from server.http_protocol import DISCONNECT

LINGER_S = 1.0
SMALL_BYTES = 65_536  # what uvicorn may have taken off the wire before anybody asked for it
_INTAKE = "pustaka.intake"
_READS_BODY_ITSELF, _TAKES_NO_BODY = "reads_body_itself", "takes_no_body"

View = TypeVar("View", bound=Callable[..., Any])


def expect_no_body(view: View) -> View:
    """Mark a view that needs none: a large one that is sent to it is not read, and takes no room."""
    view.__dict__[_TAKES_NO_BODY] = True
    return view


def reads_body_itself(view: View) -> View:
    """Mark a coroutine view that awaits `load_body` or iterates `read_pieces`; others find the body read.

    Such a view can refuse a caller before the body takes memory, or take a body that is larger than memory.
    """
    view.__dict__[_READS_BODY_ITSELF] = True
    return view


async def load_body(request: Request, owner: str = "", max_bytes: int | None = None) -> None:
    """Read the body, unless it is read, so that `request.get_data()` and all that builds on it find it.

    *owner*: who takes the room for it, such as a tenant. *max_bytes*: what is taken of it, if that is less than of any.

    Raises:
        HTTPException: it is larger than allowed (413), comes too slowly (408), or there is no room for it (503).
    """
    intake: RequestBodyReader | None = request.environ.get(_INTAKE)
    if intake is not None:  # under WSGI, as in the test client, there is none
        await intake.read(owner, max_bytes)


def call_at_end(request: Request, call: Callable[[], None]) -> None:
    """Call it when the request has been served to its last byte, or has failed; at once under WSGI."""
    intake: RequestBodyReader | None = request.environ.get(_INTAKE)
    if intake is None:
        call()
    else:
        intake.endings.append(call)


async def read_pieces(request: Request, *, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes, at most 64 KB of it in memory at a time, and read no faster than this is iterated.

    Raises:
        HTTPException: it is larger than *max_bytes* (413), or comes too slowly (408).
    """
    intake: RequestBodyReader = request.environ[_INTAKE]
    async for piece in intake.read_pieces(max_bytes):
        yield piece


class RequestBodyReader:
    """A request whose head has been read. `refusal` says why its body was not, or will not be, read to its end.

    *trusts_head*: the server is known to pass a body on only if the head has said that there is one, as in HTTP/1
    (RFC 9112, 6.3).
    """

    def __init__(
        self, environ: WSGIEnvironment, receive: ASGIReceiveCallable, limits: BodyLimits, *, trusts_head: bool = False
    ) -> None:
        self.environ, self.receive = environ, receive
        self.refusal: HTTPException | None = None
        self.declared_bytes = _read_declared_bytes(environ)
        self._has_body = self.declared_bytes > 0 or "HTTP_TRANSFER_ENCODING" in environ
        self._limits, self._is_read = limits, trusts_head and not self._has_body
        self._used_bytes, self._owner = 0, ""
        self._whole: asyncio.Event | None = None
        self.endings: list[Callable[[], None]] = []
        environ[_INTAKE] = self
        if self._is_read:  # nothing will come, so nothing is waited for
            environ["wsgi.input"] = io.BytesIO()

    @property
    def is_small(self) -> bool:
        """Whether the body, if there is one, fits into what the server may have read ahead."""
        return self.declared_bytes <= SMALL_BYTES and "HTTP_TRANSFER_ENCODING" not in self.environ

    @property
    def leaves_rest(self) -> bool:
        """Whether a rest of the body is on its way, where the next request would be."""
        return self._has_body and not self._is_read

    def refuse(self, refusal: HTTPException) -> None:
        """Let the app refuse it: whoever reads the body gets *refusal*, too."""
        self.refusal = refusal
        self.environ["wsgi.input"] = _make_unread_body(refusal)

    async def decline(self, refusal: HTTPException) -> None:
        """Refuse it, but read a small body, so that the connection may go on.

        Raises:
            ClientLeft: the client did.
        """
        if self.refusal is None and self.is_small:
            with suppress(HTTPException):
                await self.read()
        self.refuse(refusal)

    async def prepare(self, view: object) -> None:
        """Read the body for *view*, unless it does so itself; what is wrong with it becomes the refusal.

        Where there is no view, or it takes none, only a small one is read, so that the connection may go on.

        Raises:
            ClientLeft: the client did.
        """
        if self.refusal is not None:
            return
        if self._has_body and getattr(view, _READS_BODY_ITSELF, False):
            self.environ["wsgi.input"] = _make_unread_body(
                RuntimeError("The view of this request has not read its body yet.")
            )
            return
        if (view is None or getattr(view, _TAKES_NO_BODY, False)) and not self.is_small:
            self.environ["wsgi.input"] = _make_unread_body(RequestEntityTooLarge())
            return
        with suppress(HTTPException):
            await self.read()

    async def read(self, owner: str = "", max_bytes: int | None = None) -> None:
        """Read the whole body, at most *max_bytes*, into `wsgi.input`; *owner* takes the room.

        Raises:
            HTTPException: it is refused; so is every later read.
            ClientLeft: the client left before it was whole.
        """
        if self.refusal is not None:
            raise self.refusal
        if self._is_read:
            return
        parts, size_bytes, self._owner = [], 0, owner
        limits = [limit for limit in (self._limits.body_bytes, max_bytes) if limit is not None]
        async for piece in self.read_pieces(min(limits, default=None), holds_all=True):
            parts.append(piece)
            size_bytes += len(piece)
            self._hold(size_bytes)
        self.environ["wsgi.input"] = io.BytesIO(parts[0] if len(parts) == 1 else b"".join(parts))

    async def read_pieces(self, max_bytes: int | None, *, holds_all: bool = False) -> AsyncIterator[bytes]:
        """The body as it comes, *holds_all* if its declared size is to be reserved; raises as `read` does."""
        try:
            if max_bytes is not None and self.declared_bytes > max_bytes:
                raise RequestEntityTooLarge
            if holds_all:
                self._hold(self.declared_bytes)
            size_bytes, began_s = 0, asyncio.get_running_loop().time()
            while not self._is_read:
                piece = await self._receive_next(began_s + self._limits.compute_allowed_s(size_bytes))
                size_bytes += len(piece)
                if max_bytes is not None and size_bytes > max_bytes:
                    raise RequestEntityTooLarge
                yield piece
        except HTTPException as refusal:
            self.refuse(refusal)
            raise

    async def wait_until_read(self) -> None:
        """Return when the whole body has been read: from then on, all that can come is that the client leaves."""
        if self.leaves_rest:
            self._whole = asyncio.Event()
            await self._whole.wait()

    @property
    def is_prepared(self) -> bool:
        """Whether `prepare` would find nothing to do."""
        return self._is_read or self.refusal is not None

    def end(self) -> None:
        """The request is over: others have room for their bodies."""
        if self._used_bytes:
            self._limits.release(self._owner, self._used_bytes)
        for call in self.endings:
            call()

    async def linger(self) -> None:
        """Take an unread body off the wire for a moment, so that the client gets to read the answer.

        Closing a connection with bytes unread makes the kernel reset it, and the reset overtakes the answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while _is_unfinished(await self.receive()):
                    pass

    def _hold(self, size_bytes: int) -> None:
        more_bytes = size_bytes - self._used_bytes
        if size_bytes <= SMALL_BYTES or more_bytes <= 0:
            return
        try:
            self._limits.hold(self._owner, more_bytes)
        except ServiceUnavailable as refusal:
            self.refuse(refusal)
            raise
        self._used_bytes = size_bytes

    async def _receive_next(self, deadline_s: float) -> bytes:
        if not self._has_body:  # nothing to wait for
            message = await self.receive()
        else:
            message = await self._receive_until(deadline_s)
        if message["type"] != "http.request":
            raise ClientLeft
        self._is_read = not _is_unfinished(message)
        if self._is_read and self._whole is not None:
            self._whole.set()
        return message.get("body", b"")

    async def _receive_until(self, deadline_s: float) -> ASGIReceiveEvent:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self.receive()
        except TimeoutError:
            raise RequestTimeout("The request body timed out. Send it again over a better connection.") from None


def open_request(scope: HTTPScope, receive: ASGIReceiveCallable, limits: BodyLimits) -> RequestBodyReader:
    """A request whose body is still to be read."""
    try:
        return RequestBodyReader(make_environ(scope), receive, limits, trusts_head=DISCONNECT in scope)
    except ValueError:
        # Without them the app can still say so in its own words.
        intake = RequestBodyReader(make_environ(scope | {"headers": []}), receive, limits)
        intake.refuse(BadRequest("There are too many headers of one name."))
        return intake


class _UnreadBody(io.RawIOBase):
    """What a hook sees that reads a body which is not there."""

    def __init__(self, reason: Exception) -> None:
        self._reason = reason

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise self._reason


def _make_unread_body(reason: Exception) -> io.BufferedReader:
    return io.BufferedReader(_UnreadBody(reason))


def _read_declared_bytes(environ: WSGIEnvironment) -> int:
    declared = environ.get("CONTENT_LENGTH", "")
    return int(declared) if declared.isdecimal() else 0


def _is_unfinished(message: object) -> bool:
    fields = cast("dict[str, object]", message)
    return fields["type"] == "http.request" and bool(fields.get("more_body"))
