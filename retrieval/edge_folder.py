"""The folder of a shard: locked while it is open, checked before, and replaced if it is damaged.

SQL is the truth about documents, so a damaged index is put aside, and the indexer fills an empty one.
"""

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import qdrant_edge as engine

from retrieval import edge_probe, edge_sums
from retrieval.edge_shard import DamagedShard, open_shard
from utils.disk import DiskSpace, find_size_bytes
from utils.errors import StoreUnavailable

logger = logging.getLogger(__name__)

_SOURCES = Path(__file__).resolve().parent.parent
_MIN_S, _BYTES_A_SECOND = 120.0, 1_000_000
# Signals that damaged files cause. Others have another sender: an operator, or the kernel for want of memory.
_BY_DAMAGE = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """*path* holds a shard for vectors of *dimension* numbers, on *disk*; *on_replaced* hears that it started again."""

    path: Path
    dimension: int
    disk: DiskSpace | None = None
    on_replaced: Callable[[], object] = lambda: None

    def lock(self) -> int:
        """A descriptor that locks the folder until it is closed; without its log the engine has no lock of its own.

        Raises:
            StoreUnavailable: another process has it, or it cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(_find_lock(self.path), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreUnavailable(f"The passage index in {self.path} cannot be opened: {exc}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(lock)
            raise StoreUnavailable(f"The passage index in {self.path} is open in another process.") from exc
        return lock

    def open_checked(self) -> engine.EdgeShard:
        """Open after its checksums were compared; without any, after another process has read all of it."""
        if reason := self._find_damage():
            self._move_damaged(reason)
        return self.open()

    def open(self) -> engine.EdgeShard:
        """The shard; an empty one where there is none, or where it is damaged.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        if self.disk is not None:
            self.disk.check_turns()  # to open it is to write
        edge_sums.remove_sums(self.path)
        try:
            return open_shard(self.path, self.dimension, self.disk)
        except DamagedShard as exc:
            self._move_damaged(exc.reason)
            return open_shard(self.path, self.dimension, self.disk)

    def note_closed(self) -> None:
        """Write the checksums, now that nobody changes the files."""
        try:
            edge_sums.write_sums(self.path)
        except OSError as exc:
            logger.warning("The passage index in %s is read through at its next start: %s", self.path, exc)

    def _find_damage(self) -> str:
        try:
            if not self.path.is_dir() or not any(self.path.iterdir()):
                return ""
            changed = edge_sums.find_changed(self.path)
        except OSError as exc:
            return f"{exc.filename} cannot be read: {exc.strerror}"
        if changed is None:
            return self._read_through()
        return f"{changed} has changed since it was closed" if changed else ""

    def _read_through(self) -> str:
        """Let another process read all of it, since damaged files may crash the one that does."""
        limit_s = _MIN_S + find_size_bytes(self.path) / _BYTES_A_SECOND
        command = [sys.executable, "-m", edge_probe.__name__, str(self.path.absolute()), str(self.dimension)]
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command, cwd=_SOURCES, capture_output=True, text=True, timeout=limit_s, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it could not be read within {limit_s:.0f} s"
        except OSError as exc:
            logger.warning("The passage index in %s could not be checked: %s", self.path, exc)
            return ""
        if done.returncode == edge_probe.DAMAGED:
            return done.stdout.strip()
        if -done.returncode in _BY_DAMAGE:
            return f"{signal.Signals(-done.returncode).name} ended the process that read it"
        if done.returncode:
            logger.warning("The passage index in %s could not be checked: %.500s", self.path, done.stderr.strip())
        return ""

    def _move_damaged(self, reason: str) -> None:
        damaged = _make_damaged_path(self.path)
        try:
            shutil.rmtree(damaged, ignore_errors=True)
            self.path.rename(damaged)
            edge_sums.remove_sums(self.path)
        except OSError as exc:
            raise StoreUnavailable(
                f"The passage index in {self.path} is damaged ({reason}), and cannot be put aside ({exc.strerror}): "
                "remove it, and it is built again."
            ) from exc
        where = f"It is kept as {damaged}"
        if (
            self.disk is not None
            and self.disk.measure_free_bytes() - find_size_bytes(damaged) < self.disk.reserve_bytes
        ):
            shutil.rmtree(damaged, ignore_errors=True)
            where = "It is deleted, as there is no room to keep it"
        logger.error(
            "The passage index in %s is damaged: %.500s. %s. A new one is filled from the database: by words at once, "
            "by meaning as vectors are computed.",
            *(self.path, reason, where),
        )
        self.on_replaced()


def remove_folder(path: Path) -> None:
    """Delete a closed shard and all that was made beside it; nothing where there is none."""
    for folder in (path, _make_damaged_path(path)):
        shutil.rmtree(folder, ignore_errors=True)
    edge_sums.remove_sums(path)
    _find_lock(path).unlink(missing_ok=True)


def _make_damaged_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _find_lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@contextmanager
def close_on_failure(lock: int) -> Iterator[int]:
    """Close the descriptor *lock* if the block fails."""
    try:
        yield lock
    except BaseException:
        os.close(lock)
        raise
