"""Connections to other servers over aiohttp, for calls that are made so often that a client's own layers count."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx

from utils.reach import AddressRefused, Reach


def open_session(
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
    connections: int,
    idle_s: float,
    guard: "Guard | None" = None,
) -> aiohttp.ClientSession:
    """A session for the server at *url* that keeps idle connections *idle_s* seconds and no cookies.

    Belongs to the event loop it is made in. By https it trusts the certificates that come with the package, or those
    SSL_CERT_FILE names. With *guard* every connection is checked at the address that it leads to, and
    fails with a `PermissionError` where that is not allowed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=idle_s,
            ssl=_load_certificates(guard) if url.startswith("https:") else True,
            socket_factory=_check_first(guard.reach) if guard else None,
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
    )


@dataclass(frozen=True, slots=True)
class Guard:
    """For connections to where tenants say: which addresses are allowed, and what https trusts.

    Reading that takes tens of milliseconds: one guard is for all of them.
    """

    reach: Reach
    certificates: SSLContext

    @classmethod
    def load(cls, reach: Reach) -> "Guard":
        """One with the certificates that `open_session` trusts. Blocking."""
        return cls(reach, httpx.create_ssl_context())


def _load_certificates(guard: Guard | None) -> SSLContext:
    return guard.certificates if guard else httpx.create_ssl_context()


def _check_first(reach: Reach) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes sockets for addresses as `socket.getaddrinfo` gives them, if *reach* allows connections there."""

    def make_socket(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (address, port, *_) = address_info
        try:
            reach.check(str(address), int(port))
        except AddressRefused as exc:
            raise PermissionError(str(exc)) from exc
        return socket.socket(family, kind, protocol)

    return make_socket


def find_proxy(url: str) -> str | None:
    """What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, to be asked once instead of at every call."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


class AnswerTooLarge(ValueError):
    """An answer is larger than it is read."""


async def read_at_most(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body of *response*.

    Raises:
        AnswerTooLarge: it is larger.
    """
    body = bytearray()  # not a list of parts: each may be one byte
    async for part in response.content.iter_any():
        body += part
        if len(body) > max_bytes:
            raise AnswerTooLarge(f"more than {max_bytes:,} bytes")
    return bytes(body)
