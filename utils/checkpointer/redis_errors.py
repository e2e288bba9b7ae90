"""What an error of redis-py's means for the operator: whether waiting helps, and else what to change."""

import asyncio
import builtins
import re
import socket
import ssl
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from .address import Host
from .errors import StoreRefused, StoreUnavailable

LOGIN = "REDIS_URL (or REDIS_USERNAME and REDIS_PASSWORD)"

TLS = b"TLS"  # what `sample` gives for a server that shakes hands
TLS_WITH_CERTIFICATE = TLS + b" with a certificate of ours"  # the server asks for one
_AFTERWARDS_S = 0.1

# The server cannot serve now, and may later: down, failing over, full.
AWAY = (
    ConnectionError,
    TimeoutError,
    InvalidResponse,
    ReadOnlyError,
    OutOfMemoryError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
)
# Replies that redis-py has no class for.
_AWAY_CODES = {"OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "UNKILLABLE"}
_REFUSED_CODES = {"NOPERM", "NOAUTH", "WRONGPASS", "DENIED"}
# What Redis < 7 makes of an error within a script, and how 7 says that the user may not run a command there.
_WITHIN_SCRIPT = re.compile(r"Error running script .{0,200}?: -?([A-Z]+) ", re.DOTALL)
_NO_RIGHT_WITHIN_SCRIPT = re.compile(r"user executing the script can't|ACL failure in script")


_CLOSED = "the connection is closed at once. If it has no connection left, raise its maxclients"
_FOREIGN = "Something answers at {where}, but it does not speak Redis: check REDIS_URL."
_LOGINS = (
    ("required", "Redis at {where} asks for a password: give one in {login}."),
    ("without any password", "Redis at {where} has no password for this user: remove the one in {login}."),
    ("", "Redis at {where} refuses the user or the password in {login}."),
)
_REPLIES = (
    ("DB index", "Redis at {where} has no database of this number: see the end of REDIS_URL, or REDIS_DB."),
    ("cluster support disabled", "Redis at {where} is no cluster: begin REDIS_URL with redis:// instead."),
)
_UNTRUSTED = (
    "The certificate of Redis at {where} is not trusted ({text}): name your authority's file in REDIS_URL, "
    "?ssl_ca_certs=/path/ca.pem."
)
_NO_CERTIFICATE = "Redis at {where} asks for a certificate of ours: ?ssl_certfile=…&ssl_keyfile=… in REDIS_URL."
_TLS_WANTED = (
    "Redis at {where} speaks TLS: write rediss:// in REDIS_URL (?ssl=true with a cluster or Sentinels) or set "
    "REDIS_TLS=true."
)
_TLS_UNWANTED = (
    "Redis at {where} does not speak TLS: write redis:// in REDIS_URL (without ?ssl=true), or unset REDIS_TLS."
)


def is_away(exc: ResponseError) -> bool:
    """Whether the server says in this reply that it cannot serve now."""
    return isinstance(exc, AWAY) or _find_code(exc) in _AWAY_CODES


def is_refusal(exc: RedisError) -> bool:
    """Whether the server says that this user may not do this."""
    is_denied = isinstance(exc, AuthenticationError | NoPermissionError)
    return is_denied or _find_code(exc) in _REFUSED_CODES or _NO_RIGHT_WITHIN_SCRIPT.search(str(exc)) is not None


def _find_code(exc: RedisError) -> str:
    text = str(exc)
    within = _WITHIN_SCRIPT.search(text)
    return within[1] if within else text.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """Where an error came from: what to call the place, where its hosts are, whether TLS was spoken to them.

    `login` names what holds the user and the password for it.
    """

    where: str
    hosts: tuple[Host, ...]
    tls: bool
    timeout_s: float
    login: str = LOGIN

    async def explain(self, exc: BaseException) -> StoreUnavailable:
        """What *exc* means."""
        causes = list(_walk_causes(exc))
        for cause in causes:
            result = self._explain_reply(cause) if isinstance(cause, RedisError) else self._explain_cause(cause)
            if result is not None:
                return result
        for host in self.hosts:
            result = self._explain_sample(await sample(host, self.timeout_s))
            if result is not None:
                return result
        in_time = not any(isinstance(cause, TimeoutError | builtins.TimeoutError) for cause in causes)
        return self._fail("Redis at {where} does not answer: {text}.", _CLOSED if in_time else "no reply in time")

    def _explain_reply(self, exc: RedisError) -> StoreUnavailable | None:
        text, code = str(exc), _find_code(exc)
        if isinstance(exc, AuthenticationError):
            wrong = next(message for part, message in _LOGINS if part in text)
            return self._refuse(wrong)
        if isinstance(exc, InvalidResponse):
            return self._refuse(_FOREIGN)
        if isinstance(exc, BusyLoadingError):
            return self._fail("Redis at {where} is still reading its data.")
        if code == "OOM" or isinstance(exc, OutOfMemoryError):
            return self._fail("Redis at {where} is full: raise its maxmemory.")
        if code == "READONLY" or isinstance(exc, ReadOnlyError):
            return self._refuse("Redis at {where} is a read-only replica: REDIS_URL must lead to its master.")
        for part, message in _REPLIES:
            if part in text:
                return self._refuse(message)
        if "unknown command" in text and "SENTINEL" in text:
            return self._refuse("What answers at {where} is no Sentinel: begin REDIS_URL with redis:// instead.")
        if is_refusal(exc):
            return self._refuse("Redis at {where} refuses: {text}", text)
        return self._fail("Redis at {where} cannot serve: {text}", text) if isinstance(exc, ResponseError) else None

    def _explain_cause(self, exc: BaseException) -> StoreUnavailable | None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return self._refuse(_UNTRUSTED, exc.verify_message)
        if isinstance(exc, ssl.SSLError) and _asks_for_certificate(exc):
            return self._refuse(_NO_CERTIFICATE)
        if isinstance(exc, FileNotFoundError | PermissionError | IsADirectoryError) and self.tls:
            return self._refuse("A certificate file named in REDIS_URL cannot be read: {text}.", str(exc.strerror))
        if isinstance(exc, PermissionError):
            return self._refuse("The socket {where} may not be used by this user of the system.")
        if isinstance(exc, FileNotFoundError):
            return self._fail("No Redis answers at {where}: there is no such socket.")
        if isinstance(exc, socket.gaierror):
            return self._fail("Redis at {where} cannot be found: the name of the host is not known.")
        if isinstance(exc, ConnectionRefusedError):
            return self._fail("No Redis answers at {where}: the connection is refused.")
        if isinstance(exc, TypeError):
            return self._refuse("REDIS_URL has an option after its ? that redis-py does not know.")
        return self._refuse(_FOREIGN) if isinstance(exc, ValueError) else None

    def _explain_sample(self, seen: bytes) -> StoreUnavailable | None:
        speaks_tls, is_redis = seen in (TLS, TLS_WITH_CERTIFICATE), seen.startswith((b"+PONG", b"-"))
        if seen == TLS_WITH_CERTIFICATE and self.tls:
            return self._refuse(_NO_CERTIFICATE)
        if speaks_tls and not self.tls:
            return self._refuse(_TLS_WANTED)
        if is_redis and self.tls:
            return self._refuse(_TLS_UNWANTED)
        if seen.startswith(b"-DENIED"):
            return self._refuse("Redis at {where} is in protected mode: give it a password, and REDIS_URL, too.")
        if b"max number of clients" in seen:
            return self._fail("Redis at {where} has no connection left: raise its maxclients.")
        return self._refuse(_FOREIGN) if seen and not speaks_tls and not is_redis else None

    def _fail(self, message: str, text: str = "") -> StoreUnavailable:
        return StoreUnavailable(message.format(where=self.where, login=self.login, text=text))

    def _refuse(self, message: str, text: str = "") -> StoreRefused:
        return StoreRefused(message.format(where=self.where, login=self.login, text=text))


async def sample(host: Host, timeout_s: float) -> bytes:
    """What a server says to PING; `TLS` or `TLS_WITH_CERTIFICATE` if it only shakes hands for TLS; else empty."""
    name, port = host
    if port == 0:
        return b""
    reply, handshake = await asyncio.gather(
        _run_within(timeout_s, _ping(name, port)), _run_within(timeout_s, _shake_hands(name, port))
    )
    return reply or handshake


async def _run_within(timeout_s: float, attempt: Coroutine[None, None, bytes]) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await attempt
    except (OSError, builtins.TimeoutError):
        return b""


async def _ping(name: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(name, port)
    try:
        writer.write(b"PING\r\n\r\n")  # to Redis the empty line is nothing; others then know that no more is coming
        return await reader.read(100)
    finally:
        writer.close()


async def _shake_hands(name: str, port: int) -> bytes:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # to read the system's authorities would hold the loop for 50 ms
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # nothing is said to it
    reader, writer = await asyncio.open_connection(name, port, ssl=trusting)
    try:
        # Who wants a certificate of ours says so after the handshake, and a request would cross with that.
        async with asyncio.timeout(_AFTERWARDS_S):
            await reader.read(1)
    except ssl.SSLError as exc:
        return TLS_WITH_CERTIFICATE if _asks_for_certificate(exc) else TLS
    except builtins.TimeoutError:
        pass
    finally:
        writer.transport.abort()  # to close would be to wait for the other side to say goodbye
    return TLS


def _asks_for_certificate(exc: ssl.SSLError) -> bool:
    return "ALERT" in (exc.reason or "") and "CERTIFICATE" in (exc.reason or "")


def _walk_causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
