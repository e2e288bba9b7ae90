"""Files in the folder of their conversation: rows of large results, and files that people attach to it.

They are encrypted where conversations are.
"""

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
from utils.errors import Conflict, NotEnoughSpace, NotFound, NotReady, StoreUnavailable
from utils.private_files import replace_file

_GONE = "The file no longer exists. Newer ones may have taken its room: ask the question again."
ATTACHED = ".file"
_MAX_FILES = 10_000  # of a tenant, so that to look at all of them takes no time


@dataclass(frozen=True, slots=True)
class ConversationFolder:
    """The folder of a conversation, whose name tells nothing of it, in that of its tenant."""

    tenant_id: str
    folder: str


class ResultFiles:
    """`<root>/<tenant>/<folder>/<name>`: the newest result of each conversation, `<id>.csv`, and files that were
    attached to it, `<id>.file`. Blocking: for threads.

    *disk* is asked for room beside its reserve. Several processes may use it at once. A tenant keeps *max_bytes*: what
    is beyond them is deleted, of the conversations that were not used for the longest time. Folders that were not used
    for *keep_s* are expired.
    """

    def __init__(
        self, root: Path, keys: Keyring | None, disk: DiskSpace, *, max_bytes: int, keep_s: float = 86_400
    ) -> None:
        self._root, self._keys, self._disk = root, keys, disk
        self._max_bytes, self._keep_s = max_bytes, keep_s

    def put(self, conversation: ConversationFolder, name: str, data: bytes) -> None:
        """Keep the rows of a result, in place of those that the folder has.

        Raises:
            NotEnoughSpace: there is no room on the disk, or it alone is more than a tenant may keep.
            StoreUnavailable: it cannot be kept.
        """
        with self._write_file(conversation, name, data) as folder:
            for other in folder.glob("*.csv"):
                if other.name != name:
                    other.unlink(missing_ok=True)

    def attach(self, conversation: ConversationFolder, name: str, data: bytes, *, most: int) -> None:
        """Keep a file that was attached to the conversation, of which it may have *most*.

        Raises:
            Conflict: it has as many.
            NotEnoughSpace, StoreUnavailable: as `put`.
        """
        with self._write_file(conversation, name, data) as folder:
            if len(list(folder.glob(f"*{ATTACHED}"))) > most:  # this one among them
                (folder / name).unlink()
                raise Conflict(f"A conversation has at most {most} files: delete one first.")

    def update_attached(self, conversation: ConversationFolder, name: str, data: bytes) -> None:
        """Keep *data* in place of what an attached file has.

        Raises:
            NotFound: it was deleted, or has expired.
            NotEnoughSpace, StoreUnavailable: as `put`.
        """
        with self._write_file(conversation, name, data, replaces=True):
            pass

    def read_attached(self, conversation: ConversationFolder, *, is_lenient: bool = False) -> list[bytes]:
        """The files that were attached to the conversation, oldest first; none once they are expired.

        Raises:
            NotReady: one cannot be decrypted; *is_lenient* leaves it out.
            StoreUnavailable: they cannot be read.
        """
        folder = self._find(conversation)
        with _translate_errors():
            if self._is_expired(folder):
                return []
            files = sorted((path.stat().st_mtime_ns, path.name) for path in folder.glob(f"*{ATTACHED}"))
        attached = []
        for _, name in files:
            with suppress(NotFound, *([NotReady] if is_lenient else [])):  # it was deleted meanwhile
                attached.append(self.get(conversation, name))
        return attached

    def detach(self, conversation: ConversationFolder, name: str) -> None:
        """Delete a file that was attached.

        Raises:
            NotFound: the conversation has none of this name.
            StoreUnavailable: it cannot be deleted.
        """
        with _translate_errors():
            try:
                (self._find(conversation) / name).unlink()
            except FileNotFoundError as exc:
                raise NotFound("This conversation has no such file.") from exc

    @contextmanager
    def _write_file(
        self, conversation: ConversationFolder, name: str, data: bytes, *, replaces: bool = False
    ) -> Iterator[Path]:
        """The folder, once *data* is in it; nobody else writes what the tenant keeps meanwhile.

        *replaces*: only where there is a file of this name.
        """
        stored = data if self._keys is None else self._keys.encrypt(data, _make_context(conversation, name))
        if len(stored) > self._max_bytes:
            raise NotEnoughSpace(f"The file has {len(stored):,} bytes, of {self._max_bytes:,} for all of the tenant.")
        self._disk.check_documents(len(stored))
        folder = self._find(conversation)
        with _translate_errors():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _lock_tenant(folder.parent):
                if self._is_expired(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                if replaces and not (folder / name).exists():
                    raise NotFound(_GONE)
                folder.mkdir(mode=0o700, exist_ok=True)
                self._make_room(folder, len(stored))
                replace_file(folder / name, stored)
                yield folder

    def get(self, conversation: ConversationFolder, name: str) -> bytes:
        """What `put` has kept.

        Raises:
            NotFound: it no longer exists.
            NotReady: it cannot be decrypted.
            StoreUnavailable: it cannot be read.
        """
        with _translate_errors():
            try:
                stored = (self._find(conversation) / name).read_bytes()
            except FileNotFoundError as exc:
                raise NotFound(_GONE) from exc
        if self._keys is None:
            return stored
        try:
            return self._keys.decrypt(stored, _make_context(conversation, name))
        except UnreadableValue as exc:
            raise NotReady("The file cannot be decrypted: ask again.") from exc

    def touch(self, conversation: ConversationFolder) -> None:
        """Note that the conversation is used."""
        with suppress(OSError):
            os.utime(self._find(conversation))

    def delete(self, conversation: ConversationFolder) -> bool:
        """Delete what the conversation has; whether it had anything."""
        with _translate_errors():
            try:
                shutil.rmtree(self._find(conversation))
            except FileNotFoundError:
                return False
        return True

    def delete_unused(self) -> None:
        """Delete the folders that are expired."""
        for tenant in self._root.glob("*/"):
            for _, folder in _list_folders(tenant):
                if self._is_expired(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def _is_expired(self, folder: Path) -> bool:
        try:
            return folder.stat().st_mtime < time.time() - self._keep_s
        except FileNotFoundError:
            return False

    def _find(self, conversation: ConversationFolder) -> Path:
        return self._root / conversation.tenant_id / conversation.folder

    def _make_room(self, folder: Path, size_bytes: int) -> None:
        """For so many bytes in *folder*, beside what others of its tenant have."""
        left_bytes = self._max_bytes - size_bytes
        others = sorted((each for each in _list_folders(folder.parent) if each[1] != folder), reverse=True)
        for number, (_, other) in enumerate(others, start=1):
            with suppress(FileNotFoundError):  # the conversation is deleted meanwhile
                left_bytes -= sum(each.stat().st_size for each in other.iterdir())
            if left_bytes < 0 or number >= _MAX_FILES:
                shutil.rmtree(other, ignore_errors=True)


def _list_folders(tenant: Path) -> Iterator[tuple[float, Path]]:
    """The folders of conversations, with the time when they were last used."""
    for folder in list(tenant.glob("*/")):
        with suppress(OSError):  # it is gone meanwhile
            yield folder.stat().st_mtime, folder


@contextmanager
def _lock_tenant(tenant: Path) -> Iterator[None]:
    """Nobody else writes what *tenant* keeps, here or in another process."""
    with (tenant / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_context(conversation: ConversationFolder, name: str) -> bytes:
    """What a file is bound to: moved to another conversation it does not open."""
    return f"rows {conversation.tenant_id}/{conversation.folder}/{name}".encode()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(f"Not enough disk space: the file could not be kept ({exc.strerror}).") from exc
        raise StoreUnavailable(f"CHAT_DOCS_DIR: the folder cannot be used: {exc.strerror}.") from exc
