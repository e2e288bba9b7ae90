"""The monitor goes on looking, whatever breaks under it."""

from pathlib import Path
from typing import Any, cast

import pytest

from bootstrap.background import Background
from bootstrap.monitor import Monitor
from indexing.indexer import Indexer
from providers.scanner.clamd import Clamd
from retrieval.index import PassageIndex
from tests.domain.records import two_tenants
from tests.fakes.clamd import FakeClamd
from tests.service import free_port
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.disk import DiskSpace


class _Broken:
    """An index whose library fails in a way that nobody has thought of."""

    async def check(self) -> None:
        raise RuntimeError("secret words of a library")


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
    await monitor.look()
    await monitor.look()
    assert monitor.status.problems[-1] == (
        "CLAMD_ADDRESS: the malware scanner does not answer: No such file or directory. "
        "New documents wait until it does. Start clamd, or correct CLAMD_ADDRESS."
    )
    with clamd:
        await monitor.look()
    assert not any("CLAMD_ADDRESS" in problem for problem in monitor.status.problems)
    assert caplog.text.count("CLAMD_ADDRESS") == 1
    assert monitor.status.blocking == ["The passage index cannot be looked at; the log says why."]
    assert (monitor.status.database, monitor.status.index, monitor.status.redis) == ("ok", "down", "down")
    await connections.aclose()
    database.close()
