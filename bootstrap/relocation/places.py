"""Where a store is, embedded or configured, and how it is found or made; closed with the stack it is opened on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")
Open = Callable[[], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """`name` is for people and holds no secret; `way_out` says how to make room there.

    `find` gives the store as it is, None where there is none yet, and makes nothing; `make` gives it ready to be used.
    """

    name: str
    way_out: str
    find: Open[T | None]
    make: Open[T]


def once(open_store: Open[T]) -> Open[T]:
    """*open_store*, called the first time only: some stores have one owner, and that is us already."""
    opened: list[T] = []

    async def open_or_give() -> T:
        if not opened:
            opened.append(await open_store())
        return opened[0]

    return open_or_give


def without_secrets(address: str) -> str:
    """An address without its user, password and options but Redis's database: `redis://host:6379/0`."""
    parts = urlsplit(address)
    database = parse_qs(parts.query).get("db")
    options = f"?db={database[0]}" if database else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{options}"
