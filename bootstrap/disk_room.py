"""A start on a full disk waits for room: the system would end the process while it opens the embedded stores."""

import asyncio
import logging

from utils.disk import DiskSpace

logger = logging.getLogger("bootstrap.disk_room")

_POLL_S = 1.0


async def wait_for_room(disk: DiskSpace) -> None:
    """Return once there is room to open the embedded stores; to fail would be to be started again and again."""
    if disk.state() != "full":
        return
    logger.error("Not enough disk space to start: %s Waiting until half of that is free: make room.", disk.describe())
    while disk.state() == "full":
        await asyncio.sleep(_POLL_S)
    logger.info("There is room on the disk: %s Starting.", disk.describe())
