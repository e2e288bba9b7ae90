"""Which stores are moved, and how each is opened; closed with the stack it is opened on."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from bootstrap.relocation.report import CONVERSATIONS, PASSAGES, RECORDS, Direction, StoreCounts
from config import Settings
from utils.errors import BadInput

_VARIABLES = {PASSAGES: "QDRANT_URL", CONVERSATIONS: "REDIS_URL or REDIS_HOST", RECORDS: "DATABASE_URI"}
T = TypeVar("T")
Open = Callable[[], Awaitable[T]]
Counts = dict[str, int]


class Store(Generic[T]):
    """A store, embedded or configured. `name` holds no secret; `remedy` says how to make room there."""

    def __init__(self, name: str, remedy: str, open_store: Open[T], exists: Open[bool]) -> None:
        self.name, self.remedy, self.exists, self._open = name, remedy, exists, open_store
        self._opened: list[T] = []

    async def open(self) -> T:
        """The store, made where it is missing; opened once, since some have one owner, and that is us already."""
        if not self._opened:
            self._opened.append(await self._open())
        return self._opened[0]

    async def find(self) -> T | None:
        """The store, None where there is none yet; nothing is made."""
        return await self.open() if await self.exists() else None


def count_both(role: str, stores: "tuple[Store[T], Store[T]]", source: Counts, target: Counts) -> StoreCounts:
    """What is in the two *stores* of a role, the first of which is the source."""
    places = {"from_place": stores[0].name, "to_place": stores[1].name, "remedy": stores[1].remedy}
    return StoreCounts(role=role, source=source, target=target, **places)


def check_path(path: Path) -> Open[bool]:
    """For `exists` of a store that is a file or a folder."""
    return partial(asyncio.to_thread, path.exists)


async def return_true() -> bool:
    """For `exists` of a server."""
    return True


def choose_roles(settings: Settings, only: Collection[str]) -> list[str]:
    """The roles that are configured, or *only* some of them.

    Raises:
        BadInput: none is configured, or one that was asked for is not.
    """
    configured = {
        PASSAGES: settings.qdrant_url is not None,
        CONVERSATIONS: settings.redis_address is not None,
        RECORDS: settings.database_uri is not None,
    }
    for role in only:
        if not configured[role]:
            raise BadInput(f"Set {_VARIABLES[role]}: it names the store of the {role} outside the data folder.")
    if not any(configured.values()):
        raise BadInput(
            "No production store is configured, so there is nothing to move between: set DATABASE_URI for the records, "
            "REDIS_URL or REDIS_HOST for the conversations, QDRANT_URL for the passages, or some of them."
        )
    return [role for role, there in configured.items() if there and (not only or role in only)]


def order_ends(direction: Direction, embedded: T, configured: T) -> tuple[T, T]:
    """Where from, and where to."""
    return (embedded, configured) if direction is Direction.PRODUCTION else (configured, embedded)
