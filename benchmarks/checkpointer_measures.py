"""What one saver costs: one conversation at several lengths, and many at once."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from langgraph.types import Durability

from benchmarks.checkpointer_chat import Chat, read_config
from benchmarks.checkpointer_savers import KINDS, Kind, MemoryStore, Saver
from benchmarks.checkpointer_stores import Store, started
from benchmarks.checkpointer_traffic import Proxy
from benchmarks.machine import running_ns

_THREAD = "acme.conversation"
_PROXIED_TURNS, _PROXIED_UNCOUNTED = 5, 2  # the first of a new saver are not like the later ones
_SAMPLES, _READS = 7, 15
_LAST_TURNS = 5
_SPENT = ("ms", "client_ms", "server_ms")
APART = 20  # turns are spent on being measured


@dataclass(frozen=True, slots=True)
class Job:
    """One saver in a process of its own, with a store of its own: one conversation, or *at_once* of them."""

    saver: str
    durability: Durability
    at_once: int
    lengths: tuple[int, ...]  # in turns, ascending, `APART` or more from each other and the first at least 10


@dataclass(slots=True)
class Spent:
    """Milliseconds: by the clock, and of processor time here and in the server."""

    ms: float = 0.0
    client_ms: float = 0.0
    server_ms: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """Processor time of both."""
        return self.client_ms + self.server_ms


@dataclass(slots=True)
class Outcome:
    """What a job found out: a row of figures for each length, and what went wrong."""

    store: str
    rows: dict[int, dict[str, float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


class Case:
    """A job under way: *kind* over *store*, as far as the conversation has come."""

    def __init__(self, job: Job, kind: Kind, store: Store) -> None:
        self._job, self._kind, self._store = job, kind, store
        self._turns = 0

    async def run(self) -> Outcome:
        """Everything the job asks for; the first failure of a single conversation ends it."""
        outcome = Outcome(self._store.name)
        measure = self._row if self._job.at_once == 1 else self._crowd_row
        for turns in self._job.lengths:
            try:
                outcome.rows[turns] = await measure(turns, outcome.failed)
            except Exception as exc:  # whatever a peer raises is a figure here
                outcome.failed.append(f"at {turns} turns: {exc!r:.200}")
                break
        return outcome

    # ---- one conversation

    async def _row(self, turns: int, failed: list[str]) -> dict[str, float]:
        warm = await self._grow(turns - _PROXIED_TURNS)
        row = {"warm_client_ms": warm.client_ms, "warm_server_ms": warm.server_ms, "warm_cpu_ms": warm.cpu_ms}
        row |= await self._traffic(turns)
        stored_bytes, row["keys"] = await asyncio.to_thread(self._store.stored)
        row["kb"] = stored_bytes / 1000
        spents = {
            "get": _least(await self._cold(_get, _READS)),
            "list": _least(await self._cold(_list, _READS)),
            "cold": _median(await self._cold(self._turn, _SAMPLES)),
        }
        for name, spent in spents.items():
            row |= {f"{name}_ms": spent.ms, f"{name}_client_ms": spent.client_ms, f"{name}_server_ms": spent.server_ms}
        row["cold_cpu_ms"] = spents["cold"].cpu_ms
        return {name: round(value, 2) for name, value in row.items()}

    async def _grow(self, turns: int) -> Spent:
        """Let one saver go on until there are *turns*; the median of the last turns."""
        spent = []
        async with self._opened() as saver:
            chat = self._chat(saver)
            while self._turns < turns:
                spent.append(await self._spent(lambda: self._turn(chat)))
        return _median(spent[1:][-_SAMPLES:])

    async def _traffic(self, turns: int) -> dict[str, float]:
        if not self._store.port:
            await self._grow(turns)
            return {"round_trips": 0, "kb_sent": 0, "kb_received": 0}
        seen = []
        with Proxy(self._store.port).running() as proxy:
            async with self._opened(proxy.port) as saver:
                chat = self._chat(saver)
                while self._turns < turns:
                    before = proxy.seen()
                    await self._turn(chat)
                    seen.append(proxy.seen().since(before))
        counted = seen[_PROXIED_UNCOUNTED:]
        return {
            "round_trips": median(each.round_trips for each in counted),
            "kb_sent": median(each.sent_bytes for each in counted) / 1000,
            "kb_received": median(each.received_bytes for each in counted) / 1000,
        }

    async def _cold(self, action: Callable[[Chat], Awaitable[Any]], times: int) -> list[Spent]:
        """*action* on savers that have never seen the conversation, but are connected."""
        spent = []
        for _ in range(times):
            async with self._opened() as saver:
                await _connect(saver)
                chat = self._chat(saver)
                spent.append(await self._spent(partial(action, chat)))
        return spent

    async def _turn(self, chat: Chat) -> None:
        await chat.turn(_THREAD, self._turns + 1)
        self._turns += 1

    # ---- many

    async def _crowd_row(self, turns: int, failed: list[str]) -> dict[str, float]:
        """The last turns before *turns* in all conversations at once; those before are not counted."""
        async with self._opened() as saver:
            chat = self._chat(saver)
            await self._crowd(chat, turns - _LAST_TURNS, failed)
            last = turns - self._turns
            spent = await self._spent(lambda: self._crowd(chat, turns, failed))
        counted = last * self._job.at_once
        return {
            "client_ms": round(spent.client_ms / counted, 2),
            "server_ms": round(spent.server_ms / counted, 2),
            "turns_per_s": round(counted / spent.ms * 1000, 1),
            "failed": len(failed),
        }

    async def _crowd(self, chat: Chat, turns: int, failed: list[str]) -> None:
        async def talk(thread_id: str) -> None:
            for number in range(self._turns + 1, turns + 1):
                try:
                    await chat.turn(thread_id, number)
                except Exception as exc:  # whatever a peer raises is a figure here
                    failed.append(f"{thread_id}, turn {number}: {exc!r:.200}")

        await asyncio.gather(*(talk(f"acme.{number}") for number in range(self._job.at_once)))
        self._turns = max(turns, self._turns)

    # ----

    def _chat(self, saver: Saver) -> Chat:
        return Chat(saver, durability=self._job.durability, seed=self._turns)

    @asynccontextmanager
    async def _opened(self, port: int = 0) -> AsyncIterator[Saver]:
        async with self._kind.opened(self._store, port) as saver:
            yield saver

    async def _spent(self, action: Callable[[], Awaitable[Any]]) -> Spent:
        server, client, clock = _server_ns(self._store), time.process_time(), time.perf_counter()
        await action()
        ms, client_ms = (time.perf_counter() - clock) * 1000, (time.process_time() - client) * 1000
        used = sum(ns - server.get(pid, 0) for pid, ns in _server_ns(self._store).items())
        return Spent(ms, client_ms, used / 1e6)


def run_job(job: Job) -> dict[str, Any]:
    """The outcome of *job* as plain values, or `{"not_run": why}`."""
    kind = KINDS[job.saver]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the contexts, which end the server
    try:
        with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as folder:
            if kind.store == "memory":
                return asdict(uvloop.run(Case(job, kind, MemoryStore()).run()))
            with started(kind.store, Path(folder)) as store:
                return asdict(uvloop.run(Case(job, kind, store).run()))
    except (ModuleNotFoundError, FileNotFoundError) as exc:
        return {"not_run": str(exc)}


async def _connect(saver: Saver) -> None:
    """Open more connections than a turn needs at once, without any trace in the store."""
    await asyncio.gather(*(saver.aget_tuple(read_config(f"nobody.{number}")) for number in range(4)))


async def _get(chat: Chat) -> None:
    found = await chat.saver.aget_tuple(read_config(_THREAD))
    assert found, "the conversation is gone"
    assert found.checkpoint["channel_values"]["messages"], "it is empty"


async def _list(chat: Chat) -> None:
    found = [each async for each in chat.saver.alist(read_config(_THREAD), limit=10)]
    assert len(found) == 10, f"{len(found)} checkpoints listed instead of 10"


def _server_ns(store: Store) -> dict[int, int]:
    """Processor time that each process of the server has used."""
    return {pid: running_ns(pid) for pid in store.pids()}


def _median(spent: list[Spent]) -> Spent:
    return Spent(*(median(getattr(each, name) for each in spent) for name in _SPENT))


def _least(spent: list[Spent]) -> Spent:
    """Of reads, each of which is the same work: what is above the least is other work on the machine."""
    return Spent(*(min(getattr(each, name) for each in spent) for name in _SPENT))
