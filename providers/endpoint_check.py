"""An endpoint of models asked for its models, and whether it takes the key; no answer is paid for."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp
from pydantic import SecretStr

from providers.answer_limits import CHAT
from providers.openai_errors import CALL_ERRORS, EndpointInfo, StatusError, describe_failure
from providers.openai_wire import Json, OpenAIWire
from utils.audio import LARGEST_AUDIO

_REFUSED = (301, 302, 303, 307, 308, 401, 402, 403, 404)
Ask = Callable[[OpenAIWire, str], Awaitable[object]]
"""Asks something of the model of that name that is refused, but after the key was looked at."""


async def check_endpoint(
    base_url: str, api_key: SecretStr, side: EndpointInfo, ask: Ask, *, timeout_s: float
) -> set[str]:
    """The names of its models, none where it has no list; each of two calls takes *timeout_s* at most.

    Raises:
        ProviderError: the key, the address or the model is refused.
    """
    wire = OpenAIWire(base_url, api_key, connect_timeout_s=timeout_s)
    try:
        models = await _list_models(wire, side, timeout_s)
        await _try_key(partial(ask, wire, side.model), side, timeout_s)
    finally:
        await wire.aclose()
    return models


async def ask_chat(wire: OpenAIWire, model: str) -> Json:
    """An answer to no messages."""
    return await wire.ask("/chat/completions", {"model": model, "messages": [], "max_tokens": 1})


async def ask_transcription(wire: OpenAIWire, model: str) -> Json:
    """A transcript of no recording."""
    return await wire.upload("/audio/transcriptions", partial(_make_form, model), CHAT)


async def ask_speech(wire: OpenAIWire, model: str) -> bytes:
    """No words, in no voice."""
    return await wire.download("/audio/speech", {"model": model, "input": "", "voice": ""}, LARGEST_AUDIO)


async def ask_emotion(wire: OpenAIWire, model: str) -> Json:
    """The emotion of no recording."""
    return await wire.upload("/predict?text=", partial(_make_form, model), CHAT)


def _make_form(model: str) -> aiohttp.MultipartWriter:
    form = aiohttp.MultipartWriter("form-data")
    form.append(model).set_content_disposition("form-data", name="model")
    return form


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


async def _try_key(ask: Callable[[], Awaitable[object]], side: EndpointInfo, timeout_s: float) -> None:
    # Some endpoints show their models to everybody.
    try:
        async with asyncio.timeout(timeout_s):
            await ask()
    except StatusError as exc:
        if exc.status in _REFUSED:
            raise describe_failure(exc, side).problem from exc
    except CALL_ERRORS as exc:
        raise describe_failure(exc, side).problem from exc
