"""The bots of all tenants: what the settings say, and over it what a tenant's administrator has said."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

from sqlalchemy.orm import Session

from agents.bots import BotConfig
from auth.principal import DEFAULT_BOT, Principal
from config import Settings
from domain.bots import BotAnswers, BotState, find_bot_state, get_answers, make_missing_error
from domain.db import Database
from utils.checkpointer.circuit import Circuit
from utils.errors import Conflict, StoreUnavailable
from utils.expiring import Expiring

_MOST_KEPT, _KEPT_S = 10_000, 86_400.0
_READING_LIMIT_S, _RETRY_S = 1.0, 2.0
_Outcome = BotConfig | Literal["off", "missing"]
T = TypeVar("T")


def make_default_bot(settings: Settings) -> BotConfig:
    """How a bot answers of which nothing else is said."""
    return BotConfig(
        institution=settings.institution,
        language_policy=settings.language_policy,
        top_k=settings.top_k,
        unsupported_sentences=settings.unsupported_sentences,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """Of turns that wait for the same bot."""

    ctx: Principal
    bot_id: str
    state: asyncio.Future[BotState | None]


class StoredBots:
    """A `BotDirectory` over the database, which is asked at each turn: a change takes effect with the next one.

    While the database is away, or takes longer than a turn can wait, what it last said of a bot to this process holds:
    how it answers, or that it is switched off or removed.
    """

    def __init__(self, database: Database, default: BotConfig) -> None:
        self._database, self._default = database, default
        self._versions: Expiring[tuple[str, str, int], BotConfig] = Expiring(_MOST_KEPT, _KEPT_S)
        self._last: Expiring[tuple[str, str], _Outcome] = Expiring(_MOST_KEPT, _KEPT_S)
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            away="The database does not say how bots answer: they answer as they were last known to",
            back="The database says again how bots answer",
        )
        # Its own: a database that hangs must not take the threads of others.
        self._reader = ThreadPoolExecutor(1, "bots")
        self._asked: dict[tuple[str, str], _Question] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, ctx: Principal, version: int | None = None) -> BotConfig:
        """See `BotDirectory.get`."""
        bot_id = ctx.bot_id or DEFAULT_BOT
        if version is not None:
            return await self._get_version(ctx, bot_id, version)
        outcome = await self._find_outcome(ctx, bot_id)
        if outcome == "off":
            raise Conflict(f"The bot {bot_id!r} is switched off. Ask another one, or its administrator.")
        if outcome == "missing":
            if bot_id != DEFAULT_BOT:
                raise make_missing_error(bot_id)
            return self._default
        return outcome

    def close(self) -> None:
        """Let the thread end."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def _find_outcome(self, ctx: Principal, bot_id: str) -> _Outcome:
        key = ctx.tenant_id, bot_id
        known = self._last.get(key)
        if self._circuit.may_try():
            try:
                outcome = await self._read_outcome(ctx, bot_id)
            except StoreUnavailable as exc:
                self._circuit.note_failure(exc)
            else:
                self._circuit.note_success()
                if known or outcome != "missing":  # those that never were would push others out
                    self._last.put(key, outcome)
                return outcome
        if known is None and bot_id != DEFAULT_BOT:
            raise StoreUnavailable(f"The database does not say how the bot {bot_id!r} answers. Try again soon.")
        return known or "missing"

    async def _read_outcome(self, ctx: Principal, bot_id: str) -> _Outcome:
        state = await _wait(self._ask_state(ctx, bot_id))
        if state is None:
            return "missing"
        return await self._get_version(ctx, bot_id, state.version) if state.is_enabled else "off"

    async def _get_version(self, ctx: Principal, bot_id: str, version: int) -> BotConfig:
        if version == 0:
            return self._default
        key = ctx.tenant_id, bot_id, version
        bot = self._versions.get(key)
        if bot is None:
            answers = await _wait(self._read(partial(get_answers, ctx=ctx, bot_id=bot_id, version=version)))
            bot = overlay(self._default, bot_id, version, answers)
            self._versions.put(key, bot)
        return bot

    def _ask_state(self, ctx: Principal, bot_id: str) -> Awaitable[BotState | None]:
        """Read after this call; turns that begin meanwhile share what is read next, once for each bot."""
        key = ctx.tenant_id, bot_id
        if key not in self._asked:
            self._asked[key] = _Question(ctx, bot_id, asyncio.get_running_loop().create_future())
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_what_is_asked())
        return asyncio.shield(self._asked[key].state)

    async def _read_what_is_asked(self) -> None:
        while self._asked:
            asked, self._asked = list(self._asked.values()), {}
            try:
                states = await self._read(partial(_read_states, asked))
            except Exception as exc:  # it is theirs who ask
                for question in asked:
                    question.state.set_exception(exc)
                    question.state.exception()  # nobody may be left to see it
            else:
                for question, state in zip(asked, states, strict=True):
                    question.state.set_result(state)

    def _read(self, work: Callable[[Session], T]) -> Awaitable[T]:
        def read() -> T:
            with self._database.reading() as session:
                return work(session)

        return asyncio.get_running_loop().run_in_executor(self._reader, read)


def _read_states(asked: Sequence[_Question], session: Session) -> list[BotState | None]:
    return [find_bot_state(session, question.ctx, question.bot_id) for question in asked]


async def _wait(answer: Awaitable[T]) -> T:
    """What the database says, if it does soon."""
    try:
        async with asyncio.timeout(_READING_LIMIT_S):
            return await answer
    except TimeoutError as exc:
        raise StoreUnavailable(f"The database did not answer within {_READING_LIMIT_S:g} s.") from exc


def overlay(default: BotConfig, bot_id: str, version: int, answers: BotAnswers) -> BotConfig:
    """*default* with what is said of the bot itself."""
    said: dict[str, Any] = {**answers, "dataset_ids": tuple(answers.get("dataset_ids", ()))}
    return replace(default, bot_id=bot_id, version=version, **said)
