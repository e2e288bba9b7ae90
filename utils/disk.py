"""Room on the disk, checked before anything is written.

A full disk cannot be handled as an error everywhere: a process that writes into a mapped file, as the index's engine
does, is ended by SIGBUS. So a reserve is kept free: documents may not use it, what cannot be refused may.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from utils.errors import NotEnoughSpace

SpaceState = Literal["ok", "low", "full"]
_RETRY_AFTER = {"Retry-After": "60"}


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system of *folder*, which need not exist yet, and how many bytes of it are kept in reserve.

    It is `low` below the reserve: no document is taken or indexed. It is `full` below half of it: nothing is written.
    A check takes 2 µs.
    """

    folder: Path
    reserve_bytes: int

    def free_bytes(self) -> int:
        """How much this user may still write."""
        nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        status = os.statvfs(nearest)
        return status.f_bavail * status.f_frsize

    def state(self) -> SpaceState:
        """How much is free, as one of three words."""
        free = self.free_bytes()
        return "ok" if free >= self.reserve_bytes else "low" if free >= self.reserve_bytes // 2 else "full"

    def check_documents(self, size_bytes: int = 0) -> None:
        """Raises NotEnoughSpace unless *size_bytes* can be written beside the reserve."""
        if self.free_bytes() - size_bytes < self.reserve_bytes:
            raise NotEnoughSpace(
                "Not enough disk space: no documents are taken or indexed until there is more. Try again later.",
                headers=_RETRY_AFTER,
            )

    def check_turns(self) -> None:
        """Raises NotEnoughSpace if there is no room for what a turn adds to its conversation."""
        if self.state() == "full":
            raise NotEnoughSpace(
                "Not enough disk space: questions are not answered until there is more. Try again later.",
                headers=_RETRY_AFTER,
            )

    def describe(self) -> str:
        """How much is free and how much is the reserve, for operators."""
        free, reserve = self.free_bytes() / 1e6, self.reserve_bytes / 1e6
        return f"{free:,.0f} MB are free where {self.folder} is, {reserve:,.0f} MB are the reserve (DISK_RESERVE_MB)."


def find_size_bytes(folder: Path) -> int:
    """What the files below *folder* take on the disk; holes in sparse files do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
