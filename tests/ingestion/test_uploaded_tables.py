"""Files with tables that tenants send at the same time."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from auth.principal import Principal
from domain.data_sources import list_uploaded
from domain.db import Database
from domain.db_opening import open_database
from domain.quotas import UNLIMITED
from ingestion.uploaded_tables import SentFile, UploadedTables
from tests.domain.records import ACME, GLOBEX
from tests.reading import SANDBOX, policy_with
from utils.disk import DiskSpace
from utils.errors import Conflict, QuotaExceeded


async def test_no_tenant_has_all_turns_for_its_files(tmp_path: Path) -> None:
    with closing(open_database(f"sqlite:///{tmp_path / 'records.db'}")) as database:
        policy, disk = policy_with(SANDBOX), DiskSpace(tmp_path, 0)
        turns = UploadedTables(tmp_path, database, None, policy, quotas=UNLIMITED, disk=disk).turns

    async def take_turn() -> None:
        async with turns.place("acme"):
            pass

    async with turns.place("acme"):
        second = asyncio.create_task(take_turn())
        await asyncio.sleep(0)
        async with asyncio.timeout(5), turns.place("globex"):
            assert not second.done()
    await asyncio.wait_for(second, 5)


def test_files_that_are_gone_once_they_are_looked_at_stand_in_no_upload_s_way(
    database: Database, tmp_path: Path
) -> None:
    tables = UploadedTables(
        tmp_path, database, None, policy_with(SANDBOX), quotas=UNLIMITED, disk=DiskSpace(tmp_path, 0)
    )
    folder = tmp_path / ACME.tenant_id
    folder.mkdir()
    for name in (".new-1", "1.db"):  # of other uploads, listed and then placed or deleted
        (folder / name).symlink_to(folder / "gone")
    assert tables.create(ACME, "First", "", [SentFile("a.csv", lambda: b"a,b\n1,2\n")]).tables


def test_uploads_at_once_never_exceed_what_a_tenant_may_keep(database: Database, tmp_path: Path) -> None:
    policy, disk = policy_with(SANDBOX), DiskSpace(tmp_path, 0)

    def open_tables(max_bytes: int) -> UploadedTables:
        quotas = replace(UNLIMITED, size_bytes=max_bytes)
        return UploadedTables(tmp_path, database, None, policy, quotas=quotas, disk=disk)

    def list_sizes(ctx: Principal) -> list[int]:
        return [each.stat().st_size for each in (tmp_path / ctx.tenant_id).glob("*")]

    files = [SentFile("a.csv", lambda: b"a,b\n1,2\n")]
    first = open_tables(1_000_000).create(ACME, "First", "", files)
    [size_bytes] = list_sizes(ACME)
    max_bytes = 6 * size_bytes

    def send(number: int) -> str:
        try:
            open_tables(max_bytes).create(ACME, "One name" if number % 4 == 0 else f"Source {number}", "", files)
        except (Conflict, QuotaExceeded) as exc:
            return exc.slug
        return "made"

    with ThreadPoolExecutor(20) as pool:
        counts = Counter(pool.map(send, range(20)))
    with database.open_read_session() as session:
        names = [each.name for each in list_uploaded(session, ACME)]
    assert list_sizes(ACME) == [size_bytes] * 6, counts
    open_tables(max_bytes + 1).replace(ACME, first.source_id, files)  # in the place of what it has
    with pytest.raises(QuotaExceeded):
        open_tables(max_bytes - 1).replace(ACME, first.source_id, files)
    assert list_sizes(ACME) == [size_bytes] * 6
    assert (counts["made"], len(names), names.count("One name") < 2) == (5, 6, True)
    open_tables(max_bytes).create(GLOBEX, "First", "", files)
    assert list_sizes(GLOBEX) == [size_bytes]
