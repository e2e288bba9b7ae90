"""A folder in which the processes of one installation count together.

prometheus_client keeps the figures of each process in mapped files, which outlive it, also when it is killed. Its files
are named by process ids, so every process that ever was leaves some behind. Here a process holds a numbered slot, the
lowest that is free, by a lock that the kernel takes back when it ends, and goes on with the counts it finds there: none
is lost or counted twice, and there are as many files as there were processes at once.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_ABANDONED_S = 3600.0


class Counts(Collector):
    """This process's place in *folder*, and the sum of all places; made by `join_folder`. Blocking, for a moment.

    `is_first`: no other process of the installation lives, and the counts begin at zero.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.is_first = not any(map(_is_held, self._list_slots()))
        if self.is_first:
            for file in [*folder.glob("*.db"), *self._list_slots()]:
                file.unlink()
        self._slot, self._lock = self._take()
        self._forget_gauges(self._slot)
        values.ValueClass = values.MultiProcessValue(lambda: self._slot)  # type: ignore[no-untyped-call] # typed in parts

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nothing is collected before the first scrape."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All figures of all processes; gauges of those that live."""
        with _lock_folder(self._folder):
            for slot in self._list_slots():
                if not _is_held(slot):
                    self._forget_gauges(_number(slot))
            metrics: Iterable[Metric] = MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call] # as above
        return metrics

    def close(self) -> None:
        """Leave the place to the next process."""
        os.close(self._lock)

    def reserve_room(self) -> None:
        """Give the files of this place their room now: to write into one on a full disk would end the process."""
        if not hasattr(os, "posix_fallocate"):  # macOS
            return
        for file in self._folder.glob(f"*_{self._slot}.db"):
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)

    def _forget_gauges(self, number: int) -> None:
        mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call] # as above

    def _list_slots(self) -> list[Path]:
        return sorted(self._folder.glob("slot-*.lock"), key=_number)

    def _take(self) -> tuple[int, int]:
        number = 0
        while True:
            descriptor = os.open(self._folder / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                number += 1
            else:
                return number, descriptor


@contextmanager
def join_folder(folder: Path) -> Iterator[Counts]:
    """A place in *folder*; no other process comes or looks for the length of the block.

    All series are to be made in the block: a series of each kind without labels makes its file. Close the place in the
    end, also when the block fails. One at a time in a process: prometheus_client has one place for its kind of values.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock_folder(folder):
        counts = Counts(folder)
        before = os.environ.get(_FOLDER)
        os.environ[_FOLDER] = str(folder)  # prometheus_client takes it from nowhere else
        try:
            yield counts
            counts.reserve_room()
        finally:
            del os.environ[_FOLDER]
            if before is not None:
                os.environ[_FOLDER] = before


def clear_abandoned(folder: Path) -> None:
    """Remove such folders beside *folder* whose processes ended long ago, as containers leave them on a volume."""
    oldest = time.time() - _ABANDONED_S
    for other in folder.parent.iterdir():
        with suppress(OSError):
            slots = list(other.glob("slot-*.lock"))
            if other == folder or not slots or any(map(_is_held, slots)):
                continue
            if max(file.stat().st_mtime for file in other.iterdir()) < oldest:
                shutil.rmtree(other, ignore_errors=True)


def _is_held(slot: Path) -> bool:
    descriptor = os.open(slot, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _number(slot: Path) -> int:
    return int(slot.stem.removeprefix("slot-"))


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "folder.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
