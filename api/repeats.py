"""Requests that are sent again with the same `Idempotency-Key`: worked on once, answered as the first one was.

What a request came to is kept in Redis for a day, under its sender and its key. Only successes are kept: a refused
request has changed nothing, and may be sent again under its key, mended.

Source: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from hashlib import blake2b
from typing import Any, cast
from uuid import uuid4

from flask import Response, request
from redis.exceptions import RedisError

from api.idempotency import IDEMPOTENCY_HEADER, KEPT_S, check_key
from api.services import services
from auth.principal import Principal
from server.sync_pool import get_sync_pool
from utils.cancelling import run_to_end, wait_for_end
from utils.checkpointer import Connections
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.errors import UnreadableValue
from utils.errors import Conflict, RequestUnderWay, ReusedKey, StoreUnavailable

Work = Callable[[], Awaitable[Response]]
AsyncView = Callable[..., Awaitable[Response]]
logger = logging.getLogger("api.repeats")

REPLAYED_HEADER = "Idempotency-Replayed"
_HOLD_S, _RENEW_S = 30.0, 10.0  # a worker that dies leaves the key taken for so long
_PATIENCE_S = 1.0
_KEPT_HEADERS = ("Content-Type", "Location", "ETag")
_UNDER_WAY, _DONE = b"U", b"D"
_FINGERPRINT_BYTES = 32
# All three act only where the key is still ours. KEYS: the key. ARGV: our claim, then what is to be.
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_FINISH = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request that may be sent again: its sender's key as it stands in Redis, and what tells it from others."""

    name: str
    fingerprint: bytes

    @classmethod
    def from_request(cls, ctx: Principal, key: str, fingerprint: bytes) -> "Repeatable":
        """The request of *ctx* under *key*, of 32 bytes of *fingerprint*."""
        named = "\0".join((ctx.tenant_id, ctx.subject_id, key)).encode()
        return cls(f"idempotency:{blake2b(named, digest_size=16).hexdigest()}", fingerprint)


class Repeats:
    """The requests with an `Idempotency-Key` of the last day, in Redis.

    Args:
        redis_url: where.
        keys: what results are encrypted under; None where conversations are not.
    """

    def __init__(self, redis_url: str, keys: Keyring | None = None) -> None:
        self._connections = Connections(redis_url, connect_timeout_s=_PATIENCE_S, timeout_s=_PATIENCE_S)
        self._keys = keys

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._connections.aclose()

    async def answer_once(self, request: Repeatable, work: Work) -> Response:
        """What *work* gives, or gave when the same request came before.

        It is not ended when its client leaves: whoever means to send a request again wants it done.

        Raises:
            ReusedKey: the key belongs to another request.
            RequestUnderWay: the same request is being worked on.
            StoreUnavailable: Redis does not answer, so that nothing can be promised; *work* was not begun.
        """
        claim = _UNDER_WAY + request.fingerprint + uuid4().bytes
        stored = await self._claim_or_undo(request, claim)
        if stored is not None:
            return stored
        renewing = asyncio.create_task(self._renew(request, claim))
        response = None
        try:
            response = await _finish(asyncio.ensure_future(work()))
        finally:
            renewing.cancel()
            await run_to_end(self._end(request, claim, response))
        return response

    @asynccontextmanager
    async def hold(self, request: Repeatable) -> AsyncIterator[None]:
        """Let no other of the same requests be within the block; what it comes to is kept elsewhere.

        Raises: as `answer_once` does.
        """
        claim = _UNDER_WAY + request.fingerprint + uuid4().bytes
        await self._claim_or_undo(request, claim)
        renewing = asyncio.create_task(self._renew(request, claim))
        try:
            yield
        finally:
            renewing.cancel()
            await run_to_end(self._end(request, claim, None))

    async def _claim_or_undo(self, request: Repeatable, claim: bytes) -> Response | None:
        """What `_claim` gives. Where the caller is cancelled meanwhile, the key is free again."""
        return await run_to_end(self._claim(request, claim), undo=lambda _: self._end(request, claim, None))

    async def _claim(self, request: Repeatable, claim: bytes) -> Response | None:
        redis = self._connections.asynchronous()
        result: bytes | None = None
        try:
            while result is None:  # it may expire between the two
                if await redis.set(request.name, claim, nx=True, px=round(_HOLD_S * 1000)):
                    return None
                result = cast("bytes | None", await redis.get(request.name))
                if result == claim:  # the client sent SET twice, as the first answer was lost
                    return None
        except RedisError as exc:
            raise StoreUnavailable(
                f"An {IDEMPOTENCY_HEADER} cannot be kept at present, so the request was not begun. Try again soon.",
                headers={"Retry-After": "5"},
            ) from exc
        state, fingerprint = result[:1], result[1 : 1 + _FINGERPRINT_BYTES]
        if fingerprint != request.fingerprint:
            raise ReusedKey
        if state == _UNDER_WAY:
            raise RequestUnderWay(
                "The same request with this key is being worked on. Send it again to get its result.",
                headers={"Retry-After": "1"},
            )
        return self._read(request, result[1 + _FINGERPRINT_BYTES :])

    async def _renew(self, request: Repeatable, claim: bytes) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            with suppress(RedisError):
                redis = self._connections.asynchronous()
                await redis.eval(_RENEW, 1, request.name, claim, round(_HOLD_S * 1000))

    async def _end(self, request: Repeatable, claim: bytes, response: Response | None) -> None:
        """Keep a success under the key; free the key after anything else."""
        redis = self._connections.asynchronous()
        try:
            if response is None or response.status_code >= 300:
                await redis.eval(_RELEASE, 1, request.name, claim)
            else:
                record = _DONE + request.fingerprint + self._serialize(request, response)
                await redis.eval(_FINISH, 1, request.name, claim, record, KEPT_S * 1000)
        except RedisError:
            logger.warning(
                "Redis does not answer: the response to a request with %s is not stored.", IDEMPOTENCY_HEADER
            )

    def _serialize(self, request: Repeatable, response: Response) -> bytes:
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        body = None if response.cache_control.no_store else response.get_data(as_text=True)
        record = {"status": response.status_code, "headers": headers, "body": body}
        plain = json.dumps(record).encode()
        return plain if self._keys is None else self._keys.encrypt(plain, request.name.encode())

    def _read(self, request: Repeatable, data: bytes) -> Response:
        try:
            plain = data if self._keys is None else self._keys.decrypt(data, request.name.encode())
            record: dict[str, Any] = json.loads(plain)
        except (UnreadableValue, ValueError) as exc:
            raise Conflict(
                "The stored response to the request with this key cannot be read. Check whether it took effect."
            ) from exc
        if record["body"] is None:
            raise Conflict(
                "This request was done before. Its answer has a secret, which is told once and is not stored."
            )
        response = Response(record["body"], record["status"], record["headers"])
        response.headers[REPLAYED_HEADER] = "true"
        return response


def answers_repeats(view: AsyncView) -> AsyncView:
    """Let the routes of *view* that are POST take an `Idempotency-Key`; the body is read by then."""

    @wraps(view)
    async def answer(ctx: Principal, **path_values: Any) -> Response:
        work = partial(view, ctx, **path_values)
        if request.method != "POST":
            return await work()
        return await answer_once(ctx, work, request.get_data)

    return answer


async def answer_once(ctx: Principal, work: Work, body: Callable[[], bytes]) -> Response:
    """What *work* gives for the present request, or gave before; *body*, called in a thread, tells it from others.

    Raises:
        BadInput: the key is not one; and what `Repeats.answer_once` raises.
    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return await work()
    check_key(key)
    path = request.path.rstrip("/").encode()
    fingerprint = await get_sync_pool().run(
        lambda: blake2b(path + b"\0" + body(), digest_size=_FINGERPRINT_BYTES).digest()
    )
    return await services().repeats.answer_once(Repeatable.from_request(ctx, key, fingerprint), work)


async def _finish(work: "asyncio.Future[Response]") -> Response:
    """What *work* gives, also to a caller that was cancelled meanwhile: the result is kept for who sends it again."""
    cancelled = await wait_for_end(work)
    if cancelled is not None and (work.cancelled() or work.exception()):
        raise cancelled
    return work.result()
