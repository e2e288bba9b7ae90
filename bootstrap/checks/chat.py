"""The chat model: its endpoint is asked for its models, and whether it takes the key; no answer is paid for."""

import asyncio
from typing import Any

import aiohttp

from bootstrap.checks.advice import shown
from bootstrap.checks.endpoints import of_chat, renamed
from bootstrap.checks.finding import Finding, ok, skipped, warning
from bootstrap.checks.refusals import noting
from bootstrap.checks.running import Check, waiting_for
from bootstrap.checks.settings import Installation
from config import Endpoint
from providers.openai_errors import CALL_ERRORS, Side, StatusError, failure_of
from providers.openai_wire import OpenAIWire

_CHAT = "Chat model"
_TIMEOUT_S = 8.0
_CHECK = "Check LLM_BASE_URL, LLM_API_KEY and LLM_MODEL."
_REFUSED = (401, 402, 403, 404)


def checks(installation: Installation) -> list[Check]:
    """The check of this group."""
    return [Check(_CHAT, waiting_for(lambda: _look(installation)), limit_s=25)]


async def _look(installation: Installation) -> list[Finding]:
    settings = installation.settings
    endpoint = settings.chat_endpoint
    if why := installation.why_not("llm_", "openai_", "openrouter_"):
        return [skipped(_CHAT, why)]
    if endpoint is None:
        return [ok(_CHAT, "none is configured: answers are quotes from the documents")]
    if why := installation.why_not_ask():
        return [skipped(_CHAT, why)]
    findings: list[Finding] = []
    wanted = [name for name in (endpoint.model, settings.llm_fallback_model) if name]
    wire = OpenAIWire(endpoint.base_url, endpoint.api_key, connect_timeout_s=_TIMEOUT_S)
    try:
        with noting(findings, _CHAT, _CHECK):
            findings += await _ask(wire, endpoint, wanted)
    finally:
        await wire.aclose()
    return renamed(findings, of_chat(settings))


async def _ask(wire: OpenAIWire, endpoint: Endpoint, wanted: list[str]) -> list[Finding]:
    """Raises ProviderError: the endpoint cannot be used as it is configured."""
    side = Side("chat model", "LLM", endpoint.model)
    listed = await _models(wire, side)
    await _try_key(wire, side)
    where = shown(endpoint.base_url)
    missing = [name for name in wanted if listed and name not in listed]
    if missing:
        few = ", ".join(sorted(listed)[:5]) + (" …" if len(listed) > 5 else "")
        found = f"{where} answers, but {' and '.join(missing)} is not among its {len(listed)} models ({few})."
        return [warning(_CHAT, found, "Set LLM_MODEL (LLM_FALLBACK_MODEL) to one of them.")]
    known = f", one of {len(listed)} models there" if listed else "; which models there are it does not tell"
    return [ok(_CHAT, f"{endpoint.model} at {where}{known}")]


async def _models(wire: OpenAIWire, side: Side) -> set[str]:
    """The names of the models, none where the endpoint has no list."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return {str(model["id"]) for model in (await wire.fetch("/models"))["data"]}
    except StatusError as exc:
        if exc.status in (401, 402, 403):
            raise failure_of(exc, side).problem from exc
        return set()
    except (aiohttp.ClientError, OSError) as exc:
        raise failure_of(exc, side).problem from exc
    except CALL_ERRORS:
        return set()  # a list in another format; calls decide


async def _try_key(wire: OpenAIWire, side: Side) -> None:
    """Some endpoints show their models to everybody. A request without messages is refused, but the key is seen first.

    Raises:
        ProviderError: the key, the address or the model is refused.
    """
    body: dict[str, Any] = {"model": side.model, "messages": [], "max_tokens": 1}
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await wire.ask("/chat/completions", body)
    except StatusError as exc:
        if exc.status in _REFUSED:
            raise failure_of(exc, side).problem from exc
    except CALL_ERRORS as exc:
        raise failure_of(exc, side).problem from exc
