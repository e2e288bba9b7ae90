"""The database asked from the event loop, each time in a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from domain.db import Database

T = TypeVar("T")


async def read(database: Database, work: Callable[[Session], T]) -> T:
    """What *work* finds; rows among it stay as they were read."""

    def in_thread() -> T:
        with database.reading() as session:
            result = work(session)
            session.expunge_all()
            return result

    return await asyncio.to_thread(in_thread)


async def write(database: Database, work: Callable[[Session], T]) -> T:
    """What *work* gives, after its changes were committed."""

    def in_thread() -> T:
        with database.writing() as session:
            return work(session)

    return await asyncio.to_thread(in_thread)
