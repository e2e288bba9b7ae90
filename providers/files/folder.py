"""Files in a folder: `<root>/<tenant>/<first two digits>/<hash>`, for its owner alone to read."""

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from auth.principal import Principal
from utils.errors import NotEnoughSpace, NotFound, StoreUnavailable
from utils.private_files import UNFINISHED, replace_file, sync_folder

_HASH = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(rb"[^a-z0-9_-]")  # no capitals: some file systems do not tell them from small letters
_QUARANTINE, _MAX_IN_QUARANTINE = "quarantine", 20
_LONGEST_WRITE_S = 3600.0


class FolderFileStore:
    """`FileStore` in the folder *root*, which is made with the first file. Several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, ctx: Principal, data: bytes) -> str:
        """See `FileStore`; it is on the disk, also its name, when this returns."""
        content_hash = hashlib.sha256(data).hexdigest()
        path = self._make_path(ctx, content_hash)
        with _translate_errors():
            if not path.exists():
                _make_folder(path.parent)
                replace_file(path, data)
        return content_hash

    def get(self, ctx: Principal, content_hash: str) -> bytes:
        """See `FileStore`."""
        with self.open(ctx, content_hash) as file, _translate_errors():
            return file.read()

    def open(self, ctx: Principal, content_hash: str) -> BinaryIO:
        """See `FileStore`."""
        if not _HASH.fullmatch(content_hash):
            raise NotFound("File not found.")
        with _translate_errors():
            try:
                return self._make_path(ctx, content_hash).open("rb")
            except FileNotFoundError as exc:
                raise NotFound("File not found.") from exc

    def delete(self, ctx: Principal, content_hash: str) -> None:
        """See `FileStore`."""
        if _HASH.fullmatch(content_hash):
            with _translate_errors():
                self._make_path(ctx, content_hash).unlink(missing_ok=True)

    def quarantine(self, ctx: Principal, content_hash: str) -> None:
        """See `FileStore`: it goes to `<root>/<tenant>/quarantine`."""
        if not _HASH.fullmatch(content_hash):
            return
        folder = self._make_folder_path(ctx) / _QUARANTINE
        with _translate_errors(), suppress(FileNotFoundError):
            _make_folder(folder)
            self._make_path(ctx, content_hash).replace(folder / content_hash)
            os.utime(folder / content_hash)
            by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in by_age[_MAX_IN_QUARANTINE:]:
                path.unlink(missing_ok=True)

    def list_hashes(self, ctx: Principal) -> Iterator[str]:
        """See `FileStore`. What a process left that was killed while it wrote is removed on the way."""
        with _translate_errors():
            for path in self._make_folder_path(ctx).glob("??/*"):
                if _HASH.fullmatch(path.name):
                    yield path.name
                elif path.name.startswith(UNFINISHED):
                    _remove_if_left(path)

    def _make_path(self, ctx: Principal, content_hash: str) -> Path:
        return self._make_folder_path(ctx) / content_hash[:2] / content_hash

    def _make_folder_path(self, ctx: Principal) -> Path:
        name = _UNSAFE.sub(lambda folder_path: b"%%%02x" % ord(folder_path[0]), ctx.tenant_id.encode())
        return self._root / name.decode()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(f"Not enough disk space: the file could not be kept ({exc.strerror}).") from exc
        raise StoreUnavailable(f"DATA_DIR: the folder of files cannot be used: {exc.strerror}.") from exc


def _make_folder(folder: Path) -> None:
    """Make it and those above it, each on the disk before anything is put into it."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def _remove_if_left(path: Path) -> None:
    try:
        if path.stat().st_mtime < time.time() - _LONGEST_WRITE_S:
            path.unlink()
    except FileNotFoundError:  # it has its name by now
        return
