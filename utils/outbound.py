"""Connections to other servers over aiohttp, for calls that are made so often that a client's own layers count."""

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx


def open_session(
    url: str, *, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout, connections: int, kept_idle_s: float
) -> aiohttp.ClientSession:
    """A session for the server at *url* that keeps idle connections *kept_idle_s* seconds and no cookies.

    Belongs to the event loop it is made in. By https it trusts the certificates that come with the package, or those
    SSL_CERT_FILE names.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=kept_idle_s,
            ssl=httpx.create_ssl_context() if url.startswith("https:") else True,
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
    )


def find_proxy(url: str) -> str | None:
    """What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, to be asked once instead of at every call."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


async def read_at_most(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body of *response*.

    Raises:
        ValueError: it is larger.
    """
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise ValueError("an answer that is too large")
    return b"".join(parts)
