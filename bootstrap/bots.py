"""The bots of all tenants: what the settings say, and over it what a tenant's administrator has said."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

from agents.bots import BotConfig
from auth.principal import DEFAULT_BOT, Principal
from config import Settings
from domain.bots import BotAnswers, BotState, find_bot_state, get_answers, make_missing_error
from domain.chat_models import find_version
from domain.db import Database
from domain.in_thread import wait_for_answer
from utils.checkpointer.circuit import Circuit
from utils.errors import Conflict, NotReady, StoreUnavailable
from utils.expiring import Expiring

_MAX_KEPT, _KEPT_S = 10_000, 86_400.0
_RETRY_S = 2.0
_Outcome = BotConfig | Literal["off", "missing"]
T = TypeVar("T")


def make_default_bot(settings: Settings) -> BotConfig:
    """How a bot answers of which nothing else is said."""
    return BotConfig(
        institution=settings.institution,
        language_policy=settings.language_policy,
        top_k=settings.top_k,
        model_top_k=settings.model_top_k,
        unsupported_sentences=settings.unsupported_sentences,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """A question to SQL that several turns wait for."""

    read: Callable[[Database], Any]
    answer: asyncio.Future[Any]


class StoredBots:
    """A `BotDirectory` over the database, which is asked at each turn: a change takes effect with the next one.

    While the database is away, or takes longer than a turn can wait, what it last said of a bot to this process holds:
    how it answers, or that it is switched off or removed.
    """

    def __init__(self, database: Database, default: BotConfig) -> None:
        self._database, self._default = database, default
        self._versions: Expiring[tuple[str, str, int], BotConfig] = Expiring(_MAX_KEPT, _KEPT_S)
        self._last: Expiring[tuple[str, str], _Outcome] = Expiring(_MAX_KEPT, _KEPT_S)
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            away="The database does not answer: bots use their last known configuration",
            back="The database says again how bots answer",
        )
        # Its own: a database that hangs must not take the threads of others.
        self._reader = ThreadPoolExecutor(1, "bots")
        self._questions: dict[tuple[str, str, str], _Question] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, ctx: Principal, version: int | None = None, model_version: int = 0) -> BotConfig:
        """See `BotDirectory.get`."""
        bot_id = ctx.bot_id or DEFAULT_BOT
        if version is not None:
            return replace(await self._get_version(ctx, bot_id, version), model_version=model_version)
        outcome = await self._find_outcome(ctx, bot_id)
        if outcome == "off":
            raise Conflict(
                f"The bot {bot_id!r} is switched off. Use another one, or ask an administrator to switch it on.",
                members={"bot_id": bot_id},
            )
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
        last = self._last.get(key)
        if self._circuit.may_try():
            try:
                outcome = await self._read_outcome(ctx, bot_id)
            except StoreUnavailable as exc:
                self._circuit.note_failure(exc)
            else:
                self._circuit.note_success()
                if last or outcome != "missing":  # those that never were would push others out
                    self._last.put(key, outcome)
                return outcome
        if last is None and bot_id != DEFAULT_BOT:
            raise StoreUnavailable(f"The database does not say how the bot {bot_id!r} answers. Try again soon.")
        return last or "missing"

    async def _read_outcome(self, ctx: Principal, bot_id: str) -> _Outcome:
        answer = self._ask(("bot", ctx.tenant_id, bot_id), partial(find_bot_state, ctx=ctx, bot_id=bot_id))
        state: BotState | None = await wait_for_answer(answer)
        if state is None:
            return "missing"
        if not state.is_enabled:
            return "off"
        bot = await self._get_version(ctx, bot_id, state.version)
        return await self._add_model_version(ctx, bot) if bot.model_id else bot

    async def _add_model_version(self, ctx: Principal, bot: BotConfig) -> BotConfig:
        model_id = bot.model_id
        answer = self._ask(("model", ctx.tenant_id, model_id), partial(find_version, ctx=ctx, model_id=model_id))
        version: int | None = await wait_for_answer(answer)
        if version is None:
            raise NotReady(f"This bot uses the model {model_id!r}, which does not exist: choose another model for it.")
        return replace(bot, model_version=version)

    async def _get_version(self, ctx: Principal, bot_id: str, version: int) -> BotConfig:
        if version == 0:
            return self._default
        key = ctx.tenant_id, bot_id, version
        bot = self._versions.get(key)
        if bot is None:
            answers = await wait_for_answer(self._read(partial(_read_version, ctx=ctx, bot_id=bot_id, version=version)))
            bot = overlay(self._default, bot_id, version, answers)
            self._versions.put(key, bot)
        return bot

    def _ask(self, key: tuple[str, str, str], read: Callable[[Database], T]) -> Awaitable[T]:
        """Read after this call; turns that begin meanwhile share what is read next, once for each *key*."""
        if key not in self._questions:
            self._questions[key] = _Question(read, asyncio.get_running_loop().create_future())
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_questions())
        return asyncio.shield(self._questions[key].answer)

    async def _read_questions(self) -> None:
        while self._questions:
            questions, self._questions = list(self._questions.values()), {}
            try:
                answers = await self._read(partial(_read_answers, questions))
            except Exception as exc:  # it is theirs who ask
                for question in questions:
                    question.answer.set_exception(exc)
                    question.answer.exception()  # nobody may be left to see it
            else:
                for question, answer in zip(questions, answers, strict=True):
                    question.answer.set_result(answer)

    def _read(self, work: Callable[[Database], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._reader, work, self._database)


def _read_answers(questions: Sequence[_Question], database: Database) -> list[Any]:
    return [question.read(database) for question in questions]


def _read_version(database: Database, ctx: Principal, bot_id: str, version: int) -> BotAnswers:
    with database.open_read_session() as session:
        return get_answers(session, ctx, bot_id, version)


def overlay(default: BotConfig, bot_id: str, version: int, answers: BotAnswers) -> BotConfig:
    """*default* with what is said of the bot itself."""
    own: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in answers.items()}
    if "top_k" in own:  # whoever chose a number for a bot means it for quotes and for its model
        own["model_top_k"] = own["top_k"]
    return replace(default, bot_id=bot_id, version=version, **own)
