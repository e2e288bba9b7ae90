"""What an error of redis-py's means for the operator: whether waiting helps, and else what to change."""

import asyncio
import builtins
import re
import socket
import ssl
from collections.abc import Coroutine, Iterable, Iterator
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
TLS_WITH_OURS = TLS + b" with a certificate of ours"  # the same, but it wants one
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
# The same for replies that redis-py has no class for.
_AWAY_CODES = {"OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "UNKILLABLE"}
_REFUSED_CODES = {"NOPERM", "NOAUTH", "WRONGPASS", "DENIED"}
# What Redis < 7 makes of an error within a script, and how 7 says that the user may not run a command there.
_WITHIN_SCRIPT = re.compile(r"Error running script .{0,200}?: -?([A-Z]+) ", re.DOTALL)
_NO_RIGHT_WITHIN_SCRIPT = re.compile(r"user executing the script can't|ACL failure in script")


def is_away(exc: ResponseError) -> bool:
    """Whether the server says in this reply that it cannot serve now."""
    return isinstance(exc, AWAY) or _code(exc) in _AWAY_CODES


def is_refusal(exc: RedisError) -> bool:
    """Whether the server says that this user may not do this."""
    known = isinstance(exc, AuthenticationError | NoPermissionError)
    return known or _code(exc) in _REFUSED_CODES or _NO_RIGHT_WITHIN_SCRIPT.search(str(exc)) is not None


def _code(exc: RedisError) -> str:
    text = str(exc)
    within = _WITHIN_SCRIPT.search(text)
    return within[1] if within else text.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Witness:
    """Where an error came from: what to call the place, where its hosts are, whether TLS was spoken to them.

    `login` names what holds the user and the password for it.
    """

    where: str
    hosts: tuple[Host, ...]
    tls: bool
    timeout_s: float
    login: str = LOGIN

    async def verdict(self, exc: BaseException) -> StoreUnavailable:
        """What *exc* means."""
        causes = list(_chain(exc))
        for cause in causes:
            found = self._of_reply(cause) if isinstance(cause, RedisError) else self._of_cause(cause)
            if found is not None:
                return found
        for host in self.hosts:
            found = self._of_sample(host, await sample(host, self.timeout_s))
            if found is not None:
                return found
        return StoreUnavailable(f"Redis at {self.where} does not answer: {_plainly(causes)}.")

    def _of_reply(self, exc: RedisError) -> StoreUnavailable | None:
        text = str(exc)
        if isinstance(exc, AuthenticationError):
            return StoreRefused(self._about_login(text))
        if isinstance(exc, InvalidResponse):
            return self._foreign()
        if isinstance(exc, BusyLoadingError):
            return StoreUnavailable(f"Redis at {self.where} is still reading its data.")
        if _code(exc) == "OOM" or isinstance(exc, OutOfMemoryError):
            return StoreUnavailable(f"Redis at {self.where} is full: raise its maxmemory.")
        if _code(exc) == "READONLY" or isinstance(exc, ReadOnlyError):
            return StoreRefused(f"Redis at {self.where} is a read-only replica: REDIS_URL must lead to its master.")
        if "DB index" in text:
            return StoreRefused(
                f"Redis at {self.where} has no database of this number: see the end of REDIS_URL, or REDIS_DB."
            )
        if "cluster support disabled" in text:
            return StoreRefused(f"Redis at {self.where} is no cluster: begin REDIS_URL with redis:// instead.")
        if "unknown command" in text and "SENTINEL" in text:
            return StoreRefused(f"What answers at {self.where} is no Sentinel: begin REDIS_URL with redis:// instead.")
        if is_refusal(exc):
            return StoreRefused(f"Redis at {self.where} refuses: {text}")
        if isinstance(exc, ResponseError):
            return StoreUnavailable(f"Redis at {self.where} cannot serve: {text}")
        return None

    def _about_login(self, text: str) -> str:
        if "required" in text:
            return f"Redis at {self.where} asks for a password: give one in {self.login}."
        if "without any password" in text:
            return f"Redis at {self.where} has no password for this user: remove the one in {self.login}."
        return f"Redis at {self.where} refuses the user or the password in {self.login}."

    def _of_cause(self, exc: BaseException) -> StoreUnavailable | None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return StoreRefused(
                f"The certificate of Redis at {self.where} is not trusted ({exc.verify_message}): name your "
                "authority's file in REDIS_URL, ?ssl_ca_certs=/path/ca.pem."
            )
        if isinstance(exc, ssl.SSLError) and _wants_ours(exc):
            return self._without_ours()
        if isinstance(exc, FileNotFoundError | PermissionError | IsADirectoryError) and self.tls:
            return StoreRefused(f"A certificate file named in REDIS_URL cannot be read: {exc.strerror}.")
        if isinstance(exc, PermissionError):
            return StoreRefused(f"The socket {self.where} may not be used by this user of the system.")
        if isinstance(exc, FileNotFoundError):
            return StoreUnavailable(f"No Redis answers at {self.where}: there is no such socket.")
        if isinstance(exc, socket.gaierror):
            return StoreUnavailable(f"Redis at {self.where} cannot be found: the name of the host is not known.")
        if isinstance(exc, ConnectionRefusedError):
            return StoreUnavailable(f"No Redis answers at {self.where}: the connection is refused.")
        if isinstance(exc, TypeError):
            return StoreRefused("REDIS_URL has an option after its ? that redis-py does not know.")
        return self._foreign() if isinstance(exc, ValueError) else None

    def _of_sample(self, host: Host, seen: bytes) -> StoreUnavailable | None:
        is_redis = seen.startswith((b"+PONG", b"-"))
        if seen == TLS_WITH_OURS and self.tls:
            return self._without_ours()
        if seen in (TLS, TLS_WITH_OURS) and not self.tls:
            return StoreRefused(
                f"Redis at {self.where} speaks TLS: write rediss:// in REDIS_URL (?ssl=true with a cluster or "
                "Sentinels) or set REDIS_TLS=true."
            )
        if is_redis and self.tls:
            return StoreRefused(
                f"Redis at {self.where} does not speak TLS: write redis:// in REDIS_URL (without ?ssl=true), or unset "
                "REDIS_TLS."
            )
        if seen.startswith(b"-DENIED"):
            return StoreRefused(f"Redis at {self.where} is in protected mode: give it a password, and REDIS_URL, too.")
        if b"max number of clients" in seen:
            return StoreUnavailable(f"Redis at {self.where} has no connection left: raise its maxclients.")
        return self._foreign() if seen and seen not in (TLS, TLS_WITH_OURS) and not is_redis else None

    def _without_ours(self) -> StoreRefused:
        return StoreRefused(
            f"Redis at {self.where} asks for a certificate of ours: ?ssl_certfile=…&ssl_keyfile=… in REDIS_URL."
        )

    def _foreign(self) -> StoreRefused:
        return StoreRefused(f"Something answers at {self.where}, but it does not speak Redis: check REDIS_URL.")


async def sample(host: Host, timeout_s: float) -> bytes:
    """What a server says to PING; `TLS` or `TLS_WITH_OURS` if it says nothing but shakes hands for TLS; else empty."""
    name, port = host
    if port == 0:
        return b""
    said, greeted = await asyncio.gather(
        _within(timeout_s, _said(name, port)), _within(timeout_s, _greeted(name, port))
    )
    return said or greeted


async def _within(timeout_s: float, attempt: Coroutine[None, None, bytes]) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await attempt
    except (OSError, builtins.TimeoutError):
        return b""


async def _said(name: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(name, port)
    try:
        writer.write(b"PING\r\n\r\n")  # to Redis the empty line is nothing; others then know that no more is coming
        return await reader.read(100)
    finally:
        writer.close()


async def _greeted(name: str, port: int) -> bytes:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # nothing is said to it
    reader, writer = await asyncio.open_connection(name, port, ssl=trusting)
    try:
        # Who wants a certificate of ours says so after the handshake, and a request would cross with that.
        async with asyncio.timeout(_AFTERWARDS_S):
            await reader.read(1)
    except ssl.SSLError as exc:
        return TLS_WITH_OURS if _wants_ours(exc) else TLS
    except builtins.TimeoutError:
        pass
    finally:
        writer.transport.abort()  # to close would be to wait for the other side to say goodbye
    return TLS


def _wants_ours(exc: ssl.SSLError) -> bool:
    return "ALERT" in (exc.reason or "") and "CERTIFICATE" in (exc.reason or "")


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _plainly(causes: Iterable[BaseException]) -> str:
    if any(isinstance(cause, TimeoutError | builtins.TimeoutError) for cause in causes):
        return "no reply in time"
    return "the connection is closed at once"
