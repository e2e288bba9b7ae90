"""LangSmith and Sentry, where they are configured: what leaves the house, and whether it arrives."""

import asyncio
from urllib.parse import urlsplit

import httpx

from bootstrap.checks.finding import Finding, failure, ok, skipped, warning
from bootstrap.checks.running import Check, waiting_for
from bootstrap.checks.settings import Installation
from config import Settings

_TIMEOUT_S = 5.0
_LANGSMITH = "https://api.smith.langchain.com"


def checks(installation: Installation) -> list[Check]:
    """The checks of this group."""
    return [
        Check("LangSmith", waiting_for(lambda: _langsmith(installation))),
        Check("Sentry", waiting_for(lambda: _sentry(installation))),
    ]


async def _langsmith(installation: Installation) -> list[Finding]:
    settings = installation.settings
    if why := installation.why_not("langchain_"):
        return [skipped("LangSmith", why)]
    if not settings.langchain_tracing_v2:
        return [ok("LangSmith", "off: no turn leaves this installation for it")]
    if settings.langchain_api_key is None:
        found = "LANGCHAIN_TRACING_V2 is on, but there is no LANGCHAIN_API_KEY."
        return [failure("LangSmith", found, "Set LANGCHAIN_API_KEY, or LANGCHAIN_TRACING_V2=false.")]
    found = "On: every turn leaves this installation, questions and answers included."
    sent = warning("LangSmith", found, "If that is not meant, set LANGCHAIN_TRACING_V2=false.")
    return [sent, *await _reach(installation, "LangSmith", settings.langchain_endpoint or _LANGSMITH)]


async def _sentry(installation: Installation) -> list[Finding]:
    settings = installation.settings
    if why := installation.why_not("sentry_"):
        return [skipped("Sentry", why)]
    if settings.sentry_dsn is None:
        return [ok("Sentry", "off: no error leaves this installation for it")]
    try:
        import sentry_sdk  # noqa: F401 - an extra, and this is to find out whether it is there
    except ImportError:
        found = "SENTRY_DSN is set, but the package sentry-sdk is missing: the service does not start."
        return [failure("Sentry", found, "Install requirements-sentry.txt too, or unset SENTRY_DSN.")]
    address = _address(settings)
    if address is None:
        found = "SENTRY_DSN is no DSN."
        return [failure("Sentry", found, "Copy it from the project's settings: https://<key>@<host>/<project number>.")]
    return await _reach(installation, "Sentry", address)


def _address(settings: Settings) -> str | None:
    """The server of the DSN, without its key."""
    from sentry_sdk.utils import BadDsn, Dsn

    try:
        dsn = Dsn(settings.sentry_dsn.get_secret_value() if settings.sentry_dsn else "")
    except BadDsn:
        return None
    return f"{dsn.scheme}://{dsn.netloc}"


async def _reach(installation: Installation, check: str, address: str) -> list[Finding]:
    """Whether an HTTP server answers at *address*; what it says does not matter."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    if why := installation.why_not_ask():
        return [skipped(check, why)]
    try:
        async with asyncio.timeout(_TIMEOUT_S), httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            await http.get(address)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
        remedy = "Check the address and the firewall; what is meant for it is lost until it answers."
        return [warning(check, f"{host} cannot be reached.", remedy)]
    return [ok(check, f"{host} answers")]
