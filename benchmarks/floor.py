"""The floor under a chat service: the least code that holds a conversation with a remembered history.

A bare Starlette app that calls the model over aiohttp and keeps the messages in a Redis list with an expiry, whole or
streamed. No graph, no retrieval, no checks but the key. What a service costs above it is what the service adds.

    python -m benchmarks.floor --port 8100 --model-url http://127.0.0.1:9100/v1 --redis-url redis://127.0.0.1:6379
"""

import argparse
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import redis.asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Message = dict[str, str]
_TTL_S = 86_400


class Floor:
    """Its two connections and the one route."""

    def __init__(self, *, model_url: str, redis_url: str, api_key: str) -> None:
        self._model_url, self._redis_url, self._api_key = model_url, redis_url, api_key

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Connections made and closed in the server's loop."""
        self._redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(self._redis_url, max_connections=64)
        )
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self._http, self._redis:
            yield

    async def chat(self, request: Request) -> Response:
        """One turn, in the service's contract."""
        if not secrets.compare_digest(request.headers.get("x-api-key", ""), self._api_key):
            return JSONResponse({"title": "A valid API key is needed"}, status_code=401)
        key = f"floor:{request.headers['x-conversation-id']}"
        asked = {"role": "user", "content": (await request.json())["message"]}
        history = [json.loads(message) for message in await self._redis.lrange(key, 0, -1)]
        messages = [{"role": "system", "content": "Be brief."}, *history, asked]
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(self._events(key, messages), media_type="text/event-stream")
        answer = await self._complete(messages)
        await self._keep(key, asked, answer)
        return JSONResponse({"answer": answer, "sources": ""})

    async def _complete(self, messages: list[Message]) -> str:
        body = {"model": "fake", "messages": messages}
        async with self._http.post(f"{self._model_url}/chat/completions", json=body) as reply:
            reply.raise_for_status()
            answer: dict[str, Any] = await reply.json()
        return str(answer["choices"][0]["message"]["content"])

    async def _events(self, key: str, messages: list[Message]) -> AsyncIterator[bytes]:
        body, said = {"model": "fake", "messages": messages, "stream": True}, list[str]()
        async with self._http.post(f"{self._model_url}/chat/completions", json=body) as reply:
            reply.raise_for_status()
            async for line in reply.content:
                if line.startswith(b"data: {") and (choices := json.loads(line[6:])["choices"]):
                    token = choices[0]["delta"].get("content") or ""
                    said.append(token)
                    if token:
                        yield _event("token", content=token)
        answer = "".join(said)
        await self._keep(key, messages[-1], answer)
        yield _event("done", answer=answer)

    async def _keep(self, key: str, asked: Message, answer: str) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.rpush(key, json.dumps(asked), json.dumps({"role": "assistant", "content": answer}))
            pipeline.expire(key, _TTL_S)
            await pipeline.execute()


def _event(kind: str, **fields: str) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


async def health(request: Request) -> JSONResponse:
    """That it lives."""
    return JSONResponse({"status": "healthy"})


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="A bare chat service to measure against.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--api-key", default="benchmark")
    args = parser.parse_args()
    floor = Floor(model_url=args.model_url, redis_url=args.redis_url, api_key=args.api_key)
    routes = [Route("/v1/chat", floor.chat, methods=["POST"]), Route("/health", health), Route("/ready", health)]
    app = Starlette(routes=routes, lifespan=floor.lifespan)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
