"""OpenAI's wire format over aiohttp: JSON posted, JSON or server-sent events answered.

Under LangChain's ChatOpenAI the vendor's client costs 2.6 ms of CPU a call and 240 µs a streamed token (50 streams),
this 1.0 ms and 55 µs (`benchmarks/model_client.py`). The rest went into typed objects, which LangChain takes apart.

Wire format: https://platform.openai.com/docs/api-reference/chat-streaming
Events: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from providers.answer_limits import CHAT, LARGEST_EVENT, LARGEST_STREAM, MAX_EVENTS, AnswerLimits, parse_answer
from providers.openai_errors import EndpointError, StatusError, find_named, find_unwanted, is_of_file, is_of_question
from utils.outbound import AnswerTooLarge, Guard, find_proxy, open_session, read_at_most
from utils.ticks import sleep_to_a_tick

Json = dict[str, Any]
MAX_CONNECTIONS = 4096
# Servers such as vLLM close idle connections after 5 seconds: letting go of them before avoids writing into a
# connection that is just being closed.
KEPT_IDLE_S = 4.0
_LARGEST_REFUSAL = 64 * 2**10
# Bytes that are worked on before others have their turn: each may be a value, and every few of them an event.
_AT_ONCE = 16 * 2**10
_END_S = 0.1


class OpenAIWire:
    """Connections to one endpoint; belongs to the event loop it was made in.

    *guard* keeps it from private addresses; None: it may be at any.

    Deadlines but that for connecting are the caller's. All calls raise `aiohttp.ClientError`, `OSError`, `ValueError`
    and the errors of `providers/openai_errors.py`, for `describe_failure` to explain.
    """

    def __init__(
        self, base_url: str, api_key: SecretStr, *, connect_timeout_s: float, guard: Guard | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._proxy = None if guard else find_proxy(base_url)  # a proxy would connect to any address
        self._http = open_session(
            base_url,
            headers={"Authorization": f"Bearer {api_key.get_secret_value()}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            connections=MAX_CONNECTIONS,
            idle_s=KEPT_IDLE_S,
            guard=guard,
        )

    async def fetch(self, path: str) -> Json:
        """What the endpoint has at *path*."""
        async with self._answer("GET", path, None) as response:
            return await read_answer(response, CHAT)

    async def ask(self, path: str, body: Json, limits: AnswerLimits = CHAT) -> Json:
        """What the endpoint answers to *body* as a whole."""
        async with self._answer("POST", path, json.dumps(body).encode()) as response:
            return await read_answer(response, limits)

    async def upload(self, path: str, make_form: Callable[[], aiohttp.MultipartWriter], limits: AnswerLimits) -> Json:
        """What the endpoint answers to a form."""
        form = make_form()
        async with self._answer("POST", path, form, form.content_type) as response:
            return await read_answer(response, limits)

    async def download(self, path: str, body: Json, max_bytes: int) -> bytes:
        """The file that the endpoint answers to *body* with.

        Raises:
            AnswerTooLarge: it is larger.
        """
        async with self._answer("POST", path, json.dumps(body).encode()) as response:
            return await read_at_most(response, max_bytes)

    @asynccontextmanager
    async def open_events(self, path: str, body: Json) -> AsyncIterator["EventStream"]:
        """A streamed answer, which is broken off where it is left before its end."""
        async with self._answer("POST", path, json.dumps(body).encode()) as response:
            yield EventStream(response)

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._http.close()

    # Bodies are not written by orjson: it refuses half a surrogate pair, which can come out of a person's JSON.
    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: bytes | aiohttp.MultipartWriter | None, media_type: str = "application/json"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url, headers = f"{self._base_url}{path}", {"Content-Type": media_type}
        async with self._http.request(
            method, url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
        ) as response:
            if response.status >= 300:
                raise await read_refusal(response)
            yield response


class EventStream:
    """The events of an answer: iterating gives all that have come in since the last look at once, never none."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self._parser, self._size = response, EventParser(), 0

    async def __aiter__(self) -> AsyncGenerator[list[Json], None]:
        """What has come in, as often as there is something, to the end.

        Raises:
            AnswerTooLarge: more came than is read.
        """
        while data := await _receive(self._response.content):
            self._size += len(data)
            if self._size > LARGEST_STREAM:
                raise AnswerTooLarge(f"more than {LARGEST_STREAM:,} bytes")
            for start in range(0, len(data), _AT_ONCE):
                for events in self._parser.feed(data[start : start + _AT_ONCE]):
                    yield events
                if self._parser.is_done:
                    await _read_end(self._response)
                    return
                if start + _AT_ONCE < len(data):
                    await asyncio.sleep(0)  # others have their turn

    async def look_away(self, seconds: float) -> None:
        """Let what comes gather in the kernel: taken out piece by piece, each costs as much as all of them."""
        connection = self._response.connection  # none once all of the answer is here
        protocol = connection.protocol if connection else None
        if protocol is None:
            return
        protocol.pause_reading()
        try:
            await sleep_to_a_tick(seconds)
        finally:
            protocol.resume_reading()


class EventParser:
    """Server-sent events from bytes as they come, cut anywhere; comments and all fields but `data` are passed over."""

    def __init__(self) -> None:
        self._rest, self._data = bytearray(), list[bytes]()
        self._size = self._count = 0  # bytes of the event that is not whole yet; events
        self.is_done = False

    def feed(self, data: bytes) -> Iterator[list[Json]]:
        """The events that *data* completes, as one list, or nothing.

        Raises:
            AnswerTooLarge: one is too large, or there are too many.
            ValueError: one is not JSON.
            TypeError: one is not an object.
            EndpointError: one tells of an error. All after the events before it were given.
        """
        first, *others = data.split(b"\n")
        self._rest += first
        lines: list[bytes] = []
        if others:
            lines = [bytes(self._rest), *others[:-1]]
            self._rest = bytearray(others[-1])
        events: list[Json] = []
        try:
            events.extend(_check_answer(parse_answer(text, CHAT)) for text in self._split_events(lines))
            self._check_size(len(self._rest))
        except (ValueError, TypeError, EndpointError):
            if events:
                yield events
            raise
        if events:
            yield events

    def _split_events(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._size += len(line)
                self._check_size()
                self._data.append(line[5:].strip())
            elif not line and self._data:
                text, self._data, self._size = b"\n".join(self._data), [], 0
                if text == b"[DONE]":
                    self.is_done = True
                    return
                self._count += 1
                if self._count > MAX_EVENTS:
                    raise AnswerTooLarge(f"more than {MAX_EVENTS:,} events")
                yield text

    def _check_size(self, begun: int = 0) -> None:
        if self._size + begun > LARGEST_EVENT:
            raise AnswerTooLarge(f"more than {LARGEST_EVENT:,} bytes in an event")


async def read_answer(response: aiohttp.ClientResponse, limits: AnswerLimits) -> Json:
    """The whole answer in *response*.

    Raises:
        AnswerTooLarge: it is larger than *limits*.
        ValueError: it is not JSON.
        TypeError: it is not an object.
        EndpointError: it tells of an error.
    """
    return _check_answer(parse_answer(await read_at_most(response, limits.size_bytes), limits))


def _check_answer(answer: Any) -> Json:
    """*answer*, unless it tells of an error: some endpoints do with status 200."""
    if isinstance(answer, dict) and answer.get("error"):
        raise EndpointError
    if not isinstance(answer, dict):
        raise TypeError("the answer is not an object")
    return answer


async def _receive(content: aiohttp.StreamReader) -> bytes:
    """What has come, none at the end; aiohttp tells of a broken connection before what came over it."""
    try:
        return await content.readany()
    except aiohttp.ClientError:
        error = content.exception()
        content.set_exception(None)  # type: ignore[arg-type] # without one, what is left can be read
        rest = content.read_nowait()
        content.set_exception(error)  # type: ignore[arg-type] # as it was
        if rest:
            return rest
        raise


async def _read_end(response: aiohttp.ClientResponse) -> None:
    """Read what follows the last event, mostly nothing, so that the connection can be used again."""
    with suppress(TimeoutError, aiohttp.ClientError, AnswerTooLarge):
        async with asyncio.timeout(_END_S):
            await read_at_most(response, _AT_ONCE)


async def read_refusal(response: aiohttp.ClientResponse) -> StatusError:
    """Why the endpoint refused, in whichever of the usual forms it says so.

    Raises:
        ValueError: it says too much.
    """
    body = await read_at_most(response, _LARGEST_REFUSAL)
    code = _read_code(body)
    refusal = response.status, code, body.decode(errors="replace")
    wait = response.headers.get("Retry-After")
    return StatusError(
        response.status,
        code,
        wait,
        find_unwanted(*refusal),
        is_of_question=is_of_question(*refusal),
        is_of_file=is_of_file(response.status, refusal[2]),
        named=find_named(refusal[2]),
    )


def _read_code(refusal: bytes) -> str:
    """The error code in a refusal's body, empty without one."""
    try:
        body = orjson.loads(refusal)
    except ValueError:
        return ""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ""
    code = error.get("code") or ""
    return str(error.get("status") or "") if isinstance(code, int) else str(code)  # Google's code is the status again
