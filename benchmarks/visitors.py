"""Visitors who hold conversations over HTTP, and check that nothing they said was lost."""

import asyncio
import json
import random
import re
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import quantiles
from uuid import uuid4

import aiohttp

from tests.fakes.model_answers import history_digest

API_KEY = "benchmark-key-of-this-run-only"
_REFUSED = (429, 503)  # before anything is kept
NOT_ASKED = "the model was not asked"  # the service found nothing to answer from: its right, and no lost history
_ECHO = re.compile(r"echo n=\d+ s=\d+ u=\d+ a=\d+ h=(?P<digest>\w+) m=(?P<marks>[\w,]*);")
_DONE = re.compile(r"^event: done\ndata: (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and what came of it: `problem` is empty when all was well.

    `first_token_ms` is 0 where the answer was not streamed.
    """

    ms: float
    problem: str
    first_token_ms: float = 0.0


@dataclass
class Visitor:
    """One conversation. Every question carries a mark that the model must find again in each later prompt."""

    http: aiohttp.ClientSession
    url: str
    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conversation_id = f"visitor-{_new_mark()}"

    async def ask(self, question: str) -> Turn:
        """One turn, timed from the request to the last byte of the answer."""
        began = time.perf_counter()
        try:
            async with self._post(question) as reply:
                answer = await reply.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as exc:
            return Turn(_ms_since(began), type(exc).__name__)
        ms = _ms_since(began)
        if reply.status in _REFUSED:
            self.said.pop()
        return Turn(ms, self._lost(str(answer["answer"])) if reply.status == 200 else f"HTTP {reply.status}")

    async def listen(self, question: str) -> Turn:
        """One turn whose answer is streamed."""
        began, first_ms, heard = time.perf_counter(), 0.0, bytearray()
        try:
            async with self._post(question, Accept="text/event-stream") as reply:
                async for part in reply.content.iter_any():
                    heard += part
                    if not first_ms and b"event: token" in heard:
                        first_ms = _ms_since(began)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Turn(_ms_since(began), type(exc).__name__, first_ms)
        ms, done = _ms_since(began), _DONE.search(heard.decode())
        if reply.status != 200 or done is None:
            return Turn(ms, f"HTTP {reply.status}" if reply.status != 200 else "the stream broke off", first_ms)
        return Turn(ms, self._lost(str(json.loads(done[1])["answer"])), first_ms)

    def _post(self, question: str, **headers: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        self.said.append(_new_mark())
        headers |= {"X-API-Key": API_KEY, "X-Conversation-Id": self.conversation_id}
        return self.http.post(f"{self.url}/v1/chat", json={"message": f"{question} {self.said[-1]}"}, headers=headers)

    def _lost(self, answer: str) -> str:
        """What the model did not get of this conversation, by its echo; also notes the answer."""
        echo, expected = _ECHO.search(answer), history_digest(self.heard)
        self.heard.append(answer)
        if echo is None:
            return NOT_ASKED
        if echo["marks"] != ",".join(self.said):
            return "questions lost"
        return "" if echo["digest"] == expected else "answers lost"


async def hold_conversations(
    url: str, questions: list[str], *, at_once: int, conversations: int, turns: int
) -> list[Turn]:
    """*conversations* of *turns* questions each, *at_once* visitors at a time, in one row each without pauses."""
    chance, results = random.Random(2026), list[Turn]()
    waiting = iter(range(conversations))

    async def visit(http: aiohttp.ClientSession) -> None:
        for _ in waiting:
            visitor = Visitor(http, url)
            for question in chance.sample(questions, turns):
                results.append(await visitor.ask(question))

    async with client() as http:
        await asyncio.gather(*(visit(http) for _ in range(at_once)))
    return results


def client() -> aiohttp.ClientSession:
    """A client that never queues: waiting for a connection would count as the server's time."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(120))


def percentile(values: list[float], percent: int) -> float:
    """The percentile of at least one value, rounded to a hundredth."""
    return round(quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0], 2)


def _new_mark() -> str:
    return f"mk{uuid4().hex[:8]}"


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
