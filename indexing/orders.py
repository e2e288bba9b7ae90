"""What an operator's command wants of indexes that are open, done by whoever has them open.

An engine in a process has one owner. Where the service runs with one, a command leaves an order in SQL and the service
carries it out; otherwise the command does it itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from auth.operators import make_operator
from auth.principal import Principal
from domain import indexes
from domain.db import Database
from domain.file_store import FileStore
from domain.in_thread import read
from indexing.open_index import OpenIndex
from indexing.reconciliation import reconcile, reconcile_files
from indexing.transfer import Target, export_documents, import_documents

Outcome = dict[str, object]
Handler = Callable[["ClaimedOrder", dict[str, object]], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class ClaimedOrder:
    """What an order works on: the records, the files of documents, and the indexes that are open."""

    database: Database
    files: FileStore
    opened: Sequence[OpenIndex]


async def scan(order: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Compare each index, and the files, with SQL; `repair` mends what differs."""
    findings: Outcome = {}
    repair = bool(arguments["repair"])
    for each in order.opened:
        results = await reconcile(order.database, each.index, slot=each.slot, repair=repair)
        findings[str(each.number)] = asdict(results)
    look = partial(reconcile_files, order.database, order.files, repair=repair)
    return {"indexes": findings, "files": asdict(await asyncio.to_thread(look))}


async def export(order: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Write the documents of `tenant` to the file `path`."""
    row = await read(order.database, indexes.find_serving_index)
    serving = next(each for each in order.opened if row is not None and each.number == row.number)
    head = await export_documents(
        order.database,
        order.files,
        *_parse_arguments(arguments),
        _open_target(serving),
        lexical_version=serving.spec.lexical_version,
    )
    return head.model_dump()


async def import_(order: ClaimedOrder, arguments: dict[str, object]) -> Outcome:
    """Add the documents in the file `path` to those of `tenant`."""
    targets = [_open_target(each) for each in order.opened]
    return asdict(await import_documents(order.database, order.files, *_parse_arguments(arguments), targets))


def _parse_arguments(arguments: dict[str, object]) -> tuple[Principal, Path]:
    return make_operator(str(arguments["tenant"])), Path(str(arguments["path"]))


def _open_target(opened: OpenIndex) -> Target:
    return Target(opened.index, opened.slot, opened.spec.model, opened.spec.dimension, opened.spec.chunking_version)


HANDLERS: dict[str, Handler] = {"scan": scan, "export": export, "import": import_}
