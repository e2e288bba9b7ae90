"""A start on a full disk: it waits for room, where it would be ended while it opens what it keeps."""

import asyncio
import logging

from utils.disk import DiskSpace

logger = logging.getLogger("bootstrap.disk_room")

_LOOK_S = 1.0


async def wait_for_room(disk: DiskSpace, *, every_s: float = _LOOK_S) -> None:
    """Return once there is room to open the embedded stores. A process manager would start us again and again."""
    if disk.state() != "full":
        return
    logger.error("Not enough disk space to start: %s Waiting until half of that is free: make room.", disk.describe())
    while disk.state() == "full":
        await asyncio.sleep(every_s)
    logger.info("There is room on the disk: %s Starting.", disk.describe())
