"""Notes every callback that holds an event loop, in a process of the service that a test started.

Python imports this by itself where its folder is on PYTHONPATH. A line of JSON a finding goes to the file that
LOOP_HELD_FILE names: when, how long, what was running. Two ways to hold a loop are told apart from a machine that was
merely busy, which is nobody's fault:

- `worked`: CPU time of the thread, which other processes cannot add to;
- `waited`: time that was neither CPU time nor spent waiting for a processor, so asleep in a system call or for a lock.

uvloop cannot be looked into, so that the service runs on asyncio's own loop here.
"""

import asyncio.events
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

WORKED_LIMIT_S = 0.05
# Longer: it also waits for the interpreter's lock while a thread computes, and for a new thread to come up, and those
# may be without a processor.
WAITED_LIMIT_S = 0.5
_LOOK_S = 0.02


class Watch:
    """Times the callbacks of the loops of this process, and looks at those that take long while they run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way: dict[int, float] = {}
        self._seen: dict[int, str] = {}
        self._run = asyncio.events.Handle._run

    def install(self) -> None:
        """From now on."""
        asyncio.events.Handle._run = lambda handle: self.time(handle)  # type: ignore[method-assign] # asyncio has no hook for it
        threading.Thread(target=self._look, name="loop-watch", daemon=True).start()

    def time(self, handle: asyncio.events.Handle) -> None:
        """Run *handle*'s callback, and note it if it held the loop."""
        thread = threading.get_ident()
        queued_s, worked_s, began_s = _queued_s(), time.thread_time(), time.perf_counter()
        self._under_way[thread] = began_s
        self._run(handle)
        took_s = time.perf_counter() - began_s
        self._under_way.pop(thread, None)
        seen = self._seen.pop(thread, "")
        if took_s < WORKED_LIMIT_S:
            return
        worked_s = time.thread_time() - worked_s
        waited_s = took_s - worked_s - (_queued_s() - queued_s)
        waited_s *= "self._started.wait()" not in seen
        if worked_s >= WORKED_LIMIT_S or waited_s >= WAITED_LIMIT_S:
            self._note(worked_s, waited_s, seen or repr(handle))

    def _note(self, worked_s: float, waited_s: float, what: str) -> None:
        finding = {"at": time.time(), "worked_s": round(worked_s, 3), "waited_s": round(waited_s, 3), "what": what}
        with self._path.open("a") as file:
            file.write(json.dumps(finding) + "\n")

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            now_s = time.perf_counter()
            for thread, began_s in list(self._under_way.items()):
                if now_s - began_s > _LOOK_S and thread not in self._seen:
                    self._seen[thread] = _stack(sys._current_frames().get(thread))


def _queued_s() -> float:
    """Seconds this thread was ready to run without a processor; proc_pid_schedstat(5), second figure."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


def _stack(frame: FrameType | None) -> str:
    return "".join(traceback.format_stack(frame)[-12:]) if frame else ""


if path := os.environ.get("LOOP_HELD_FILE"):
    sys.modules["uvloop"] = None  # type: ignore[assignment] # what is not there cannot be imported
    Watch(Path(path)).install()
