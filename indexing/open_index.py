"""An index that is open, and what opens and closes indexes."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol

from domain.indexes import IndexSpec
from domain.models import IndexRow
from retrieval.index import PassageIndex
from retrieval.search import Retriever
from utils.ports import Embedder, VectorSpec


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """An index that is open: its number and slot, what it was made with, and who searches it."""

    number: int
    slot: int
    spec: IndexSpec
    index: PassageIndex
    embedder: Embedder
    retriever: Retriever


class Opener(Protocol):
    """Opens indexes, each once, and closes them all in the end."""

    @property
    def target(self) -> IndexSpec:
        """What an index is made with that fits the settings."""

    async def open(self, row: IndexRow) -> OpenIndex:
        """The index of *row*, opened unless it is.

        Raises:
            StoreUnavailable: it cannot be opened.
        """

    async def close(self, number: int) -> None:
        """Close an index, if it is open."""

    async def close_others(self, numbers: Set[int]) -> None:
        """Close all indexes but these."""

    async def remove(self, number: int, spec: VectorSpec) -> None:
        """Remove all that index *number* holds, for good; nothing where there is none.

        Raises:
            StoreUnavailable: the server does not answer.
        """

    async def publish(self, opened: OpenIndex) -> None:
        """Let the server's alias stand for *opened*; an engine in this process has no names for others."""

    async def reads_along(self, opened: OpenIndex) -> str | None:
        """The collection of LangChain's that is searched along with *opened*, which no other model can search."""
