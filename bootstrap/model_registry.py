"""The models that are open in this process: those of tenants are opened when first asked for, and few at once."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from agents.bots import BotConfig
from agents.state import AnswerModel
from auth.principal import Principal


class ModelKey(NamedTuple):
    """Names a model in one of its versions."""

    tenant_id: str
    model_id: str
    version: int


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model and what closes its connections."""

    model: AnswerModel
    aclose: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Entry:
    key: ModelKey
    opening: asyncio.Task[OpenModel]
    holders: int = 0
    is_outdated: bool = False  # a newer version of it is open

    @property
    def is_idle(self) -> bool:
        return not self.holders and self.opening.done()


class ModelRegistry:
    """The `AnswerModels` of this process, for its event loop alone.

    The service's *own* model is always there. At most *size* of tenants are open beside those that turns are using;
    beyond that the one goes that was asked for longest ago. A former version goes with its last turn.
    """

    def __init__(
        self, own: AnswerModel, open_model: Callable[[Principal, ModelKey], Awaitable[OpenModel]], *, size: int = 64
    ) -> None:
        self._own, self._open_model, self._size = own, open_model, size
        self._entries: OrderedDict[ModelKey, _Entry] = OrderedDict()  # asked for longest ago first
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def hold(self, ctx: Principal, bot: BotConfig) -> AsyncIterator[AnswerModel]:
        """See `AnswerModels.hold`. Others do not wait while one is being opened."""
        if not bot.model_id:
            yield self._own
            return
        entry = self._take(ctx, ModelKey(ctx.tenant_id, bot.model_id, bot.model_version))
        try:
            # Who leaves does not end the opening, for which others may wait.
            yield (await asyncio.shield(entry.opening)).model
        finally:
            self._release(entry)

    async def aclose(self) -> None:
        """Close all of them; no turn is under way."""
        for entry in list(self._entries.values()):
            self._close(entry)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _take(self, ctx: Principal, key: ModelKey) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            opening = asyncio.ensure_future(self._open_model(ctx, key))
            entry = self._entries[key] = _Entry(key, opening)
            self._note_versions(key)
        self._entries.move_to_end(key)
        entry.holders += 1
        return entry

    def _release(self, entry: _Entry) -> None:
        entry.holders -= 1
        has_failed = entry.opening.done() and (entry.opening.cancelled() or entry.opening.exception() is not None)
        if has_failed or (entry.is_outdated and entry.is_idle):
            self._close(entry)
        idle = (each for each in list(self._entries.values()) if each.is_idle)
        while len(self._entries) > self._size and (oldest := next(idle, None)):
            self._close(oldest)

    def _note_versions(self, key: ModelKey) -> None:
        """Find out which versions of the model are former ones now that it is opened in this one."""
        same = [entry for entry in self._entries.values() if entry.key[:2] == key[:2]]
        newest = max(entry.key.version for entry in same)
        for entry in same:
            entry.is_outdated = entry.key.version < newest
            if entry.is_outdated and entry.is_idle and entry.key != key:
                self._close(entry)

    def _close(self, entry: _Entry) -> None:
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
            closing = asyncio.ensure_future(_close(entry.opening))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _close(opening: asyncio.Task[OpenModel]) -> None:
    try:
        opened = await opening
    except BaseException:  # whoever waited for it has been told
        return
    await opened.aclose()
