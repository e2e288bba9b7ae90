"""Comparing an index with SQL passage by passage: what is left over, and what is missing.

Neither should happen. It does when SQL was restored from a backup, when an index lost a part of what it held, or when
somebody else wrote to it.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from functools import partial

from auth.background import make_system
from auth.principal import Principal
from domain.db import Database
from domain.document_files import NO_TEXT, DocumentFiles
from domain.file_store import FileStore
from domain.in_thread import read, write
from domain.index_marks import mark_undone
from domain.indexed_documents import IndexedDocument, list_indexed_documents, list_known_documents, list_named_files
from domain.indexing import list_tenants_with_documents
from domain.scoping import list_tenants
from retrieval.index import Entry, PassageIndex
from utils.slices import cut_into_slices

_AT_ONCE = 200  # documents in one request to the index


@dataclass(frozen=True, slots=True)
class Findings:
    """How many passages differ.

    `unknown`: of documents SQL has not; `stale`: not of the version SQL has; `missing`: SQL has them, the index not;
    `vectors`: the index lacks a vector it was given.
    """

    unknown: int = 0
    stale: int = 0
    missing: int = 0
    vectors: int = 0

    @property
    def count(self) -> int:
        """All together."""
        return self.unknown + self.stale + self.missing + self.vectors

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    def describe(self) -> str:
        """In words."""
        return (
            f"{self.unknown} passages of unknown documents, {self.stale} of former versions, {self.missing} missing, "
            f"{self.vectors} without the vector they had"
        )


@dataclass(slots=True)
class _Differences:
    """The differences of one tenant, by document: passages that SQL does not know, and those it has otherwise."""

    unknown: dict[str, int] = field(default_factory=dict)
    uneven: dict[str, Findings] = field(default_factory=dict)

    def intersect(self, other: "_Differences") -> "_Differences":
        """The differences that were seen both times; what was being written meanwhile is none."""
        return _Differences(
            {key: count for key, count in self.unknown.items() if key in other.unknown},
            {key: result for key, result in self.uneven.items() if other.uneven.get(key) == result},
        )

    def sum_up(self) -> Findings:
        return sum(self.uneven.values(), Findings(unknown=sum(self.unknown.values())))


async def reconcile(database: Database, index: PassageIndex, *, slot: int, repair: bool) -> Findings:
    """Compare the index of *slot* with SQL, for tenants that either knows; mend what differs where *repair* says so.

    What is left over is removed; documents of which something is missing are taken out, and the indexer puts them in
    again. Memory grows with the passages of one tenant, some 300 bytes each.
    """
    tenant_ids = {ctx.tenant_id for ctx in await read(database, list_tenants_with_documents)}
    findings = Findings()
    for tenant_id in sorted(tenant_ids | await index.list_tenant_ids()):
        ctx = make_system(tenant_id)
        seen = await _compare(database, index, ctx, slot)
        if seen.unknown or seen.uneven:
            seen = seen.intersect(await _compare(database, index, ctx, slot))
        findings += seen.sum_up()
        if repair:
            await _mend(database, index, ctx, slot, seen)
    return findings


@dataclass(frozen=True, slots=True)
class FileFindings:
    """How many files differ: `unknown` ones that no version of a document names, `missing` ones that one does."""

    unknown: int = 0
    missing: int = 0


def reconcile_files(database: Database, files: FileStore, *, repair: bool) -> FileFindings:
    """Compare the kept files with the versions SQL has; *repair* removes those nobody names. Blocking.

    What is missing cannot be mended here: its document is read again where it came from.
    """
    unknown = missing = 0
    with database.open_read_session() as session:
        tenants = list_tenants(session)
    for ctx in tenants:
        hashes = set(files.list_hashes(ctx))
        with database.open_read_session() as session:
            named = list_named_files(session, ctx)
        missing += len(named - hashes - {NO_TEXT})
        # Counted after SQL was asked again, for what came while one looked.
        unknown += DocumentFiles(database, files).sweep(ctx) if repair and hashes - named else len(hashes - named)
    return FileFindings(unknown, missing)


async def _compare(database: Database, index: PassageIndex, ctx: Principal, slot: int) -> _Differences:
    # SQL before the index and again after it: only what did not change meanwhile can be compared.
    before = await read(database, partial(list_indexed_documents, ctx=ctx, slot=slot))
    listed: dict[str, dict[str, Entry]] = {}
    async for batch in index.list_entries(ctx):
        for entry in batch:
            listed.setdefault(entry.document_id, {})[entry.passage_id] = entry
    after = await read(database, partial(list_indexed_documents, ctx=ctx, slot=slot))
    document_ids = await read(database, partial(list_known_documents, ctx=ctx))
    differences = _Differences({key: len(entries) for key, entries in listed.items() if key not in document_ids})
    for document_id, document in before.items():
        if after.get(document_id) == document:
            differing = _find_differing(document, listed.get(document_id, {}))
            if differing.count:
                differences.uneven[document_id] = differing
    return differences


def _find_differing(document: IndexedDocument, listed: Mapping[str, Entry]) -> Findings:
    with_vectors = {key for key, entry in listed.items() if entry.has_vector}
    missing = document.words - listed.keys()
    return Findings(
        stale=len(listed.keys() - document.words),
        missing=len(missing),
        vectors=len(document.vectors - with_vectors - missing),
    )


async def _mend(database: Database, index: PassageIndex, ctx: Principal, slot: int, seen: _Differences) -> None:
    await _take_out(index, ctx, list(seen.unknown))
    # Out first: were it the other way round, the indexer could put in what is then taken out.
    uneven = list(seen.uneven)
    await _take_out(index, ctx, uneven)
    for some in cut_into_slices(uneven, _AT_ONCE):
        await write(database, partial(mark_undone, ctx=ctx, slot=slot, document_ids=some))


async def _take_out(index: PassageIndex, ctx: Principal, document_ids: list[str]) -> None:
    for some in cut_into_slices(document_ids, _AT_ONCE):
        await index.delete_documents(ctx, some)
