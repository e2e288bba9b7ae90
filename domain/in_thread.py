"""The database asked from the event loop, each time in a thread."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from domain.db import Database
from utils.errors import StoreUnavailable

T = TypeVar("T")

_SOON_S = 1.0


async def wait_for_answer(answer: Awaitable[T]) -> T:
    """What the database says, if it does soon: for what a turn waits for.

    Raises:
        StoreUnavailable: it did not.
    """
    try:
        async with asyncio.timeout(_SOON_S):
            return await answer
    except TimeoutError as exc:
        raise StoreUnavailable(f"The database did not answer within {_SOON_S:g} s.") from exc


async def read(database: Database, work: Callable[[Session], T]) -> T:
    """What *work* finds; rows among it stay as they were read."""

    def in_thread() -> T:
        with database.open_read_session() as session:
            result = work(session)
            session.expunge_all()
            return result

    return await asyncio.to_thread(in_thread)


async def write(database: Database, work: Callable[[Session], T]) -> T:
    """What *work* gives, after its changes were committed."""

    def in_thread() -> T:
        with database.open_write_session() as session:
            return work(session)

    return await asyncio.to_thread(in_thread)
