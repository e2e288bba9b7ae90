"""Whether whoever asked still may: asked again before a run is resumed."""

import asyncio
import time

from agents.runs.record import RunRecord
from agents.tools.turn import CheckPermission
from auth.principal import Principal
from utils.errors import StoreUnavailable

_PATIENCE_S = 30.0


async def check_again(check: CheckPermission, record: RunRecord) -> Principal:
    """The run's principal with the scopes that it still has; waits a little where that cannot be known.

    Raises:
        Forbidden: it may not ask any more.
        StoreUnavailable: that could not be known for too long.
    """
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await check(record.ctx, *record.needed_scopes)
        except StoreUnavailable:
            if time.monotonic() >= until_s:
                raise
        await asyncio.sleep(1)
