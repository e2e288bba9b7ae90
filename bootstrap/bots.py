"""The bots of all tenants: what the settings say, and over it what a tenant's administrator has said."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from agents.bots import BotConfig
from auth.principal import DEFAULT_BOT, Principal
from config import Settings
from domain.bots import StoredBot, get_bot
from domain.db import Database
from utils.checkpointer.circuit import Circuit
from utils.errors import Conflict, NotFound, StoreUnavailable
from utils.expiring import Expiring

_MOST_KEPT, _KEPT_S = 10_000, 86_400.0
_READING_LIMIT_S, _RETRY_S = 1.0, 2.0


def make_default_bot(settings: Settings) -> BotConfig:
    """How a bot answers of which nothing else is said."""
    return BotConfig(
        institution=settings.institution,
        language_policy=settings.language_policy,
        top_k=settings.top_k,
        unsupported_sentences=settings.unsupported_sentences,
    )


class StoredBots:
    """A `BotDirectory` over the database, which is asked at each turn: a change takes effect with the next one.

    While the database is away, or takes longer than a turn can wait, bots answer as they were last known to.
    """

    def __init__(self, database: Database, default: BotConfig) -> None:
        self._database, self._default = database, default
        self._versions: Expiring[tuple[str, str, int], BotConfig] = Expiring(_MOST_KEPT, _KEPT_S)
        self._last: Expiring[tuple[str, str], BotConfig] = Expiring(_MOST_KEPT, _KEPT_S)
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            away="The database does not say how bots answer: they answer as they were last known to",
            back="The database says again how bots answer",
        )
        # Its own: a database that hangs must not take the threads of others.
        self._reader = ThreadPoolExecutor(1, "bots")

    async def get(self, ctx: Principal, version: int | None = None) -> BotConfig:
        """See `BotDirectory.get`."""
        bot_id = ctx.bot_id or DEFAULT_BOT
        if version is None:
            return await self._get_newest(ctx, bot_id)
        if version == 0:
            return self._default
        known = self._versions.get((ctx.tenant_id, bot_id, version))
        return known or self._keep(ctx, await self._read(ctx, bot_id, version))

    def close(self) -> None:
        """Let the thread end."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _get_newest(self, ctx: Principal, bot_id: str) -> BotConfig:
        if not self._circuit.may_try():
            return self._get_last(ctx, bot_id)
        try:
            stored = await self._read(ctx, bot_id)
        except NotFound:
            self._circuit.note_success()
            if bot_id != DEFAULT_BOT:
                raise
            return self._default
        except StoreUnavailable as exc:
            self._circuit.note_failure(exc)
            return self._get_last(ctx, bot_id)
        self._circuit.note_success()
        if not stored.bot.is_enabled:
            raise Conflict(f"The bot {bot_id!r} is switched off. Ask another one, or its administrator.")
        bot = self._keep(ctx, stored)
        self._last.put((ctx.tenant_id, bot_id), bot)
        return bot

    def _get_last(self, ctx: Principal, bot_id: str) -> BotConfig:
        known = self._last.get((ctx.tenant_id, bot_id)) or (self._default if bot_id == DEFAULT_BOT else None)
        if known is None:
            raise StoreUnavailable(f"The database does not say how the bot {bot_id!r} answers. Try again soon.")
        return known

    async def _read(self, ctx: Principal, bot_id: str, version: int | None = None) -> StoredBot:
        def read() -> StoredBot:
            with self._database.reading() as session:
                stored = get_bot(session, ctx, bot_id, version)
                session.expunge_all()
                return stored

        try:
            async with asyncio.timeout(_READING_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except TimeoutError as exc:
            raise StoreUnavailable(f"The database did not answer within {_READING_LIMIT_S:g} s.") from exc

    def _keep(self, ctx: Principal, stored: StoredBot) -> BotConfig:
        bot = overlay(self._default, stored)
        self._versions.put((ctx.tenant_id, bot.bot_id, bot.version), bot)
        return bot


def overlay(default: BotConfig, stored: StoredBot) -> BotConfig:
    """*default* with what is said of the bot itself."""
    said: dict[str, Any] = {**stored.answers, "dataset_ids": tuple(stored.answers.get("dataset_ids", ()))}
    row = stored.bot
    return replace(default, bot_id=row.bot_id, version=row.version, **said)
