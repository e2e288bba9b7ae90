"""Conversations that go on while workers, or Redis itself, are killed again and again.

    python -m tests.utils.checkpointer.soak workers --conversations 1000 --workers 4 --turns 4 --kills 40
    python -m tests.utils.checkpointer.soak redis --conversations 16 --kills 50

Afterwards every turn that was acknowledged is stored, once, and in the order in which it was said. A turn
that was under way when its worker died may be there or not.
"""

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from agents.leases import Leases
from tests.servers.redis import RedisServer
from tests.utils.checkpointer.chats import TENANTS, Chat, texts, turns
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer

_AT_ONCE = 16  # turns a worker has under way


@dataclass(frozen=True)
class Told:
    """What came of it."""

    conversations: int
    acknowledged: int
    kills: int
    seconds: float


# ---- workers die


def kill_workers(
    server: RedisServer, folder: Path, *, conversations: int, workers: int, turns_each: int, kills: int, seed: int = 0
) -> Told:
    """Let *workers* processes share the conversations, and kill one of them every now and then: another takes over.

    They go on beyond *turns_each* until there were so many *kills*.
    """
    draw, began, left = random.Random(seed), time.monotonic(), kills
    processes = multiprocessing.get_context("forkserver")  # what it has imported need not be imported by each worker
    processes.set_forkserver_preload([_work.__module__])
    journals, enough = [folder / f"{number}.journal" for number in range(workers)], folder / "enough"
    with ExitStack() as stack:

        def start(number: int) -> ForkServerProcess:
            mine = range(number, conversations, workers)
            process = processes.Process(target=_worker, args=(server.url, journals[number], mine, turns_each, enough))
            process.start()
            stack.callback(process.kill)
            return process

        running = [start(number) for number in range(workers)]
        begun = [0] * workers
        while any(process.is_alive() for process in running):
            number = draw.randrange(workers)
            # Only one that has got somewhere since the last time, and has not finished.
            if left and running[number].is_alive() and _acknowledged(journals[number]) > begun[number] + _AT_ONCE // 2:
                time.sleep(draw.uniform(0, 0.1))
                running[number].kill()
                running[number].join()
                begun[number], left = _acknowledged(journals[number]), left - 1
                running[number] = start(number)
            if not left:
                enough.touch()
            time.sleep(0.02)  # between two looks
        assert all(process.exitcode == 0 for process in running), "a worker failed"
    acknowledged = asyncio.run(_check(server, journals, conversations))
    return Told(conversations, acknowledged, kills - left, time.monotonic() - began)


def _worker(url: str, journal: Path, mine: range, turns_each: int, enough: Path) -> None:
    asyncio.run(_work(url, journal, mine, turns_each, enough))


async def _work(url: str, journal: Path, mine: range, turns_each: int, enough: Path) -> None:
    """Say what has not been tried yet in each conversation, writing down before and after each turn that it is so."""
    saver = RedisCheckpointer.from_url(url, ttl_s=3600)
    chat, places = Chat(saver), asyncio.Semaphore(_AT_ONCE)
    tried = {(thread_id, said) for _, thread_id, said in _lines(journal)}
    with journal.open("a", buffering=1) as lines:

        async def talk(thread_id: str, up_to: int) -> None:
            async with places:
                for said in map(str, range(up_to)):
                    if (thread_id, said) not in tried:
                        tried.add((thread_id, said))
                        lines.write(f"try {thread_id} {said}\n")
                        await chat.say(said, thread_id)
                        lines.write(f"ack {thread_id} {said}\n")

        await asyncio.gather(*(talk(_thread(number), turns_each) for number in mine))
        while not enough.exists():
            turns_each += 1
            await asyncio.gather(*(talk(_thread(number), turns_each) for number in mine))
    await saver.aclose()


async def _check(server: RedisServer, journals: list[Path], conversations: int) -> int:
    saver, acknowledged = RedisCheckpointer.from_url(server.url, ttl_s=3600), 0
    done: dict[str, list[str]] = {_thread(number): [] for number in range(conversations)}
    for journal in journals:
        for what, thread_id, said in _lines(journal):
            if what == "ack":
                done[thread_id].append(said)
    for thread_id, expected in done.items():
        found = await texts(saver, thread_id)
        said = [text for text in found if not text.startswith("re ")]
        assert said == sorted(set(said), key=int), f"{thread_id}: not in order, or twice: {found}"
        for text in expected:
            assert text in said, f"{thread_id}: {text} was acknowledged and is gone: {found}"
            assert found[found.index(text) + 1] == f"re {text}", f"{thread_id}: its answer is not behind it: {found}"
        acknowledged += len(expected)
    await saver.aclose()
    return acknowledged


def _thread(number: int) -> str:
    return f"{TENANTS[number % len(TENANTS)]}{number}"


def _acknowledged(journal: Path) -> int:
    return sum(what == "ack" for what, *_ in _lines(journal))


def _lines(journal: Path) -> list[list[str]]:
    # The last line may be one that its writer did not finish.
    return [line.split() for line in journal.read_text().split("\n")[:-1]] if journal.exists() else []


# ---- Redis dies


async def kill_redis(server: RedisServer, *, conversations: int, kills: int, seed: int = 0) -> Told:
    """Kill Redis and start it again under conversations that go on, and come back from memory whenever they can."""
    draw, began = random.Random(seed), time.monotonic()
    connections = Connections(server.url, connect_timeout_s=0.5, timeout_s=0.5)
    leases = Leases(connections.asynchronous(), hold_s=2, wait_s=20, retry_s=0.02)
    saver = FallbackCheckpointer(RedisCheckpointer(connections, ttl_s=3600), retry_s=0.02, leases=leases)
    chat, over = Chat(saver), asyncio.Event()
    said: dict[str, list[str]] = {_thread(number): [] for number in range(conversations)}

    async def talk(thread_id: str) -> None:
        while not over.is_set():
            text = str(len(said[thread_id]))
            async with leases.hold(thread_id):
                await chat.say(text, thread_id)
            said[thread_id].append(text)

    async def come_back() -> None:
        while not over.is_set() or saver.held_conversations:
            await saver.return_held()
            await asyncio.sleep(0.01)

    going = [asyncio.create_task(talk(thread_id)) for thread_id in said]
    going.append(asyncio.create_task(come_back()))
    for _ in range(kills):
        await _some_turns(said, draw.randint(1, conversations))
        await asyncio.to_thread(server.kill)
        await _some_turns(said, draw.randint(1, conversations))
        await asyncio.to_thread(server.start)
        # Mostly until some are back, or all; sometimes it dies again at once.
        most = draw.choice((0, conversations // 2, conversations - 1, conversations))
        async with asyncio.timeout(60):
            while saver.held_conversations > most:
                await asyncio.sleep(0.001)
    over.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*going)
    fresh = RedisCheckpointer.from_url(server.url, ttl_s=3600)
    for thread_id, expected in said.items():
        found = await texts(fresh, thread_id)
        assert found == turns(*expected), f"{thread_id}: {_difference(found, turns(*expected))}"
    for each in (saver, fresh):
        await each.aclose()
    return Told(conversations, sum(map(len, said.values())), kills, time.monotonic() - began)


async def _some_turns(said: dict[str, list[str]], count: int) -> None:
    enough = sum(map(len, said.values())) + count
    async with asyncio.timeout(60):
        while sum(map(len, said.values())) < enough:
            await asyncio.sleep(0.001)


def _difference(found: list[str], expected: list[str]) -> str:
    lost = [text for text in expected if text not in found]
    doubled = sorted({text for text in found if found.count(text) > 1})
    moved = [text for text, other in zip(found, expected, strict=False) if text != other][:8]
    return f"of {len(expected)} messages lost {lost}, doubled {doubled}, from here on in another order {moved}"


# ----


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, usual in (("workers", 1000), ("redis", 16)):
        asked = kinds.add_parser(kind)
        asked.add_argument("--conversations", type=int, default=usual)
        asked.add_argument("--kills", type=int, default=50)
        asked.add_argument("--seed", type=int, default=0)
        if kind == "workers":
            asked.add_argument("--workers", type=int, default=4)
            asked.add_argument("--turns", type=int, default=4)
    return parser


def _servers() -> Iterator[tuple[RedisServer, Path]]:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        yield server, Path(folder)


def main() -> None:
    """See the module."""
    asked = _arguments().parse_args()
    for server, folder in _servers():
        if asked.kind == "redis":
            told = asyncio.run(
                kill_redis(server, conversations=asked.conversations, kills=asked.kills, seed=asked.seed)
            )
        else:
            told = kill_workers(
                server,
                folder,
                conversations=asked.conversations,
                workers=asked.workers,
                turns_each=asked.turns,
                kills=asked.kills,
                seed=asked.seed,
            )
        print(told)


if __name__ == "__main__":
    main()
