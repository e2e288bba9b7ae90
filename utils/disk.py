"""Room on the disk, asked for before anything is written that needs it.

A full disk is no error that can be handled everywhere: whoever writes into a mapped file, as the index's engine does,
is ended by SIGBUS. So some room is kept: documents stop where it begins, and the rest is for those who cannot stop.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from utils.errors import NotEnoughSpace

SpaceState = Literal["ok", "low", "full"]
_AGAIN = {"Retry-After": "60"}


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system that *folder* is on, or will be, and how many bytes of it are kept in reserve.

    It is `low` below the reserve: no document is taken or indexed. It is `full` below half of it: nothing is written.
    Asking takes 2 µs.
    """

    folder: Path
    reserve_bytes: int

    def free_bytes(self) -> int:
        """How much this user may still write."""
        nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        found = os.statvfs(nearest)
        return found.f_bavail * found.f_frsize

    def state(self) -> SpaceState:
        """How it stands."""
        free = self.free_bytes()
        return "ok" if free >= self.reserve_bytes else "low" if free >= self.reserve_bytes // 2 else "full"

    def check_documents(self, size_bytes: int = 0) -> None:
        """Raises NotEnoughSpace unless *size_bytes* can be written beside the reserve."""
        if self.free_bytes() - size_bytes < self.reserve_bytes:
            raise NotEnoughSpace(
                "Not enough disk space: no documents are taken or indexed until there is more. Try again later.",
                headers=_AGAIN,
            )

    def check_turns(self) -> None:
        """Raises NotEnoughSpace if not even what a turn adds to its conversation could be kept."""
        if self.state() == "full":
            raise NotEnoughSpace(
                "Not enough disk space: questions are not answered until there is more. Try again later.",
                headers=_AGAIN,
            )

    def describe(self) -> str:
        """How much is free and how much should be, for operators."""
        free, reserve = self.free_bytes() / 1e6, self.reserve_bytes / 1e6
        return f"{free:,.0f} MB are free where {self.folder} is, {reserve:,.0f} MB are the reserve (DISK_RESERVE_MB)."


def find_size_bytes(folder: Path) -> int:
    """What the files below *folder* take on the disk, without the holes in them."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
