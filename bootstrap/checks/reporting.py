"""LangSmith and Sentry, where they are configured: what leaves the house, and whether it arrives."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx

from bootstrap.checks.settings import Installation
from utils.findings import Finding, failure, ok, skipped, warning

_TIMEOUT_S = 5.0
_LANGSMITH = "https://api.smith.langchain.com"


async def check_langsmith(installation: Installation) -> AsyncIterator[Finding]:
    """Whether turns are traced there."""
    settings = installation.settings
    if not settings.langchain_tracing_v2:
        yield ok("LangSmith", "off: no turn leaves this installation for it")
    elif settings.langchain_api_key is None:
        text = "LANGCHAIN_TRACING_V2 is on, but there is no LANGCHAIN_API_KEY."
        yield failure("LangSmith", text, "Set LANGCHAIN_API_KEY, or LANGCHAIN_TRACING_V2=false.")
    else:
        text = "On: every turn leaves this installation, questions and answers included."
        yield warning("LangSmith", text, "If that is not meant, set LANGCHAIN_TRACING_V2=false.")
        yield await _reach(installation, "LangSmith", settings.langchain_endpoint or _LANGSMITH)


async def check_sentry(installation: Installation) -> AsyncIterator[Finding]:
    """Whether errors are reported there."""
    dsn = installation.settings.sentry_dsn
    if dsn is None:
        yield ok("Sentry", "off: no error leaves this installation for it")
        return
    try:
        from sentry_sdk.utils import BadDsn, Dsn  # an extra
    except ImportError:
        text = "SENTRY_DSN is set, but the package sentry-sdk is missing: the service does not start."
        yield failure("Sentry", text, "Install requirements-sentry.txt too, or unset SENTRY_DSN.")
        return
    try:
        server = Dsn(dsn.get_secret_value())
    except BadDsn:
        remedy = "Copy it from the project's settings: https://<key>@<host>/<project number>."
        yield failure("Sentry", "SENTRY_DSN is no DSN.", remedy)
        return
    yield await _reach(installation, "Sentry", f"{server.scheme}://{server.netloc}")


async def _reach(installation: Installation, check: str, address: str) -> Finding:
    """Whether an HTTP server answers at *address*; what it says does not matter."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    if why := installation.explain_skip(asks=lambda _: True):
        return skipped(check, why)
    try:
        async with asyncio.timeout(_TIMEOUT_S), httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            await http.get(address)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
        remedy = "Check the address and the firewall; what is meant for it is lost until it answers."
        return warning(check, f"{host} cannot be reached.", remedy)
    return ok(check, f"{host} answers")
