"""Requests on their way in: the WSGI environment of a scope, and the body, read under a limit."""

import asyncio
import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from wsgiref.types import WSGIEnvironment

from asgiref.typing import ASGIReceiveCallable, HTTPScope
from asgiref.wsgi import WsgiToAsgiInstance
from flask import Flask
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class Intake:
    """A request that has been read, or been refused while it was: then `refusal` says why and the body is unread."""

    environ: WSGIEnvironment
    refusal: HTTPException | None
    receive: ASGIReceiveCallable

    async def linger(self) -> None:
        """Take an unread body off the wire for a moment, so that the client gets to read the answer.

        Closing a connection with bytes unread makes the kernel reset it, and the reset overtakes the answer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while _is_unfinished(await self.receive()):
                    pass


async def take_in(
    app: Flask, scope: HTTPScope, receive: ASGIReceiveCallable, *, max_body_bytes: int | None
) -> Intake | None:
    """Read a request with a body of at most *max_body_bytes*; None if the client left meanwhile."""
    try:
        environ = _environ(app, scope)
        body = await _read_body(receive, _declared_bytes(environ), max_body_bytes)
    except ValueError:
        # More than asgiref allows of one header. Without them the app can still say so in its own words.
        return _refused(
            _environ(app, scope | {"headers": []}), BadRequest("There are too many headers of one name."), receive
        )
    except RequestEntityTooLarge as too_large:
        return _refused(environ, too_large, receive)
    if body is None:
        return None
    environ["wsgi.input"] = io.BytesIO(body)
    return Intake(environ, None, receive)


def _refused(environ: WSGIEnvironment, refusal: HTTPException, receive: ASGIReceiveCallable) -> Intake:
    environ["wsgi.input"] = io.BufferedReader(_UnreadBody(refusal))
    return Intake(environ, refusal, receive)


class _UnreadBody(io.RawIOBase):
    """What a hook sees that reads the body of a refused request."""

    def __init__(self, refusal: HTTPException) -> None:
        self._refusal = refusal

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise self._refusal


def _environ(app: Flask, scope: HTTPScope) -> WSGIEnvironment:
    translation: Any = WsgiToAsgiInstance(app)  # type: ignore[no-untyped-call] # asgiref.wsgi has no types
    translation.scope = scope | {"headers": _wsgi_headers(scope), "query_string": b""}
    environ: WSGIEnvironment = translation.build_environ(translation.scope, None)
    environ["QUERY_STRING"] = scope["query_string"].decode("latin-1")  # asgiref takes only ASCII
    environ["wsgi.input_terminated"] = True  # else Werkzeug sees an empty body where there is no Content-Length
    return environ


def _wsgi_headers(scope: HTTPScope) -> list[tuple[bytes, bytes]]:
    """The headers without those that WSGI cannot tell from others, and with cookies in one (RFC 9113, 8.2.3).

    `X_Request_Id` would become the same variable as `X-Request-Id`, past a proxy that removes or sets the latter.
    """
    headers = [header for header in scope["headers"] if b"_" not in header[0]]
    cookies = [value for name, value in headers if name == b"cookie"]
    if len(cookies) > 1:
        headers = [header for header in headers if header[0] != b"cookie"]
        headers.append((b"cookie", b"; ".join(cookies)))
    return headers


def _declared_bytes(environ: WSGIEnvironment) -> int:
    declared = environ.get("CONTENT_LENGTH", "")
    return int(declared) if declared.isdecimal() else 0


async def _read_body(receive: ASGIReceiveCallable, declared_bytes: int, max_bytes: int | None) -> bytes | None:
    """The whole body; None if the client left before it was.

    Raises:
        RequestEntityTooLarge: more than *max_bytes* were declared, in which case nothing is read, or have come.
    """
    limit = float("inf") if max_bytes is None else max_bytes
    if declared_bytes > limit:
        raise RequestEntityTooLarge
    parts, size_bytes, unfinished = [], 0, True
    while unfinished:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size_bytes += len(parts[-1])
        if size_bytes > limit:
            raise RequestEntityTooLarge
        unfinished = _is_unfinished(message)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_unfinished(message: object) -> bool:
    fields = cast(dict[str, object], message)
    return fields["type"] == "http.request" and bool(fields.get("more_body"))
