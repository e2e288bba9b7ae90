"""Asks `/health` at a steady rate until its standard input ends, and then writes how long each answer took.

`python -m tests.security.health_probe PORT PROCESS_ID`: a process of its own, so that nothing a test does delays it. No
request waits for the one before, so that a service that stands still for a second is seen by all who would have asked
meanwhile. Written is a line of JSON: for each answer its status, 0 for none, and three times in seconds: how long it
took, how long threads of the service were ready to run meanwhile but had no processor, and for how long its first
thread, which runs the event loop, had one.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

EVERY_S = 0.1
_GIVEN_UP_S = 30.0
_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Probe:
    """What was seen of one service."""

    def __init__(self, port: int, process_id: int) -> None:
        self._port, self._loop, self._threads = port, str(process_id), Path(f"/proc/{process_id}/task")
        self.seen: list[tuple[int, float, float, float]] = []

    async def run(self, is_over: asyncio.Event) -> None:
        """Ask until it is over, and wait for all answers."""
        began_s, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as asking:
            while not is_over.is_set():
                asking.create_task(self._ask())
                number += 1
                await asyncio.sleep(began_s + number * EVERY_S - time.monotonic())

    async def _ask(self) -> None:
        queued_s, worked_s = self._scheduled()
        began_s = time.monotonic()
        answer = b"HTTP/1.1 0"
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GIVEN_UP_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(_REQUEST)
                answer = await reader.read()
                writer.close()
        took_s = time.monotonic() - began_s
        queued_after_s, worked_after_s = self._scheduled()
        status = int(answer.split()[1])
        self.seen.append((status, took_s, max(0.0, queued_after_s - queued_s), worked_after_s - worked_s))

    def _scheduled(self) -> tuple[float, float]:
        """How long its threads have waited for a processor, and how long the first one has had one, since ever."""
        queued_ns = worked_ns = 0
        for thread in self._threads.iterdir():
            with suppress(OSError):  # it has ended
                on, waited, _ = map(int, (thread / "schedstat").read_text().split())  # proc_pid_schedstat(5)
                queued_ns += waited
                worked_ns += on * (thread.name == self._loop)
        return queued_ns / 1e9, worked_ns / 1e9


async def _main() -> None:
    probe, is_over = Probe(int(sys.argv[1]), int(sys.argv[2])), asyncio.Event()
    asyncio.get_running_loop().add_reader(0, is_over.set)
    await probe.run(is_over)
    print(json.dumps(probe.seen))


if __name__ == "__main__":
    asyncio.run(_main())
