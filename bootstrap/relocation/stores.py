"""Which stores are moved, and how each is opened; closed with the stack it is opened on."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from bootstrap.relocation.report import CONVERSATIONS, PASSAGES, RECORDS, Direction
from config import Settings
from utils.errors import BadInput

_VARIABLES = {PASSAGES: "QDRANT_URL", CONVERSATIONS: "REDIS_URL or REDIS_HOST", RECORDS: "DATABASE_URI"}
T = TypeVar("T")
Open = Callable[[], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Store(Generic[T]):
    """A store, embedded or configured. `name` holds no secret; `remedy` says how to make room there.

    `find` opens the store as it is, None where there is none yet; `make` opens it ready for use, made where it is
    missing.
    """

    name: str
    remedy: str
    find: Open[T | None]
    make: Open[T]


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


def open_once(open_store: Open[T]) -> Open[T]:
    """*open_store*, called the first time only: some stores have one owner, and that is us already."""
    opened: list[T] = []

    async def open_or_reuse() -> T:
        if not opened:
            opened.append(await open_store())
        return opened[0]

    return open_or_reuse
