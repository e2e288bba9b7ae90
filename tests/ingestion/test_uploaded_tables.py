"""Files with tables that tenants send at the same time."""

import asyncio
from contextlib import closing
from pathlib import Path

from domain.db import open_database
from domain.quotas import UNLIMITED
from ingestion.uploaded_tables import UploadedTables
from tests.reading import SANDBOX, policy_with
from utils.disk import DiskSpace


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
