"""Notes every callback that holds an event loop, in a process of the service that a test started.

Python imports this by itself where its folder is on PYTHONPATH. A line of JSON a finding goes to the file that
LOOP_HELD_FILE names: when, how long, what was running. Two ways to hold a loop are told apart from a machine that was
merely busy, which is nobody's fault:

- `worked`: CPU time of the thread, which other processes cannot add to, as on a processor as fast as usual;
- `waited`: time that was neither CPU time nor spent waiting for a processor, so asleep in a system call or for a lock.

The garbage collector's time is not the callback's, which only made the object that was one too many: it has a limit of
its own, as `collected`.

uvloop cannot be looked into, so that the service runs on asyncio's own loop here.
"""

import asyncio.events
import gc
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

try:
    from machine_speed import slow_by
except ImportError:  # run by its path, not imported from its folder
    from tests.watch.machine_speed import slow_by

WORKED_LIMIT_S = 0.05
# Longer: it also waits for the interpreter's lock while a thread computes, and for a new thread to come up, and those
# may be without a processor.
WAITED_LIMIT_S = 0.5
COLLECTED_LIMIT_S = 0.25
_LOOK_S = 0.02


class Watch:
    """Times the callbacks of the loops of this process, and looks at those that take long while they run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way: dict[int, float] = {}
        self._seen: dict[int, str] = {}
        self._collector = CollectorClock()
        self._run = asyncio.events.Handle._run

    def install(self) -> None:
        """From now on."""
        asyncio.events.Handle._run = lambda handle: self.time(handle)  # type: ignore[method-assign] # asyncio has no hook for it
        threading.Thread(target=self._look, name="loop-watch", daemon=True).start()

    def time(self, handle: asyncio.events.Handle) -> None:
        """Run *handle*'s callback, and note it if it held the loop."""
        thread = threading.get_ident()
        collected_s = self._collector.read()
        queued_s, worked_s, began_s = _queued_s(), time.thread_time(), time.perf_counter()
        self._under_way[thread] = began_s
        self._run(handle)
        took_s = time.perf_counter() - began_s
        self._under_way.pop(thread, None)
        seen = self._seen.pop(thread, "")
        if took_s < WORKED_LIMIT_S:
            return
        collected_s = self._collector.read() - collected_s
        worked_s = time.thread_time() - worked_s - collected_s
        waited_s = took_s - worked_s - collected_s - (_queued_s() - queued_s)
        waited_s *= "self._started.wait()" not in seen
        if max(worked_s / WORKED_LIMIT_S, collected_s / COLLECTED_LIMIT_S) >= 1:
            slow = slow_by()
            worked_s, collected_s = worked_s / slow, collected_s / slow
        if worked_s >= WORKED_LIMIT_S or waited_s >= WAITED_LIMIT_S or collected_s >= COLLECTED_LIMIT_S:
            took = {"worked_s": worked_s, "waited_s": waited_s, "collected_s": collected_s}
            self._note({name: round(s, 3) for name, s in took.items()}, seen or repr(handle))

    def _note(self, took: dict[str, float], what: str) -> None:
        finding = {"at": time.time(), **took, "what": what}
        with self._path.open("a") as file:
            file.write(json.dumps(finding) + "\n")

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            now_s = time.perf_counter()
            for thread, began_s in list(self._under_way.items()):
                if now_s - began_s > _LOOK_S and thread not in self._seen:
                    self._seen[thread] = _stack(sys._current_frames().get(thread))


class CollectorClock:
    """CPU seconds that the garbage collector has taken of each thread."""

    def __init__(self) -> None:
        self._began_s: dict[int, float] = {}
        self._taken_s: dict[int, float] = {}
        gc.callbacks.append(self._count)

    def read(self) -> float:
        """Those of the thread that asks."""
        return self._taken_s.get(threading.get_ident(), 0.0)

    def _count(self, phase: str, _: dict[str, Any]) -> None:
        thread = threading.get_ident()
        if phase == "start":
            self._began_s[thread] = time.thread_time()
        elif (began_s := self._began_s.pop(thread, None)) is not None:
            self._taken_s[thread] = self.read() + time.thread_time() - began_s


_of_thread = threading.local()


def _queued_s() -> float:
    """Seconds this thread was ready to run without a processor; proc_pid_schedstat(5), second figure."""
    try:
        if not hasattr(_of_thread, "schedstat"):
            _of_thread.schedstat = open("/proc/thread-self/schedstat", "rb", buffering=0)  # noqa: SIM115
        return int(os.pread(_of_thread.schedstat.fileno(), 100, 0).split()[1]) / 1e9
    except OSError:
        return 0.0


def _stack(frame: FrameType | None) -> str:
    # No more than these: the thread runs on meanwhile, and Python 3.11 crashed once in the walk of a long stack.
    return "".join(traceback.format_stack(frame, limit=12)) if frame else ""


if path := os.environ.get("LOOP_HELD_FILE"):
    sys.modules["uvloop"] = None  # type: ignore[assignment] # what is not there cannot be imported
    Watch(Path(path)).install()
