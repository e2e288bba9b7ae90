"""DATA_DIR: locked by one instance alone, or shared by the workers of one installation."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from config import Settings
from utils.log_ids import use_log_key
from utils.private_files import ensure_private_folder
from utils.processes import StartError

LOCK = "pustaka.lock"
_POLL_S = 0.05
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A folder that is ours to write: `path` is absolute."""

    path: Path


@contextmanager
def open_data_folder(path: Path, *, shared: bool = False, patience_s: float = 0.0) -> Iterator[DataFolder]:
    """Make the folder if it is missing (0700), and lock it until the block is left or the process ends.

    *shared*: processes that share it may lock it at the same time, as workers do whose stores are servers elsewhere.
    Waits up to *patience_s* for another holder to end, as a worker does for the one that it replaces. The lock is the
    kernel's, so it ends with a process that is killed.

    Raises:
        StartError: it is not a folder of this user's own, cannot be written, or another instance holds it.
    """
    folder = ensure_private_folder(path, variable="DATA_DIR")
    _try_to_write(folder)
    with _open_lock(folder) as lock:
        _take(lock, folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + patience_s)
        try:
            yield DataFolder(folder)
        finally:
            # The file stays: were it removed, a third instance could lock a new one beside a second that waits here.
            if not shared:
                lock.truncate(0)


def is_in_use(path: Path) -> bool:
    """Whether an instance holds the folder for itself alone; nothing in it is changed."""
    try:
        with (path / LOCK).open("rb", buffering=0) as lock:
            return not _try_lock(lock, path, fcntl.LOCK_SH)
    except OSError:
        return False


def load_secret(folder: Path, name: str) -> bytes:
    """32 random bytes of the installation, made at the first call, for its owner alone to read.

    Of several processes that make it at once all get the same.

    Raises:
        StartError: it cannot be made or read, or is not whole.
    """
    path = folder / name
    try:
        if not path.exists():
            _make_secret(path)
        secret = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as exc:
        raise StartError(f"{path} cannot be used ({exc}); remove it to have a new one made.") from exc
    if len(secret) != _SECRET_BYTES:
        raise StartError(f"{path} is not whole; remove it to have a new one made.")
    return secret


def use_installations_log_key(settings: Settings) -> None:
    """Hash ids as the logs of the installation with these settings do.

    Raises:
        StartError: the data folder cannot be used.
    """
    use_log_key(open_link_key(settings, ensure_private_folder(settings.data_dir, variable="DATA_DIR")))


def open_link_key(settings: Settings, folder: Path) -> bytes:
    """The key that signs links to documents: LINK_KEY, else a secret of the data folder."""
    return settings.link_key.get_secret_value().encode() if settings.link_key else load_secret(folder, "link.key")


def _make_secret(path: Path) -> None:
    own = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # Unlike a rename, it does not replace the one that another process has made meanwhile.
        with suppress(FileExistsError):
            os.link(own, path)
    finally:
        own.unlink()


def _try_to_write(folder: Path) -> None:
    # Permission bits do not tell: a read-only file system shows only on writing.
    probe = folder / f".probe-{secrets.token_hex(8)}"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as exc:
        raise StartError(f"{folder} cannot be written ({exc.strerror}); set DATA_DIR to another folder.") from exc


def _open_lock(folder: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
    except OSError as exc:
        raise StartError(f"{folder / LOCK} cannot be opened: {exc.strerror}.") from exc


def _take(lock: BinaryIO, folder: Path, kind: int, deadline_s: float) -> None:
    while not _try_lock(lock, folder, kind):
        if time.monotonic() > deadline_s:
            holder = f"process {pid}" if (pid := _find_holder(lock)) else "another process"
            raise StartError(f"{folder} is in use by {holder}; stop it or set DATA_DIR to another folder.")
        time.sleep(_POLL_S)  # the kernel's own waiting has no time limit
    if kind == fcntl.LOCK_EX:
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())


def _try_lock(lock: BinaryIO, folder: Path, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        raise StartError(f"{folder} is on a file system without locks; set DATA_DIR to another folder.") from exc
    return True


def _find_holder(lock: BinaryIO) -> int | None:
    with suppress(ValueError):
        return int(lock.read(20))
    return None
