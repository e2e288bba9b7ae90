"""The port to the passage index; every adapter passes `tests/retrieval/test_index_contract.py`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol, TypeVar

from auth.principal import Principal
from retrieval.ranking import DATASET, DOCUMENT, LABELS, LANGUAGE, PASSAGE
from utils.errors import StoreRefused
from utils.passages import Hit, Passage
from utils.ports import FloatArray
from utils.validity import VALID_FROM, VALID_UNTIL, today

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filters:
    """Passages that have, for each field that says anything, one of its values; *labels* must all be there.

    Whatever else is asked for, those of documents that do not hold on *day* are left out.
    """

    dataset_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    day: date | None = None  # of the question; None: today

    def list_conditions(self) -> Iterator[tuple[str, list[str]]]:
        """Payload fields, each with the values of which a passage must have one."""
        for field, values in ((DATASET, self.dataset_ids), (DOCUMENT, self.document_ids), (LANGUAGE, self.languages)):
            if values:
                yield field, list(values)
        for label in self.labels:
            yield LABELS, [label]

    def iter_exclusions(self) -> Iterator[tuple[str, Literal["lt", "gt"], str]]:
        """Payload fields with days, and how those of a passage must not compare with a day, as `2026-12-31`."""
        day = (self.day or today()).isoformat()
        yield VALID_UNTIL, "lt", day
        yield VALID_FROM, "gt", day

    def allow(self, passage: Passage) -> bool:
        """Whether *passage* is let through, for stores that cannot tell by themselves."""
        of_fields = {
            DATASET: {passage.dataset_id},
            DOCUMENT: {passage.document_id},
            LANGUAGE: {passage.language},
            LABELS: set(passage.labels),
        }
        day = (self.day or today()).isoformat()
        holds = (passage.valid_from or day) <= day <= (passage.valid_until or day)
        return holds and all(of_fields[field].intersection(values) for field, values in self.list_conditions())


ALL = Filters()


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """Passages of a tenant in the index, and how many of them still wait for their vector."""

    passages: int
    pending: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A passage as the index holds it; `vector` is None while it waits for one."""

    passage: Passage
    vector: FloatArray | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage as a reconciliation lists it."""

    passage_id: str
    document_id: str
    has_vector: bool


def make_entry(payload: Mapping[str, Any] | None, *, has_vector: bool) -> Entry:
    """The entry of a passage, by what an engine keeps beside its vectors."""
    fields = payload or {}
    return Entry(str(fields[PASSAGE]), str(fields[DOCUMENT]), has_vector)


class ModelMismatch(StoreRefused):
    """Our collection holds vectors of another *model* than the one named, of *dimension* numbers."""

    def __init__(self, detail: str, *, model: str | None, dimension: int) -> None:
        super().__init__(detail)
        self.model, self.dimension = model, dimension  # None on a server that keeps no such notes


class PassageIndex(Protocol):
    """Passages of many tenants; each call but `list_tenant_ids` sees the caller's tenant alone.

    `loss_count`: how often it was lost and made again, empty. `is_whole`: False from then on until all is back in it.
    """

    loss_count: int = 0
    is_whole: bool = True

    async def put(self, ctx: Principal, passages: Sequence[Passage]) -> None:
        """Add passages, or replace those of the same id; found by their words at once, durable on return.

        They wait for their vector until `put_vectors`.
        """

    async def put_vectors(self, ctx: Principal, vectors: Mapping[str, FloatArray]) -> None:
        """Give passages their vectors by passage id; ids that are gone meanwhile are passed over."""

    async def update_document(self, ctx: Principal, passage: Passage) -> None:
        """Let every passage of the document of *passage* have its `DESCRIBING` fields; texts and vectors stay."""

    async def delete_documents(self, ctx: Principal, document_ids: Sequence[str]) -> None:
        """Remove every passage of these documents; unknown ids are no error."""

    async def search(
        self, ctx: Principal, question: str, vector: FloatArray | None, *, limit: int, filters: Filters = ALL
    ) -> Sequence[Hit]:
        """The best passages by words and, with a vector, by meaning, best first, at most *limit*, maybe none.

        Only passages that *filters* let through are looked at, never those of documents that do not hold on the day.
        What a word is worth is counted over all of the tenant's passages, whatever the filters.
        """

    async def find_neighbours(self, ctx: Principal, passage: Passage, *, limit: int) -> Sequence[Passage]:
        """The passages of the tenant's other documents nearest to *passage* by meaning, in its language, at most
        *limit*; none while it waits for its vector. Also of documents that do not hold today."""

    async def counts(self, ctx: Principal) -> IndexCounts:
        """How much is in the index for this tenant."""

    def export(self, ctx: Principal) -> AsyncIterator[Sequence[Stored]]:
        """Every passage of the tenant with its vector, in batches, in no particular order; for moving elsewhere."""

    def list_entries(self, ctx: Principal) -> AsyncIterator[Sequence[Entry]]:
        """Every passage of the tenant without its text and vector, in batches, in no particular order."""

    async def list_tenant_ids(self) -> set[str]:
        """Whose passages are in the index: for a reconciliation, which also looks for those of tenants nobody knows."""

    async def check(self) -> None:
        """Ask the engine whether it can serve now; for health checks.

        Raises:
            StoreUnavailable: it does not answer.
            StoreRefused: it answers, and cannot be used as it is; the message says what to do.
        """

    async def close(self) -> None:
        """Write everything down and let go of the files or the connection."""


async def put_stored(index: PassageIndex, ctx: Principal, stored: Sequence[Stored]) -> None:
    """Add passages of an export, with the vectors they have; durable on return."""
    if stored:
        await index.put(ctx, [each.passage for each in stored])
        await index.put_vectors(
            ctx, {each.passage.passage_id: each.vector for each in stored if each.vector is not None}
        )


async def fetch_pages(fetch: Callable[[Any], Awaitable[tuple[Sequence[T], Any]]]) -> AsyncIterator[Sequence[T]]:
    """What *fetch* gives page by page: it is told where one begins, None at first, and says where the next one does.

    What is written meanwhile may be in it or not; what was there before and stays is in it once.
    """
    offset = None
    while True:
        page, offset = await fetch(offset)
        if page:
            yield page
        if offset is None:
            return
