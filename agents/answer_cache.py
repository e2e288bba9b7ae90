"""Answers to first questions, kept to be given again.

Only a first question means the same whoever asks it: later ones depend on the conversation before them. Kept in the
process, not in Redis: nothing that people asked is stored beyond their own conversation, nothing has to be encrypted,
and a Redis that is away changes nothing; the price is that each process works an answer out once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage

from agents.bots import BotConfig
from auth.principal import Principal
from domain.db import Database
from domain.knowledge import compute_knowledge_version
from utils.errors import StoreUnavailable
from utils.expiring import Expiring
from utils.normal_forms import normalize
from utils.validity import today

_VERSION_KEPT_S = 1.0
_READING_LIMIT_S = 0.5  # of a turn's time; without the version there is no cache
_MAX_TENANTS = 10_000
_AROUND = " ?!.¿¡…"


@dataclass(frozen=True, slots=True)
class Key:
    """What an answer is kept under; two tenants, or two bots, never have an equal one."""

    tenant_id: str
    bot: str
    knowledge: str
    question: str


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer, and the conversation that it was first given in: when that is deleted, it is not given again."""

    answer: AIMessage
    thread_id: str


class AnswerCache:
    """At most *size* answers, each for *ttl_s* seconds and while the tenant's documents are what they were.

    A change to them is noticed within a second. Settings are those of the process: they need no key.

    Args:
        is_deleted: whether a conversation was deleted, on whichever worker.
    """

    def __init__(
        self,
        database: Database,
        *,
        size: int,
        ttl_s: float,
        is_deleted: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._database, self._reading, self.is_deleted = database, asyncio.Lock(), is_deleted
        self.answers: Expiring[Key, CachedAnswer] = Expiring(size, ttl_s)
        self._versions: Expiring[str, str] = Expiring(_MAX_TENANTS, _VERSION_KEPT_S)
        # Its own: a database that hangs must not take the threads of others.
        self._reader = ThreadPoolExecutor(1, "knowledge-version")

    def open_session(self, ctx: Principal, bot: BotConfig, thread_id: str) -> "AnswerCacheSession":
        """What one turn of *ctx* with *bot* in a conversation uses."""
        return AnswerCacheSession(self, ctx, thread_id, bot.key)

    def forget(self, thread_id: str) -> None:
        """Give no answer again that was first given in this conversation."""
        self.answers.discard(lambda keys: keys.thread_id == thread_id)

    async def make_key(self, ctx: Principal, bot: str, question: str) -> Key | None:
        """What *question* to a bot, by its `BotConfig.key`, is kept under now.

        None while the database does not say which documents there are.
        """
        async with self._reading:  # a crowd that begins together asks once
            version = self._versions.get(ctx.tenant_id)
            if version is None:
                version = await self._ask(ctx)
                self._versions.put(ctx.tenant_id, version)
        return Key(ctx.tenant_id, bot, version, normalise(question)) if version else None

    def close(self) -> None:
        """Let the thread end."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, ctx: Principal) -> str:
        """The version of the tenant's knowledge, empty where it cannot be known."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_READING_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, ctx)
        return ""

    def _read(self, ctx: Principal) -> str:
        with self._database.open_read_session() as session:
            return f"{compute_knowledge_version(session, ctx)}|{today()}"  # with the day documents may expire


@dataclass(slots=True)
class AnswerCacheSession:
    """The cache for one turn; without a *cache* it finds nothing and keeps nothing."""

    cache: AnswerCache | None = None
    ctx: Principal | None = None
    thread_id: str = ""
    bot: str = ""
    _key: Key | None = field(default=None, init=False)

    async def find(self, question: str) -> AIMessage | None:
        """What this first question was answered with before, None if it was not. For first questions alone."""
        if self.cache is None or self.ctx is None:
            return None
        # Before anything is searched: an answer must not be kept under documents that came after it.
        self._key = await self.cache.make_key(self.ctx, self.bot, question)
        entry = self.cache.answers.get(self._key) if self._key else None
        if entry is None:
            return None
        if await self.cache.is_deleted(entry.thread_id):
            self.cache.forget(entry.thread_id)
            return None
        return deepcopy(entry.answer)

    def forget(self) -> None:
        """Keep nothing of this turn: it was answered worse than it could have been."""
        self._key = None

    def keep(self, answer: AIMessage) -> None:
        """Give *answer* to the next who asks what `find` was asked for; without that nothing is kept."""
        if self.cache is not None and self._key is not None:
            self.cache.answers.put(self._key, CachedAnswer(deepcopy(answer), self.thread_id))


def normalise(question: str) -> str:
    """*question* without what does not change its meaning: case, white space, marks at its ends."""
    return " ".join(normalize("NFKC", question).casefold().split()).strip(_AROUND)
