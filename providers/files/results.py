"""Large results of queries, each as a CSV file in the folder of its conversation; encrypted where conversations are."""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from utils.checkpointer.cipher import Keyring
from utils.checkpointer.errors import UnreadableValue
from utils.disk import DiskSpace
from utils.errors import NotEnoughSpace, NotFound, NotReady, StoreUnavailable
from utils.private_files import replace_file

_GONE = "The file no longer exists. Newer ones may have taken its room: ask the question again."
_MOST_FILES = 10_000  # of a tenant, so that to look at all of them takes no time


@dataclass(frozen=True, slots=True)
class ResultPlace:
    """The folder of a conversation, whose name tells nothing of it, in that of its tenant."""

    tenant_id: str
    folder: str


class ResultFiles:
    """`<root>/<tenant>/<folder>/<name>`: the newest one of each conversation. Blocking: for threads.

    *disk* is asked for room beside its reserve. Several processes may use it at once. A tenant keeps *most_bytes*: what
    is beyond them is deleted, of the conversations that were not used for the longest time.
    """

    def __init__(self, root: Path, keys: Keyring | None, disk: DiskSpace, *, most_bytes: int) -> None:
        self._root, self._keys, self._disk, self._most_bytes = root, keys, disk, most_bytes

    def put(self, place: ResultPlace, name: str, data: bytes) -> None:
        """Keep *data*, in place of what the folder has.

        Raises:
            NotEnoughSpace: there is no room on the disk, or it alone is more than a tenant may keep.
            StoreUnavailable: it cannot be kept.
        """
        stored = data if self._keys is None else self._keys.encrypt(data, _context(place, name))
        if len(stored) > self._most_bytes:
            raise NotEnoughSpace(f"The file has {len(stored):,} bytes, of {self._most_bytes:,} for all of the tenant.")
        self._disk.check_documents(len(stored))
        folder = self._find(place)
        with _translating():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                self._make_room(folder, len(stored))
                replace_file(folder / name, stored)
                for other in folder.glob("*.csv"):
                    if other.name != name:
                        other.unlink(missing_ok=True)

    def get(self, place: ResultPlace, name: str) -> bytes:
        """What `put` has kept.

        Raises:
            NotFound: it no longer exists.
            NotReady: it cannot be decrypted.
            StoreUnavailable: it cannot be read.
        """
        with _translating():
            try:
                stored = (self._find(place) / name).read_bytes()
            except FileNotFoundError as exc:
                raise NotFound(_GONE) from exc
        if self._keys is None:
            return stored
        try:
            return self._keys.decrypt(stored, _context(place, name))
        except UnreadableValue as exc:
            raise NotReady("The file cannot be decrypted: ask again.") from exc

    def touch(self, place: ResultPlace) -> None:
        """Note that the conversation is used."""
        with suppress(OSError):
            os.utime(self._find(place))

    def delete(self, place: ResultPlace) -> None:
        """Delete what the conversation has; nothing happens where there is nothing."""
        with _translating(), suppress(FileNotFoundError):
            shutil.rmtree(self._find(place))

    def delete_unused(self, keep_s: float) -> None:
        """Delete the folders that were not used for so long."""
        for tenant in self._root.glob("*/"):
            for used_s, folder in _list_folders(tenant):
                if used_s < time.time() - keep_s:
                    shutil.rmtree(folder, ignore_errors=True)

    def _find(self, place: ResultPlace) -> Path:
        return self._root / place.tenant_id / place.folder

    def _make_room(self, folder: Path, size_bytes: int) -> None:
        """For so many bytes in *folder*, beside what others of its tenant have."""
        left_bytes = self._most_bytes - size_bytes
        others = sorted((each for each in _list_folders(folder.parent) if each[1] != folder), reverse=True)
        for number, (_, other) in enumerate(others, start=1):
            with suppress(FileNotFoundError):  # the conversation is deleted meanwhile
                left_bytes -= sum(each.stat().st_size for each in other.iterdir())
            if left_bytes < 0 or number >= _MOST_FILES:
                shutil.rmtree(other, ignore_errors=True)


def _list_folders(tenant: Path) -> Iterator[tuple[float, Path]]:
    """Those of conversations, with the time when they were last used."""
    for folder in list(tenant.glob("*/")):
        with suppress(OSError):  # it is gone meanwhile
            yield folder.stat().st_mtime, folder


@contextmanager
def _locked(tenant: Path) -> Iterator[None]:
    """Nobody else writes what *tenant* keeps, here or in another process."""
    with (tenant / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _context(place: ResultPlace, name: str) -> bytes:
    """What a file is bound to: moved to another conversation it does not open."""
    return f"rows {place.tenant_id}/{place.folder}/{name}".encode()


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(f"Not enough disk space: the file could not be kept ({exc.strerror}).") from exc
        raise StoreUnavailable(f"CHAT_DOCS_DIR: the folder cannot be used: {exc.strerror}.") from exc
