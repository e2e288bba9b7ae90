"""Locks that one process of an installation holds, free again whenever that process ends."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from domain.db import Database
from domain.db_errors import translate_errors
from utils.errors import StoreUnavailable

LEADER_LOCK = 7_021_960  # as MIGRATION_LOCK: any number, the same in every process
_IS_HELD = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = :key")


class Lock(Protocol):
    """A lock. All methods but `get_descriptor` and `break_off` block, and are for one thread at a time."""

    def take(self) -> bool:
        """Take it if it is free; whether it is ours. Raises StoreUnavailable where it cannot be asked for."""

    def check(self) -> None:
        """Raises StoreUnavailable if it is not ours any more, or may not be."""

    def release(self) -> None:
        """Let go of it, and of what it was taken with; of a free one, nothing happens."""

    def get_descriptor(self) -> int | None:
        """What becomes readable when it is lost; None where nothing does."""

    def interrupt(self) -> None:
        """Make a method that hangs in another thread fail, and lose the lock with it."""


class FileLock:
    """The kernel's lock on the file *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """See `Lock`."""
        try:
            # Not inherited by programs we start: they would hold it beyond our end.
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.check()  # the file was not replaced meanwhile
        except BlockingIOError:
            self.release()
            return False
        except OSError as exc:
            self.release()
            raise StoreUnavailable(f"DATA_DIR: {self._path} cannot be locked ({exc.strerror}).") from exc
        return True

    def check(self) -> None:
        """See `Lock`: a file that was removed or replaced could be locked by another process."""
        with suppress(OSError):
            if self._descriptor is not None and os.path.samestat(os.fstat(self._descriptor), os.stat(self._path)):
                return
        raise StoreUnavailable(f"DATA_DIR: {self._path} was removed.")

    def release(self) -> None:
        """See `Lock`. The file stays: were it removed, two could each lock one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def get_descriptor(self) -> None:
        """See `Lock`."""

    def interrupt(self) -> None:
        """See `Lock`: nothing here hangs."""


class ServerLock:
    """PostgreSQL's advisory lock of a session, on a connection beside the pool."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._connection: Connection | None = None
        self._line: socket.socket | None = None  # the connection's, once more

    def take(self) -> bool:
        """See `Lock`. The connection is kept for the next attempt."""
        try:
            with _translate_errors():
                connection = self._connection or self._connect()
                return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK}))
        except StoreUnavailable:
            self.release()
            raise

    def check(self) -> None:
        """See `Lock`. Asked of the server, because a pooler may give each transaction another session."""
        if self._connection is None:
            raise StoreUnavailable("DATABASE_URI: the database server was not reached.")
        with _translate_errors():
            is_held = self._connection.scalar(_IS_HELD, {"key": LEADER_LOCK})
        if not is_held:
            raise StoreUnavailable(
                "DATABASE_URI: another session answers than the one that leads; a pooler must pool whole sessions."
            )

    def release(self) -> None:
        """See `Lock`."""
        connection, self._connection = self._connection, None
        line, self._line = self._line, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                # By its end alone the session would be over a moment after this has returned.
                connection.execute(text("SELECT pg_advisory_unlock_all()")).close()
            with suppress(SQLAlchemyError):
                connection.close()
        if line is not None:
            line.close()

    def get_descriptor(self) -> int | None:
        """See `Lock`."""
        return None if self._line is None else self._line.fileno()

    def interrupt(self) -> None:
        """See `Lock`."""
        line = self._line
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        driver_connection: Any = connection.connection.dbapi_connection
        connection.detach()
        self._connection = connection
        self._line = socket.socket(fileno=os.dup(driver_connection.fileno()))
        return connection


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Whatever is wrong with the connection, whoever holds it does not lead."""
    try:
        with translate_errors():
            yield
    except SQLAlchemyError as exc:
        raise StoreUnavailable("DATABASE_URI: the database server does not answer as it should.") from exc
