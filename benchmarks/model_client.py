"""What a call to a chat model costs this process, by the client it goes through.

    python -m benchmarks.model_client

Claim: `RemoteChatModel`, which is ChatOpenAI with a client of our own over aiohttp, costs less CPU than ChatOpenAI with
OpenAI's client, plain and streamed, and does not degrade with many calls in flight. `floor` is
aiohttp and JSON alone. CPU of this process; the fake model server is another. Every answer is looked at.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import openai
import uvloop
from httpx2 import Limits
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from providers.chat.openai import open_chat_model

PLAIN = {1: 150, 32: 600, 200: 800, 1000: 1000}  # in flight: calls
STREAMED = {1: 4, 50: 50}
TOKENS = 100
MESSAGES: list[BaseMessage] = [SystemMessage("Be brief. " * 100), HumanMessage("When does the office open?")]
BODY = {"model": "m", "messages": [{"role": "system", "content": "Be brief. " * 100}, {"role": "user", "content": "?"}]}
LIMITS = Limits(max_connections=4096, max_keepalive_connections=4096)

Call = Callable[[], Awaitable[str]]
Client = tuple[Call, Call, Callable[[], Awaitable[None]]]


async def ours(base_url: str) -> Client:
    """The service's model."""
    model = await open_chat_model(base_url=base_url, api_key=SecretStr("k"), model="m")
    return (*_through_langchain(model), model.aclose)


async def chat_openai(base_url: str) -> Client:
    """ChatOpenAI as it is, over the vendor's aiohttp transport."""
    http = openai.DefaultAioHttpClient(limits=LIMITS)
    model = ChatOpenAI(
        model="m", base_url=base_url, api_key=SecretStr("k"), http_async_client=http, max_retries=0, stream_usage=True
    )
    return (*_through_langchain(model), http.aclose)


def _through_langchain(model: BaseChatModel) -> tuple[Call, Call]:
    async def plain() -> str:
        return (await model.ainvoke(MESSAGES)).text

    async def streamed() -> str:
        return "".join([chunk.text async for chunk in model.astream(MESSAGES)])

    return plain, streamed


async def openai_aiohttp(base_url: str) -> Client:
    """The vendor's client, over aiohttp."""
    return _vendor(base_url, openai.DefaultAioHttpClient(limits=LIMITS))


async def openai_httpx(base_url: str) -> Client:
    """The vendor's client as it comes, over httpx."""
    return _vendor(base_url, openai.DefaultAsyncHttpxClient(limits=LIMITS))


def _vendor(base_url: str, http: Any) -> Client:
    client = openai.AsyncOpenAI(base_url=base_url, api_key="k", http_client=http, max_retries=0)
    create: Any = client.chat.completions.create

    async def plain() -> str:
        return str((await create(**BODY)).choices[0].message.content)

    async def streamed() -> str:
        return "".join([c.choices[0].delta.content or "" async for c in await create(**BODY, stream=True) if c.choices])

    return plain, streamed, http.aclose


async def floor(base_url: str) -> Client:
    """aiohttp and JSON."""
    http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4))
    url = f"{base_url}/chat/completions"

    async def plain() -> str:
        async with http.post(url, json=BODY) as response:
            return str(json.loads(await response.read())["choices"][0]["message"]["content"])

    async def streamed() -> str:
        parts: list[str] = []
        async with http.post(url, json={**BODY, "stream": True}) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    parts += [choice["delta"].get("content", "") for choice in json.loads(line[6:])["choices"]]
        return "".join(parts)

    return plain, streamed, http.close


async def crowd(call: Call, at_once: int, calls: int) -> float:
    """CPU seconds of this process for *calls*, *at_once* of them in flight."""
    numbers = iter(range(calls))

    async def one_after_the_other() -> None:
        for _ in numbers:
            text = await call()
            assert text.startswith("echo"), text

    began_s = time.process_time()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return time.process_time() - began_s


async def configure(base_url: str, **behaviour: float) -> None:
    """Tell the fake how to behave, from its defaults."""
    root = base_url.removesuffix("/v1")
    async with aiohttp.ClientSession() as http:
        for path, body in (("__reset", {}), ("__config", behaviour)):
            await (await http.post(f"{root}/{path}", json=body)).read()


async def measure(base_url: str, make: Callable[[str], Awaitable[Client]]) -> dict[str, float]:
    """CPU by case: milliseconds a call, microseconds a streamed token."""
    plain, streamed, close = await make(base_url)
    figures: dict[str, float] = {}
    for at_once, calls in PLAIN.items():
        await configure(base_url, first_token_ms=300 if at_once > 50 else 0)
        await crowd(plain, at_once, at_once)  # the first pays for connections
        figures[f"{at_once} plain, ms"] = round(await crowd(plain, at_once, calls) / calls * 1e3, 2)
    for at_once, calls in STREAMED.items():
        await configure(base_url, tokens=TOKENS, gap_ms=10)
        await crowd(streamed, at_once, at_once)
        figures[f"{at_once} streamed, µs/token"] = round(await crowd(streamed, at_once, calls) / calls / TOKENS * 1e6)
    await close()
    return figures


def main() -> None:
    """Print a line a client."""
    server = subprocess.Popen([sys.executable, "-m", "tests.fakes.model_server"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        for make in (floor, ours, chat_openai, openai_aiohttp, openai_httpx):
            print(make.__name__, uvloop.run(measure(base_url, make)), flush=True)
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)


if __name__ == "__main__":
    main()
