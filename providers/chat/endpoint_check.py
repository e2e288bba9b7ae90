"""An endpoint of chat models asked for its models, and whether it takes the key; no answer is paid for."""

import asyncio
from typing import Any

import aiohttp
from pydantic import SecretStr

from providers.openai_errors import CALL_ERRORS, EndpointInfo, StatusError, describe_failure
from providers.openai_wire import OpenAIWire

_REFUSED = (301, 302, 303, 307, 308, 401, 402, 403, 404)


async def check_endpoint(base_url: str, api_key: SecretStr, model: str, *, timeout_s: float) -> set[str]:
    """The names of its models, none where it has no list; each of two calls takes *timeout_s* at most.

    Raises:
        ProviderError: the key, the address or the model is refused.
    """
    wire, side = OpenAIWire(base_url, api_key, connect_timeout_s=timeout_s), EndpointInfo("chat model", "LLM", model)
    try:
        models = await _list_models(wire, side, timeout_s)
        await _try_key(wire, side, timeout_s)
    finally:
        await wire.aclose()
    return models


async def _list_models(wire: OpenAIWire, side: EndpointInfo, timeout_s: float) -> set[str]:
    try:
        async with asyncio.timeout(timeout_s):
            return {str(model["id"]) for model in (await wire.fetch("/models"))["data"]}
    except StatusError as exc:
        if exc.status in _REFUSED and exc.status != 404:
            raise describe_failure(exc, side).problem from exc
        return set()
    except (aiohttp.ClientError, OSError) as exc:
        raise describe_failure(exc, side).problem from exc
    except CALL_ERRORS:
        return set()  # a list in another format; calls decide


async def _try_key(wire: OpenAIWire, side: EndpointInfo, timeout_s: float) -> None:
    # Some endpoints show their models to everybody. A request without messages is refused, but the key is seen first.
    body: dict[str, Any] = {"model": side.model, "messages": [], "max_tokens": 1}
    try:
        async with asyncio.timeout(timeout_s):
            await wire.ask("/chat/completions", body)
    except StatusError as exc:
        if exc.status in _REFUSED:
            raise describe_failure(exc, side).problem from exc
    except CALL_ERRORS as exc:
        raise describe_failure(exc, side).problem from exc
