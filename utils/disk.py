"""Room on the disk, checked before anything is written.

A full disk cannot be handled as an error everywhere: a process that writes into a mapped file, as the index's engine
does, is ended by SIGBUS. So a reserve is kept free: documents may not use it, what cannot be refused may.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from utils.errors import NotEnoughSpace

logger = logging.getLogger(__name__)

SpaceState = Literal["ok", "low", "full"]
_RETRY_AFTER = {"Retry-After": "60"}
_POLL_S = 1.0
_MARGIN_BYTES = 1_048_576  # booked ahead of what comes without a size


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system of *folder*, which need not exist yet, and how many bytes of it are kept in reserve.

    It is `low` below the reserve: no document is taken or indexed. It is `full` below half of it: nothing is written.
    A check takes 2 µs.
    """

    folder: Path
    reserve_bytes: int

    def measure_free_bytes(self) -> int:
        """How much this user may still write."""
        nearest = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        status = os.statvfs(nearest)
        return status.f_bavail * status.f_frsize

    def measure_state(self) -> SpaceState:
        """How much is free, as one of three words."""
        free = self.measure_free_bytes()
        return "ok" if free >= self.reserve_bytes else "low" if free >= self.reserve_bytes // 2 else "full"

    def check_documents(self, size_bytes: int = 0) -> None:
        """Raises NotEnoughSpace unless *size_bytes* can be written beside the reserve."""
        if self.measure_free_bytes() - size_bytes < self.reserve_bytes:
            raise NotEnoughSpace(
                "Not enough disk space: no documents are taken or indexed until there is more. Try again later.",
                headers=_RETRY_AFTER,
            )

    def check_turns(self) -> None:
        """Raises NotEnoughSpace if there is no room for what a turn adds to its conversation."""
        if self.measure_state() == "full":
            raise NotEnoughSpace(
                "Not enough disk space: questions are not answered until there is more. Try again later.",
                headers=_RETRY_AFTER,
            )

    async def wait_for_room(self) -> None:
        """Return once something may be written: a start that failed instead would be repeated again and again."""
        if self.measure_state() != "full":
            return
        logger.error(
            "Not enough disk space to start: %s Waiting until half of the reserve is free: make room.", self.describe()
        )
        while self.measure_state() == "full":
            await asyncio.sleep(_POLL_S)
        logger.info("There is room on the disk: %s Starting.", self.describe())

    def describe(self) -> str:
        """How much is free and how much is the reserve, for operators."""
        free, reserve = self.measure_free_bytes() / 1e6, self.reserve_bytes / 1e6
        return f"{free:,.0f} MB are free where {self.folder} is, {reserve:,.0f} MB are the reserve (DISK_RESERVE_MB)."


@dataclass(slots=True)
class Booking:
    """Room for one upload of `tenant`: `written_bytes` of the `booked_bytes` are on the disk."""

    tenant: str
    booked_bytes: int = 0
    written_bytes: int = 0


class UploadSpace:
    """Room on *disk* for uploads under way, all in one event loop: what they have announced is booked before it comes.

    A tenant may book half of the room above the reserve. No upload can use more: what has come is copied once more.
    """

    def __init__(self, disk: DiskSpace) -> None:
        self.disk = disk
        self._under_way: list[Booking] = []

    @contextmanager
    def book(self, tenant: str, announced_bytes: int | None) -> Iterator[Booking]:
        """Room for an upload of this size, None if it is not known, until the end of the block.

        Raises:
            NotEnoughSpace: there is none.
        """
        self.disk.check_documents()
        booking = Booking(tenant)
        self._extend(booking, _MARGIN_BYTES if announced_bytes is None else announced_bytes)
        self._under_way.append(booking)
        try:
            yield booking
        finally:
            self._under_way = [other for other in self._under_way if other is not booking]

    def check_next(self, booking: Booking, size_bytes: int) -> None:
        """To be called before so many bytes more of an upload are written; others may have used up the room meanwhile.

        Raises:
            NotEnoughSpace: they would touch the reserve.
        """
        self.disk.check_documents(size_bytes)
        missing_bytes = booking.written_bytes + size_bytes - booking.booked_bytes
        if missing_bytes > 0:
            self._extend(booking, missing_bytes + _MARGIN_BYTES)
        booking.written_bytes += size_bytes

    def _extend(self, booking: Booking, more_bytes: int) -> None:
        others = [each for each in self._under_way if each is not booking]
        written_bytes = booking.written_bytes + sum(each.written_bytes for each in others)
        room_bytes = self.disk.measure_free_bytes() - self.disk.reserve_bytes + written_bytes
        needed_bytes = booking.booked_bytes + more_bytes
        own_bytes = needed_bytes + sum(each.booked_bytes for each in others if each.tenant == booking.tenant)
        if own_bytes > room_bytes // 2 or needed_bytes + sum(each.booked_bytes for each in others) > room_bytes:
            raise NotEnoughSpace(
                "Not enough disk space: no room for this upload beside those under way. "
                "Send less at once, or try again later.",
                headers=_RETRY_AFTER,
            )
        booking.booked_bytes = needed_bytes


def find_size_bytes(folder: Path) -> int:
    """What the files below *folder* take on the disk; holes in sparse files do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
