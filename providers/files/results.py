"""Large results of queries, each as a CSV file in the folder of its conversation; encrypted where conversations are."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.checkpointer.cipher import Keyring
from utils.checkpointer.errors import UnreadableValue
from utils.disk import DiskSpace
from utils.errors import NotEnoughSpace, NotFound, NotReady, StoreUnavailable
from utils.private_files import replace_file


class ResultFiles:
    """`<root>/<folder>/<name>`: the newest one of each conversation. Blocking: for threads.

    *disk* is asked for room beside its reserve. Several processes may use it at once.
    """

    def __init__(self, root: Path, keys: Keyring | None, disk: DiskSpace) -> None:
        self._root, self._keys, self._disk = root, keys, disk

    def put(self, folder: str, name: str, data: bytes) -> None:
        """Keep *data*, in place of what the folder has.

        Raises:
            NotEnoughSpace, StoreUnavailable: it cannot be kept.
        """
        stored = data if self._keys is None else self._keys.encrypt(data, _context(folder, name))
        self._disk.check_documents(len(stored))
        with _translating():
            (self._root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._root / folder / name, stored)
            for other in (self._root / folder).glob("*.csv"):
                if other.name != name:
                    other.unlink(missing_ok=True)

    def get(self, folder: str, name: str) -> bytes:
        """What `put` has kept.

        Raises:
            NotFound: it no longer exists.
            NotReady: it cannot be decrypted.
            StoreUnavailable: it cannot be read.
        """
        with _translating():
            try:
                stored = (self._root / folder / name).read_bytes()
            except FileNotFoundError as exc:
                raise NotFound("The file no longer exists.") from exc
        if self._keys is None:
            return stored
        try:
            return self._keys.decrypt(stored, _context(folder, name))
        except UnreadableValue as exc:
            raise NotReady("The file cannot be decrypted: ask again.") from exc

    def touch(self, folder: str) -> None:
        """Note that the conversation of *folder* is used."""
        with suppress(OSError):
            os.utime(self._root / folder)

    def delete(self, folder: str) -> None:
        """Delete what the folder has; nothing happens where there is none."""
        with _translating(), suppress(FileNotFoundError):
            shutil.rmtree(self._root / folder)

    def delete_unused(self, keep_s: float) -> None:
        """Delete the folders that were not used for so long."""
        with suppress(FileNotFoundError):
            for folder in list(self._root.iterdir()):
                if folder.is_dir() and folder.stat().st_mtime < time.time() - keep_s:
                    shutil.rmtree(folder, ignore_errors=True)


def _context(folder: str, name: str) -> bytes:
    """What a file is bound to: moved to another conversation it does not open."""
    return f"rows {folder}/{name}".encode()


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(f"Not enough disk space: the file could not be kept ({exc.strerror}).") from exc
        raise StoreUnavailable(f"CHAT_DOCS_DIR: the folder cannot be used: {exc.strerror}.") from exc
