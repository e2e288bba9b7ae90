"""What an operator's command wants of indexes that are open, done by whoever has them open.

An engine in a process has one owner. Where the service runs with one, a command leaves an order in SQL and the service
carries it out; otherwise the command does it itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bootstrap.data_folder import open_data_folder
from bootstrap.indexes.open_index import Opener, OpenIndex, plain_retriever
from bootstrap.models import open_embedder
from bootstrap.stores import open_files
from config import Settings
from domain import index_orders, indexes
from domain.db import Database
from domain.in_thread import read, write
from domain.models import IndexState
from ingestion.reconciliation import reconcile, reconcile_files
from ingestion.transfer.moving import Target, export_documents, import_documents
from utils.context import TenantContext
from utils.errors import Conflict, ProblemError, StoreUnavailable
from utils.ports import FileStore
from utils.processes import StartError

Outcome = dict[str, object]
Handler = Callable[["ClaimedOrder", dict[str, object]], Awaitable[Outcome]]

_TAKEN_UP_S = 30.0
_ASK_S = 0.2


@dataclass(frozen=True, slots=True)
class ClaimedOrder:
    """What an order works on: the records, the files of documents, and the indexes that are open."""

    database: Database
    files: FileStore
    opened: Sequence[OpenIndex]


async def scan(held: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Compare each index, and the files, with SQL; `repair` mends what differs."""
    findings: Outcome = {}
    repair = bool(arguments["repair"])
    for each in held.opened:
        found = await reconcile(held.database, each.index, slot=each.slot, repair=repair)
        findings[str(each.number)] = asdict(found)
    look = partial(reconcile_files, held.database, held.files, repair=repair)
    return {"indexes": findings, "files": asdict(await asyncio.to_thread(look))}


async def export(held: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Write the documents of `tenant` to the file `path`."""
    row = await read(held.database, indexes.serving_index)
    serving = next(each for each in held.opened if row is not None and each.number == row.number)
    recipe = serving.spec.recipe
    head = await export_documents(held.database, held.files, *_whose(arguments), _target(serving), recipe=recipe)
    return head.model_dump()


async def import_(held: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Add the documents in the file `path` to those of `tenant`."""
    targets = [_target(each) for each in held.opened]
    return asdict(await import_documents(held.database, held.files, *_whose(arguments), targets))


def _whose(arguments: dict[str, object]) -> tuple[TenantContext, Path]:
    return TenantContext.for_operator(str(arguments["tenant"])), Path(str(arguments["path"]))


def _target(opened: OpenIndex) -> Target:
    return Target(opened.index, opened.slot, opened.spec.model, opened.spec.dimension, opened.spec.cut)


HANDLERS: dict[str, Handler] = {"scan": scan, "export": export, "import": import_}


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
        opener = Opener(settings, folder, embedder, embedder, plain_retriever)
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
        await write(database, partial(index_orders.take_back, order_id=order_id))
    if "error" in outcome:
        raise ProblemError(str(outcome["error"]))
    return outcome
