"""One process at a time does the work, whatever happens to it and to the database."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from domain import leadership as module
from domain.db import Database
from domain.db_opening import open_database
from domain.leader_locks import ServerLock
from domain.leadership import Leadership
from tests.servers.postgres import PostgresServer
from utils.errors import StoreUnavailable

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]


def test_a_session_that_does_not_hold_the_lock_does_not_lead(postgres: PostgresServer) -> None:
    database = open_database(postgres.new_database())
    lock = ServerLock(database)
    assert lock.take()
    lock.check()
    # As behind a pooler of transactions, where the next one may run in another session.
    lock._connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    with pytest.raises(StoreUnavailable, match="whole sessions"):
        lock.check()
    lock.release()
    database.close()


class Candidates:
    """Processes that want to lead, and what they wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, uri: str) -> "subprocess.Popen[bytes]":
        arguments = [sys.executable, "-m", "tests.domain.witness", uri, str(self.folder)]
        self.running.append(subprocess.Popen(arguments, cwd=ROOT))
        return self.running[-1]

    def notes(self) -> list[tuple[int, str]]:
        log = self.folder / "witness.log"
        return [(int(pid), what) for pid, what in re.findall(r"(\d+) (.+)", log.read_text() if log.exists() else "")]

    def leader(self) -> int | None:
        last = self.notes()[-1:]
        return last[0][0] if last and last[0][1] == "begins" else None

    def meetings(self) -> list[str]:
        return [what for _, what in self.notes() if what.startswith("meets")]


@pytest.fixture
def candidates(tmp_path: Path) -> Iterator[Candidates]:
    found = Candidates(tmp_path)
    yield found
    for process in found.running:
        process.kill()
        process.wait()
    assert found.meetings() == []


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> float:
    """Wait for it; how long that was, in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, "waited in vain"
        time.sleep(0.01)  # between two looks
    return time.monotonic() - began


def test_when_the_leader_is_killed_another_process_takes_over(database_uri: str, candidates: Candidates) -> None:
    processes = {process.pid: process for process in (candidates.start(database_uri), candidates.start(database_uri))}
    until(lambda: candidates.leader() is not None)
    first = candidates.leader() or 0
    processes[first].kill()
    processes[first].wait()
    until(lambda: candidates.leader() not in (None, first), limit_s=5)
    assert [what for _, what in candidates.notes()] == ["begins", "begins"]


def test_a_leader_that_ends_in_order_ends_its_work_first_and_makes_room(
    database_uri: str, candidates: Candidates
) -> None:
    processes = {process.pid: process for process in (candidates.start(database_uri), candidates.start(database_uri))}
    until(lambda: candidates.leader() is not None)
    first = candidates.leader() or 0
    processes[first].terminate()
    assert processes[first].wait(5) == 0
    until(lambda: candidates.leader() not in (None, first), limit_s=5)
    assert [what for _, what in candidates.notes()] == ["begins", "ends", "begins"]


def test_a_leader_that_only_sleeps_stays_the_leader(database_uri: str, candidates: Candidates) -> None:
    processes = [candidates.start(database_uri), candidates.start(database_uri)]
    until(lambda: candidates.leader() is not None)
    first = candidates.leader() or 0
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):  # the time the other has to take what is not free
        next(process for process in processes if process.pid != first).wait(1.5)
    os.kill(first, signal.SIGCONT)
    assert candidates.notes() == [(first, "begins")]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_one_leads_again_after_the_database_was_restarted(
    own_server: PostgresServer, candidates: Candidates, how: str
) -> None:
    for _ in range(2):
        candidates.start(own_server.url)
    until(lambda: candidates.leader() is not None)
    getattr(own_server, how)()
    assert until(lambda: candidates.notes()[-1][1] == "ends") < 1  # noticed at once, not at the next check
    own_server.start()
    until(lambda: candidates.leader() is not None, limit_s=8)
    assert [what for _, what in candidates.notes()] == ["begins", "ends", "begins"]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server to be stopped; `postgres` is asked for so that both are skipped together."""
    with PostgresServer(tmp_path_factory.mktemp("restarted")) as server:
        yield server


async def eventually(condition: Callable[[], bool], limit_s: float = 10) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(task: "asyncio.Task[None]") -> float:
    """Cancel it; how long its end took, in seconds."""
    began = time.monotonic()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return time.monotonic() - began


@pytest.fixture
def database(database_uri: str) -> Iterator[Database]:
    """Without tables: whoever leads needs none."""
    database = open_database(database_uri, pool_size=2)
    yield database
    database.close()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_one_of_many_leads_and_is_told_so(database: Database, tmp_path: Path) -> None:
    all_of_them = [Leadership(database, folder=tmp_path, poll_s=0.05) for _ in range(4)]
    tasks = [asyncio.create_task(each.lead(for_ever)) for each in all_of_them]
    await eventually(lambda: any(each.is_leader for each in all_of_them))
    assert sum(each.is_leader for each in all_of_them) == 1
    leader = next(number for number, each in enumerate(all_of_them) if each.is_leader)
    assert await ended(tasks[leader]) < 1
    assert not all_of_them[leader].is_leader
    await eventually(lambda: any(each.is_leader for each in all_of_them))
    for task in tasks:
        assert await ended(task) < 1


async def test_work_that_fails_is_logged_and_begun_again(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[float] = []

    async def work() -> None:
        begun.append(time.monotonic())
        if len(begun) < 3:
            raise ZeroDivisionError("The index is on fire.")
        await for_ever()

    leadership = Leadership(database, folder=tmp_path, poll_s=0.1)
    task = asyncio.create_task(leadership.lead(work))
    await eventually(lambda: len(begun) == 3 and leadership.is_leader)
    await ended(task)
    failures = [record for record in caplog.records if record.exc_info and "pauses for" in record.message]
    assert [record.exc_info[0] for record in failures] == [ZeroDivisionError, ZeroDivisionError]  # type: ignore[index]
    assert begun[2] - begun[1] > begun[1] - begun[0] > 0.1


async def test_work_that_is_done_is_not_begun_again_by_anyone(database: Database, tmp_path: Path) -> None:
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)

    both = [Leadership(database, folder=tmp_path, poll_s=0.02) for _ in range(2)]
    tasks = [asyncio.create_task(each.lead(partial(work, number))) for number, each in enumerate(both)]
    await eventually(lambda: bool(begun))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.gather(*tasks)), 0.3)  # the time the other has to begin
    assert len(begun) == 1
    for task in tasks:
        await ended(task)


async def test_a_lock_file_that_was_removed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.05)
    database = open_database(f"sqlite:///{tmp_path / 'records.db'}")
    leadership, beginnings = Leadership(database, folder=tmp_path, poll_s=0.05), []

    async def work() -> None:
        beginnings.append(1)
        await for_ever()

    task = asyncio.create_task(leadership.lead(work))
    await eventually(lambda: leadership.is_leader)
    (tmp_path / "leader.lock").unlink()
    await eventually(lambda: len(beginnings) == 2)
    await ended(task)
    assert "not the leader any more" in caplog.text


async def test_a_database_that_hangs_costs_the_lead_and_a_stop_does_not_wait_for_it(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.1)
    monkeypatch.setattr(module, "CHECK_LIMIT_S", 0.3)
    database = open_database(f"{own_server.url}?connect_timeout=2")
    leadership = Leadership(database, folder=tmp_path, poll_s=0.1)
    task = asyncio.create_task(leadership.lead(for_ever))
    await eventually(lambda: leadership.is_leader)
    own_server.freeze()
    try:
        await eventually(lambda: not leadership.is_leader, limit_s=2)
        assert await ended(task) < 2
        # A thread that goes on waiting would keep the process from ending.
        await eventually(lambda: not any(thread.name.startswith("leadership") for thread in threading.enumerate()), 4)
    finally:
        own_server.thaw()
    again = asyncio.create_task(leadership.lead(for_ever))
    await eventually(lambda: leadership.is_leader)
    await ended(again)
    database.close()
