"""Many conversations in one Redis: what each occupies, that nothing outlives its time, that nothing scans.

    python -m benchmarks.checkpointer_scale                            10,000 conversations of 20 turns, some minutes
    python -m benchmarks.checkpointer_scale --conversations 500        a short look; nothing is kept

LangGraph holds a few conversations (checkpointer_chat.py) while what it asks of its saver is recorded; the same puts
and put_writes then go to our saver under one thread id after the other, from several processes. Each of a hundred
conversations is read, listed, copied, pruned and deleted besides, so that every operation a service uses has been used.

Then every conversation is read by a saver with a time to live of a few seconds, which leaves its keys that long and
touches no others: a key that remains was without an end, or belonged to no conversation. Exit code 1 when there are
other than two keys a conversation, one of them has no expiry, one is left in the end, a server was asked to SCAN or for
KEYS, or a call failed.
"""

import argparse
import asyncio
import copy
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.checkpointer_chat import Chat, read_config
from benchmarks.checkpointer_stores import RedisStore, started, used_memory
from benchmarks.machine import describe_machine
from utils.checkpointer import RedisCheckpointer

_RESULTS = Path(__file__).resolve().parent / "results"
_CONVERSATIONS, _TURNS = 10_000, 20
_TTL_S, _SHORT_TTL_S = 6 * 3600, 5
_SCRIPTS = 4  # different conversations
_CHUNK = 50  # conversations that a process takes at a time
_HANDLED = 100  # conversations everything else is done to, and undone
_GONE_LIMIT_S = 300
_SCANNING = ("scan", "keys")
Call = tuple[str, tuple[Any, ...]]  # a method of the saver and what it is given, the config first


class Recorder(InMemorySaver):
    """Keeps conversations in memory, and in `calls` what it was asked to write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Numbers, as our saver's versions are."""
        return (current or 0) + 1

    async def aput(self, *args: Any) -> Any:
        """See `put`."""
        self.calls.append(("put", copy.deepcopy(args)))
        return await super().aput(*args)

    async def aput_writes(self, *args: Any) -> None:
        """See `put_writes`."""
        self.calls.append(("put_writes", copy.deepcopy(args)))
        await super().aput_writes(*args)


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs to know: the server, and how many checkpoints to keep ("default": what the saver does)."""

    url: str
    turns: int
    keep: int | str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found; `mb` is used_memory's growth by all conversations, `bytes_each` that of one."""

    server: str
    conversations: int
    turns: int
    keep: int | str | None
    seconds: float
    bytes_each: int
    mb: float
    keys: int
    keys_with_expiry: int
    keys_in_the_end: int
    seconds_until_gone: float
    commands: dict[str, int]
    failed: dict[str, int]

    def broken(self) -> list[str]:
        """The claims that do not hold."""
        scans = {name: self.commands[name] for name in _SCANNING if self.commands.get(name)}
        claims = {
            f"{self.keys} keys for {self.conversations} conversations": self.keys == 2 * self.conversations,
            f"{self.keys - self.keys_with_expiry} keys without an end": self.keys == self.keys_with_expiry,
            f"{self.keys_in_the_end} keys left after their time": self.keys_in_the_end == 0,
            f"scanned: {scans}": not scans,
            f"failed: {self.failed}": not self.failed,
        }
        return [claim for claim, holds in claims.items() if not holds]


def measure(store: RedisStore, work: Work, conversations: int, processes: int) -> Outcome:
    """Fill the server, look, and let it empty itself."""
    _saver(work).close()
    before, began = used_memory(store.client), time.perf_counter()
    names = [f"acme.{number}" for number in range(conversations)]
    failed = _everywhere(_fill, work, names, processes)
    seconds = time.perf_counter() - began
    grown = used_memory(store.client) - before
    failed += _handle(work, names[:_HANDLED])
    keyspace: Any = store.client.info("keyspace").get("db0", {"keys": 0, "expires": 0})
    began = time.perf_counter()
    failed += _everywhere(_shorten, work, names, processes)
    left = _await_end(store)
    return Outcome(
        server=store.name,
        conversations=conversations,
        turns=work.turns,
        keep=work.keep,
        seconds=round(seconds, 1),
        bytes_each=grown // conversations,
        mb=round(grown / 1e6, 1),
        keys=keyspace["keys"],
        keys_with_expiry=keyspace["expires"],
        keys_in_the_end=left,
        seconds_until_gone=round(time.perf_counter() - began, 1),
        commands=_commands(store),
        failed=dict(failed),
    )


def _everywhere(task: Any, work: Work, names: Sequence[str], processes: int) -> Counter[str]:
    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    failed, began = Counter[str](), time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for number, problems in enumerate(pool.map(task, [work] * len(chunks), chunks), 1):
            failed += problems
            if number % 20 == 0:
                print(f"  {number * _CHUNK} of {len(names)}, {time.perf_counter() - began:.0f} s", flush=True)
    return failed


def _fill(work: Work, names: Sequence[str]) -> Counter[str]:
    """Hold the recorded conversations under *names*; what failed, by kind."""
    scripts, saver, failed = _recorded(work.turns), _saver(work), Counter[str]()
    for place, name in enumerate(names):
        try:
            for method, (config, *rest) in scripts[place % len(scripts)]:
                named = {**config, "configurable": {**config["configurable"], "thread_id": name}}
                getattr(saver, method)(named, *rest)
        except Exception as exc:  # counted, and shown in the end
            failed[repr(exc)[:200]] += 1
    saver.close()
    return failed


def _shorten(work: Work, names: Sequence[str]) -> Counter[str]:
    """Read each conversation with a saver whose time to live is short, and compare it with what was said in it."""
    saver, failed = _saver(work, ttl_s=_SHORT_TTL_S), Counter[str]()
    for name in names:
        found = saver.get_tuple(read_config(name))
        messages = found.checkpoint["channel_values"]["messages"] if found else ()
        if len(messages) != 2 * work.turns:
            failed[f"{len(messages)} messages instead of {2 * work.turns}"] += 1
    saver.close()
    return failed


def _handle(work: Work, names: Iterable[str]) -> Counter[str]:
    """Do to each conversation, or a copy that is deleted again, what a service may do besides."""
    saver, failed = _saver(work), Counter[str]()
    for name in names:
        copied = f"{name}.copy"
        newest = next(saver.list(read_config(name), limit=3), None)
        saver.copy_thread(name, copied)
        saver.prune([copied])
        failed["not listed"] += newest is None
        failed["the copy was not pruned to one checkpoint"] += len(list(saver.list(read_config(copied)))) != 1
        saver.delete_thread(copied)
        failed["the copy was not deleted"] += saver.get_tuple(read_config(copied)) is not None
    saver.close()
    return +failed


_scripts: dict[int, list[list[Call]]] = {}  # of this process: recording takes longer than a chunk


def _recorded(turns: int) -> list[list[Call]]:
    if turns not in _scripts:
        _scripts[turns] = asyncio.run(_record(turns))
    return _scripts[turns]


async def _record(turns: int) -> list[list[Call]]:
    scripts = []
    for seed in range(_SCRIPTS):
        recorder = Recorder()
        chat = Chat(recorder, seed=seed)
        for number in range(1, turns + 1):
            await chat.turn("recorded", number)
        scripts.append(recorder.calls)
    return scripts


def _saver(work: Work, *, ttl_s: int = _TTL_S) -> RedisCheckpointer:
    retention: dict[str, Any] = {} if work.keep == "default" else {"keep": work.keep}
    return RedisCheckpointer.from_url(work.url, ttl_s=ttl_s, timeout_s=30, **retention)


def _await_end(store: RedisStore) -> int:
    """The keys that are left when none are, or when there should long be none."""
    deadline = time.monotonic() + _GONE_LIMIT_S
    while (left := int(store.client.dbsize())) and time.monotonic() < deadline:
        time.sleep(0.2)  # between two looks
    return left


def _commands(store: RedisStore) -> dict[str, int]:
    stats: Any = store.client.info("commandstats")
    return {name.removeprefix("cmdstat_"): values["calls"] for name, values in sorted(stats.items())}


def show(outcome: Outcome) -> str:
    """For people."""
    mine = f"{outcome.conversations} conversations of {outcome.turns} turns on {outcome.server}, keep {outcome.keep}"
    return "\n".join(
        (
            f"{mine}: {outcome.bytes_each / 1000:,.1f} KB each, {outcome.mb:,.1f} MB together, {outcome.keys} keys, "
            f"{outcome.keys_with_expiry} of them with an expiry; written in {outcome.seconds} s",
            f"{outcome.keys_in_the_end} keys left {outcome.seconds_until_gone} s after the first was given "
            f"{_SHORT_TTL_S} s to live",
            "commands: " + ", ".join(f"{name} {calls}" for name, calls in outcome.commands.items()),
        )
    )


def main() -> int:
    """Run it, print it, keep it if it was the whole."""
    parser = argparse.ArgumentParser(description="Many conversations in one Redis.")
    parser.add_argument("--conversations", type=int, default=_CONVERSATIONS)
    parser.add_argument("--turns", type=int, default=_TURNS)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--keep", default="default", help='checkpoints kept a conversation, "all", or the default')
    args = parser.parse_args()
    keep = {"default": "default", "all": None}.get(args.keep, args.keep)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the contexts, which end the server
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as folder, started("redis", Path(folder)) as store:
        assert isinstance(store, RedisStore)
        work = Work(store.url(), args.turns, int(keep) if isinstance(keep, str) and keep.isdigit() else keep)
        outcome = measure(store, work, args.conversations, args.processes)
    broken = outcome.broken()
    print(show(outcome))
    print("\n".join(f"MISSED: {claim}" for claim in broken) or "All claims hold.")
    if (args.conversations, args.turns, args.keep) == (_CONVERSATIONS, _TURNS, "default"):
        kept = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **asdict(outcome)}
        _RESULTS.mkdir(exist_ok=True)
        (_RESULTS / "checkpointer_scale.json").write_text(json.dumps({**kept, "broken": broken}, indent=2) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
