"""The folder everything embedded lives in, held by one instance at a time."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from utils.processes import StartError

_LOCK = "pustaka.lock"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder that is ours to write: `path` is absolute."""

    path: Path


@contextmanager
def open_data_folder(path: Path) -> Iterator[DataFolder]:
    """Make the folder where it is missing (0700) and hold it until the block is left or the process ends.

    The lock is the kernel's: one that a killed process leaves behind holds nobody up.

    Raises:
        StartError: it is not a folder, cannot be written, or another instance holds it.
    """
    folder = _make(path)
    with _open_lock(folder) as lock:
        _take(lock, folder)
        try:
            yield DataFolder(folder)
        finally:
            # The file stays: were it removed, a third instance could lock a new one beside a second that waits here.
            lock.truncate(0)


def _make(path: Path) -> Path:
    try:
        folder = Path(os.path.abspath(path.expanduser()))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _try_to_write(folder)
    except (FileExistsError, NotADirectoryError) as exc:
        raise StartError(f"{path} is a file, not a folder; set DATA_DIR to another folder.") from exc
    except OSError as exc:
        raise StartError(f"{path} cannot be written ({exc.strerror}); set DATA_DIR to another folder.") from exc
    return folder


def _try_to_write(folder: Path) -> None:
    # Permission bits do not tell: a read-only file system shows only on writing.
    probe = folder / f".probe-{secrets.token_hex(8)}"
    probe.touch(exist_ok=False)
    probe.unlink()


def _open_lock(folder: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    except OSError as exc:
        raise StartError(f"{folder / _LOCK} cannot be opened: {exc.strerror}.") from exc


def _take(lock: BinaryIO, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = f"process {pid}" if (pid := _holder(lock)) else "another process"
        raise StartError(f"{folder} is in use by {holder}; stop it or set DATA_DIR to another folder.") from exc
    except OSError as exc:
        raise StartError(f"{folder} is on a file system without locks; set DATA_DIR to another folder.") from exc
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())


def _holder(lock: BinaryIO) -> int | None:
    with suppress(ValueError):
        return int(lock.read(20))
    return None
