"""Parts of long lists, found by key: the next one begins after the last row of the one before, however deep it lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")
Keys = Sequence[InstrumentedAttribute[Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list: at most *limit* rows, after the row with the keys *after*, or else from *offset* on."""

    limit: int
    offset: int = 0
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """A part of a list of *total* rows, and the keys after which the next part begins, None where there is no more."""

    rows: list[T]
    total: int
    next_after: tuple[Any, ...] | None


def cut_part(rows: Sequence[T], get_key: Callable[[T], tuple[Any, ...]], part: Part) -> Rows[T]:
    """A part of *rows* that are in memory, in the order of their keys."""
    after = part.after
    rest = rows[part.offset :] if after is None else [row for row in rows if get_key(row) > after]
    result = list(rest[: part.limit])
    return Rows(result, len(rows), get_key(result[-1]) if len(rest) > part.limit else None)


def read_part(
    session: Session, statement: Select[T], keys: Keys, part: Part, *, total: int, descending: bool = False
) -> Rows[T]:
    """The rows of *statement* in the order of *keys*, which an index has, and which no two rows share."""
    if part.after is not None:
        values = tuple_(*(bindparam(None, value, type_=key.type) for key, value in zip(keys, part.after, strict=True)))
        statement = statement.where(tuple_(*keys) < values if descending else tuple_(*keys) > values)
    elif part.offset:
        statement = statement.offset(part.offset)
    ordered = statement.order_by(*(key.desc() if descending else key for key in keys))
    found = list(session.scalars(ordered.limit(part.limit + 1)))
    rows = found[: part.limit]
    last = tuple(getattr(rows[-1], key.key) for key in keys) if len(found) > part.limit else None
    return Rows(rows, total, last)
