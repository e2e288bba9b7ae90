"""Credential in, principal out: authentication, the first of the three steps before a view."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from flask import Request
from sqlalchemy.exc import SQLAlchemyError

from agents.bots import BotDirectory
from api.visitor_tokens import ORIGIN_REFUSED, PREFIX, VisitorSigner
from api.visitors import VISITOR_HEADER, verify_visitor
from auth.credentials import make_visitor, make_website_visitor
from auth.principal import Principal, PrincipalKind
from domain.db import Database
from domain.keys import USE_NOTED_EVERY, find_key, note_use, read_principal
from domain.models import now
from utils.errors import Conflict, NotFound, NotReady, OriginRefused, StoreUnavailable, Unauthorized, VisitorRefused

logger = logging.getLogger(__name__)

_REMEMBERED_S = 9.0  # a revoked key is refused within 10 s, with some time to answer
_REMEMBERED_KEYS = 10_000
_LONGEST_KEY = 512
_LOOK_UPS = 4  # at once


@dataclass(slots=True)
class Authenticator:
    """Resolves keys: fixed ones from the configuration first, then those in the database.

    Args:
        fixed: secret → who it stands for.
        database: where other keys are; asked in a thread, its answers remembered for some seconds.
        visitors: knows tokens of visitors of websites, which are sent in place of a key.
        bots: knows which of them are switched off or removed, with which the tokens of their visitors end.
    """

    fixed: Mapping[str, Principal]
    database: Database
    visitors: VisitorSigner
    bots: BotDirectory
    _seen: "dict[str, _Cached]" = field(default_factory=dict)
    # Of its own: made-up keys must not keep the threads busy that everything else uses, when the database is slow.
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_LOOK_UPS, "keys"))
    _uses: "_Uses" = field(init=False)

    def __post_init__(self) -> None:
        self._uses = _Uses(self.database)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)
        self._uses.close()

    async def authenticate(self, request: Request) -> Principal:
        """Who sends this request, by `X-API-Key` or `Authorization: Bearer`; the first of them that is valid counts.

        If the key is the chat page's and names a visitor, that visitor.

        Raises:
            Unauthorized: there is no key, or it is not valid.
            VisitorRefused: the visitor's token is not valid.
            OriginRefused: it is for pages of another website.
        """
        presented = _list_credentials(request)
        if not presented:
            raise _refuse("Send your API key in the X-API-Key header, or as Authorization: Bearer <key>.")
        refused: VisitorRefused | None = None
        for key in presented:
            if key.startswith(PREFIX):
                try:
                    return await self._admit_visitor(key, request)
                except VisitorRefused as exc:
                    refused = exc
                    continue
            result = self._find_fixed(key) or await self._find_stored(key)
            if result is not None:
                return _act_for_visitor(result, key, request)
        raise refused or _refuse("This API key is not valid. Check that it is complete and has not been revoked.")

    async def _admit_visitor(self, token: str, request: Request) -> Principal:
        visitor = self.visitors.verify(token)
        try:
            visitor.check_origin(request.headers.get("Origin"))
        except OriginRefused:
            request.environ[ORIGIN_REFUSED] = f"{visitor.tenant_id}/{visitor.bot_id}"
            raise
        ctx = make_website_visitor(visitor.tenant_id, visitor.bot_id, visitor.visitor_id)
        try:
            with suppress(NotReady):  # its model is not there: what was said can be read
                await self.bots.get(ctx)
        except (NotFound, Conflict):
            raise VisitorRefused("The bot of this visitor's token is switched off, or does not exist.") from None
        return ctx

    def _find_fixed(self, presented: str) -> Principal | None:
        fixed = None
        for secret, ctx in self.fixed.items():  # every one is compared, so that the time taken tells nothing
            if secrets.compare_digest(secret.encode(), presented.encode()):
                fixed = ctx
        return fixed

    async def _find_stored(self, presented: str) -> Principal | None:
        digest = hashlib.sha256(presented.encode()).hexdigest()
        cached = self._seen.get(digest)
        if cached is None or time.monotonic() >= cached.until:
            try:
                cached = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, presented)
            except (SQLAlchemyError, StoreUnavailable) as exc:
                raise StoreUnavailable("API keys cannot be checked at present. Try again soon.") from exc
            if len(self._seen) >= _REMEMBERED_KEYS:
                self._seen.clear()  # a flood of made-up keys must not grow this without bound
            self._seen[digest] = cached
        return cached.ctx

    def _look_up(self, presented: str) -> "_Cached":
        # The time in the cache starts before the query: the key may be revoked while that runs.
        asked_at, moment = time.monotonic(), now()
        with self.database.open_read_session() as session:
            stored = find_key(session, presented)
        if stored is None:
            return _Cached(None, asked_at + _REMEMBERED_S)
        key = stored.key
        ctx = read_principal(key)
        if key.last_used_at is None or moment - key.last_used_at > USE_NOTED_EVERY:
            self._uses.note(ctx)
        left_s = (stored.valid_until - moment).total_seconds() if stored.valid_until else _REMEMBERED_S
        return _Cached(ctx, asked_at + min(left_s, _REMEMBERED_S))


@dataclass(frozen=True, slots=True)
class _Cached:
    """Whose a key is, None for one that is not valid; asked for again from *until* on, by the monotonic clock."""

    ctx: Principal | None
    until: float


class _Uses:
    """Writes when keys were used, in a thread of its own: no request waits for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, "key-use")
        self._waiting: set[tuple[str, str]] = set()

    def note(self, ctx: Principal) -> None:
        """Have it written that the key was used now, unless that waits to be written already."""
        if ctx.subject not in self._waiting:
            self._waiting.add(ctx.subject)
            with suppress(RuntimeError):  # it has been closed
                self._thread.submit(self._write, ctx)

    def close(self) -> None:
        """Let the thread end; what waits is not written."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _write(self, ctx: Principal) -> None:
        self._waiting.discard(ctx.subject)
        try:
            with self._database.open_write_session() as session:
                note_use(session, ctx, ctx.subject_id, now())
        except (SQLAlchemyError, StoreUnavailable) as exc:
            logger.warning("Could not store the last use of the key %s: %s", ctx.subject_id, type(exc).__name__)


def _act_for_visitor(ctx: Principal, key: str, request: Request) -> Principal:
    token = request.headers.get(VISITOR_HEADER)
    if ctx.kind is not PrincipalKind.VISITOR or token is None:
        return ctx
    return make_visitor(ctx, verify_visitor(key, token))


def has_key(request: Request) -> bool:
    """Whether the request presents a key, valid or not."""
    return bool(_list_credentials(request))


def _list_credentials(request: Request) -> list[str]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    keys = (request.headers.get("X-API-Key", ""), token if scheme.lower() == "bearer" else "")
    return [key for key in dict.fromkeys(map(str.strip, keys)) if 0 < len(key) <= _LONGEST_KEY]


def _refuse(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": 'Bearer realm="pustaka"'})
