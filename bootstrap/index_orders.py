"""Requests of an operator's command to indexes: done here, or by the service that has them open."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

from bootstrap.data_folder import open_data_folder
from bootstrap.index_opener import IndexOpener, make_plain_retriever
from bootstrap.models import open_embedder
from bootstrap.stores import open_files
from config import Settings
from domain import index_orders, indexes
from domain.db import Database
from domain.in_thread import read, write
from domain.models import IndexState
from indexing.orders import HANDLERS, ClaimedOrder, Outcome
from utils.errors import Conflict, ProblemError, StoreUnavailable
from utils.processes import StartError

_TAKEN_UP_S = 30.0
_ASK_S = 0.2


async def carry_out(settings: Settings, database: Database, kind: str, arguments: dict[str, object]) -> Outcome:
    """Do what *kind* names, here or by the service that has the indexes open.

    Raises:
        ProblemError: it was refused, or failed.
        StartError: the embedding model or an index cannot be opened.
    """
    async with AsyncExitStack() as stack:
        folder = settings.data_dir
        if settings.qdrant_url is None:
            try:
                folder = stack.enter_context(open_data_folder(settings.data_dir)).path
            except StartError:  # the service runs, and has the engine
                return await _order(database, kind, arguments)
        embedder = await open_embedder(stack, settings)
        opener = IndexOpener(settings, folder, embedder, embedder, make_plain_retriever)
        stack.push_async_callback(opener.close_all)
        rows = await read(database, indexes.list_indexes)
        if not rows:
            raise Conflict("There is no index yet: start the service once.")
        opened = [await opener.open(row) for row in rows if row.state != IndexState.DROPPING]
        return await HANDLERS[kind](ClaimedOrder(database, open_files(settings), opened), arguments)


async def _order(database: Database, kind: str, arguments: dict[str, object]) -> Outcome:
    order_id = await write(database, partial(index_orders.place_order, kind=kind, arguments=arguments))
    began = time.monotonic()
    try:
        while True:
            await asyncio.sleep(_ASK_S)
            outcome = await write(database, partial(index_orders.take_outcome, order_id=order_id))
            if outcome is not None:
                break
            if time.monotonic() - began > _TAKEN_UP_S and not await read(database, index_orders.is_any_taken_up):
                raise StoreUnavailable("DATA_DIR is in use, but no service there takes up what is asked of it.")
    finally:
        await write(database, partial(index_orders.cancel_order, order_id=order_id))
    if "error" in outcome:
        raise ProblemError(str(outcome["error"]))
    return outcome
