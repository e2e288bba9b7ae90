"""One request for one address: bounded in time and size, redirects told and not followed."""

import ssl
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.message import Message
from types import TracebackType
from typing import Self

import httpcore

from ingestion.crawl.guard import Clock, DeadlineExceeded, GuardedBackend, NoAddress, Resolve, resolve
from utils.reach import AddressRefused, Reach

READ_S = 15.0  # between two pieces of a reply
REQUEST_S = 60.0  # for all of it
_TIMEOUTS = {"connect": 10.0, "read": READ_S, "write": READ_S, "pool": 1.0}
_PIECE = 65_536

MostBytes = Callable[[str], int]


class FetchFailed(Exception):
    """There is no reply that can be used. `reason` says why; *temporary* whether the next time may be better."""

    def __init__(self, reason: str, *, temporary: bool) -> None:
        super().__init__(reason)
        self.reason, self.temporary = reason, temporary


class PageTooLarge(FetchFailed):
    """There is more of it than was asked for; `begun` is as much as that."""

    def __init__(self, limit: int, begun: bytes = b"") -> None:
        super().__init__(f"It is larger than {limit / 1e6:g} MB.", temporary=False)
        self.begun = begun


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. `body` is unpacked, and None for what nobody wanted to read."""

    status: int
    media_type: str
    charset: str | None
    body: bytes | None
    etag: str | None = None
    last_modified: str | None = None
    location: str | None = None
    robots_tags: tuple[str, ...] = ()
    retry_after_s: float | None = None
    file_name: str | None = None


class Fetcher:
    """Fetches one address after the other, for one crawl; `abort` may be called from another thread."""

    def __init__(self, agent: str, reach: Reach, *, resolver: Resolve = resolve, request_s: float = REQUEST_S) -> None:
        self._agent, self._request_s = agent, request_s
        self._clock = Clock()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpcore.default_ssl_context(),
            max_connections=2,
            max_keepalive_connections=1,
            keepalive_expiry=30.0,
            http1=True,
            network_backend=GuardedBackend(reach, self._clock, resolver),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def abort(self) -> None:
        """End the request under way; this fetcher fetches nothing any more."""
        self._clock.abort()

    def get(
        self, address: str, max_bytes: MostBytes, *, etag: str | None = None, last_modified: str | None = None
    ) -> Reply:
        """What is at *address*; 304 where *etag* or *last_modified* still hold.

        *max_bytes*: the limit for a body of a media type, 0 for one that is not to be read.

        Raises:
            FetchFailed: it cannot be reached, is no place to go, is too large or takes too long.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers: dict[str | bytes, str | bytes] = {
            "User-Agent": self._agent,
            "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,text/*;q=0.8,*/*;q=0.5",
            "Accept-Encoding": "gzip",  # and nothing else, whose unpacking would have to be bounded too
            **{name: value for name, value in conditions.items() if value},
        }
        self._clock.begin(self._request_s)
        with (
            _translate_errors(self._clock, self._request_s),
            self._pool.stream("GET", address, headers=headers, extensions={"timeout": _TIMEOUTS}) as response,
        ):
            return self._reply(response, max_bytes)

    def _reply(self, response: httpcore.Response, max_bytes: MostBytes) -> Reply:
        headers = _Headers(response.headers)
        head = _read_head(response.status, headers)
        limit = max_bytes(head.media_type) if response.status == 200 else 0
        return replace(head, body=_read_body(response.iter_stream(), headers, limit)) if limit else head


class _Headers:
    """The headers of a reply, as text."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in raw]

    def get_all(self, name: str) -> list[str]:
        return [value for found, value in self._raw if found == name]

    def get_one(self, name: str) -> str | None:
        return next(iter(self.get_all(name)), None)

    def get_short(self, name: str) -> str | None:
        """A value to send back later; one that is too long is none."""
        value = self.get_one(name)
        return value if value and len(value) <= 200 and value.isascii() else None

    def get_content_type(self) -> tuple[str, str | None]:
        message = Message()
        message["content-type"] = (self.get_one("content-type") or "application/octet-stream")[:300]
        charset = message.get_param("charset")
        return message.get_content_type(), charset if isinstance(charset, str) else None

    def get_file_name(self) -> str | None:
        """The last part of the name of a download, without any folder."""
        message = Message()
        message["content-disposition"] = (self.get_one("content-disposition") or "inline")[:500]
        name = message.get_filename()
        return name.replace("\\", "/").rpartition("/")[2] or None if name else None


def _read_head(status: int, headers: _Headers) -> Reply:
    """What the headers say, without a body.

    Raises:
        FetchFailed: one of them is written so that nobody can read it.
    """
    try:
        media_type, charset = headers.get_content_type()
        return Reply(
            status=status,
            media_type=media_type,
            charset=charset,
            body=None,
            etag=headers.get_short("etag"),
            last_modified=headers.get_short("last-modified"),
            location=headers.get_one("location"),
            robots_tags=tuple(tag[:500].lower() for tag in headers.get_all("x-robots-tag")[:10]),
            retry_after_s=_parse_seconds(headers.get_one("retry-after")),
            file_name=headers.get_file_name(),
        )
    except Exception as exc:  # whatever Python's parser of them raises: one page must not end the crawl of others
        raise FetchFailed("Its headers cannot be read.", temporary=False) from exc


def unpack(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """What gzip made *pieces* of, a bounded part at a time, and not much more than *limit* bytes.

    Raises:
        FetchFailed: it is damaged.
    """
    unpacker, size = zlib.decompressobj(wbits=31), 0
    for piece in pieces:
        rest, part = piece, b""
        while rest or len(part) == _PIECE:  # a full part may have left some inside
            try:
                part = unpacker.decompress(rest, _PIECE)
            except zlib.error as exc:
                raise FetchFailed("It is damaged: it cannot be unpacked.", temporary=False) from exc
            size += len(part)
            yield part
            if size > limit:
                return
            rest = unpacker.unconsumed_tail
            if unpacker.eof:
                rest, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)


def _read_body(pieces: Iterable[bytes], headers: _Headers, limit: int) -> bytes:
    encoding = (headers.get_one("content-encoding") or "identity").lower()
    if encoding in ("gzip", "x-gzip"):
        pieces = unpack(pieces, limit)
    elif encoding != "identity":
        raise FetchFailed("It has a Content-Encoding that was not requested.", temporary=False)
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > limit:
            raise PageTooLarge(limit, bytes(body[:limit]))
    return bytes(body)


def _parse_seconds(value: str | None) -> float | None:
    """The seconds of a `Retry-After`; the form with a date is taken for a minute."""
    if value is None:
        return None
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 7 else 60.0


@contextmanager
def _translate_errors(clock: Clock, request_s: float) -> Iterator[None]:
    try:
        yield
    except AddressRefused as exc:
        raise FetchFailed(str(exc), temporary=False) from exc
    except NoAddress as exc:
        raise FetchFailed("Its host has no address.", temporary=True) from exc
    except (DeadlineExceeded, httpcore.TimeoutException) as exc:
        slow = f"It took longer than {request_s:g} s." if clock.is_over else "It did not answer in time."
        raise FetchFailed(slow, temporary=True) from exc
    except httpcore.ConnectError as exc:
        if isinstance(exc.__cause__, ssl.SSLError):
            raise FetchFailed("Its certificate is not valid.", temporary=True) from exc
        raise FetchFailed("It cannot be reached.", temporary=True) from exc
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as exc:
        raise FetchFailed("The connection broke.", temporary=True) from exc
