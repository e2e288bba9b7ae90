"""The monitor goes on looking, whatever breaks under it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from bootstrap.background import Background
from bootstrap.monitor import Monitor
from domain.db_opening import open_database
from indexing.indexer import Indexer
from providers.scanner.clamd import Clamd
from retrieval.index import PassageIndex
from tests.domain.records import two_tenants
from tests.fakes.clamd import FakeClamd
from tests.service import free_port
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.disk import DiskSpace
from utils.errors import StoreRefused


class _Broken:
    """An index whose library fails in a way that nobody has thought of."""

    async def check(self) -> None:
        raise RuntimeError("secret words of a library")


def _damage(file: Path, table: str) -> None:
    """Overwrite the first page of a table that nobody reads to see whether the database answers."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"\xff" * size)


class _Whole:
    """An index that is well."""

    async def check(self) -> None:
        pass


class _Stuck:
    """Indexing that the database stops."""

    last_error = "The file is damaged."

    def count_pending(self) -> int:
        return 0


async def test_a_database_that_is_damaged_in_part_is_what_is_down_and_its_file_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "records.db"
    two_tenants(f"sqlite:///{file}").close()
    _damage(file, "api_keys")
    database, connections = open_database(f"sqlite:///{file}"), Connections(f"redis://127.0.0.1:{free_port()}/0")
    monitor = Monitor(
        checkpointer=FallbackCheckpointer(RedisCheckpointer(connections, ttl_s=60)),
        connections=connections,
        database=database,
        index=_Whole(),
        indexer=_Stuck(),
        background=cast(Background, None),
        memory_suffices=True,
        disk=DiskSpace(tmp_path, 0),
        keeps_turns_on_disk=True,
    )
    await monitor.check_once()
    assert monitor.status.database == "ok"
    with pytest.raises(StoreRefused, match="damaged"), database.open_read_session() as session:
        session.execute(text("SELECT * FROM api_keys"))
    await monitor.check_once()
    await monitor.check_once()
    assert (monitor.status.database, monitor.status.index) == ("down", "ok")
    told = f"{file} is no SQLite database, or is damaged. Stop the service, put it aside and restore a backup of it."
    assert monitor.status.blocking == [told]
    looked = [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "bootstrap.monitor"]
    assert looked.count(("ERROR", told)) == 1
    await connections.aclose()
    database.close()


async def test_what_breaks_unexpectedly_makes_the_service_unready_and_the_rest_is_still_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clamd = FakeClamd(tmp_path / "clamd.ctl")
    connections = Connections(f"redis://127.0.0.1:{free_port()}/0")
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    index = cast(PassageIndex, _Broken())
    indexer = Indexer(database, index, cast(Any, None))
    monitor = Monitor(
        checkpointer=FallbackCheckpointer(RedisCheckpointer(connections, ttl_s=60)),
        connections=connections,
        database=database,
        index=index,
        indexer=indexer,
        background=cast(Background, None),
        memory_suffices=True,
        disk=DiskSpace(tmp_path, 0),
        keeps_turns_on_disk=True,
        check_scanner=Clamd(clamd.address).ping,
    )
    await monitor.check_once()
    await monitor.check_once()
    assert monitor.status.problems[-1] == (
        "CLAMD_ADDRESS: the malware scanner does not answer: No such file or directory. "
        "New documents wait until it does. Start clamd, or correct CLAMD_ADDRESS."
    )
    with clamd:
        await monitor.check_once()
    assert not any("CLAMD_ADDRESS" in problem for problem in monitor.status.problems)
    assert caplog.text.count("CLAMD_ADDRESS") == 1
    assert monitor.status.blocking == ["The passage index cannot be looked at; the log says why."]
    assert (monitor.status.database, monitor.status.index, monitor.status.redis) == ("ok", "down", "down")
    await connections.aclose()
    database.close()
