"""`soak.py` with small numbers: nothing that was acknowledged is lost, doubled or out of order."""

from pathlib import Path

from tests.servers.redis import RedisServer
from tests.utils.checkpointer.soak import kill_redis, kill_workers


def test_turns_outlive_the_workers_that_took_them(breakable: RedisServer, tmp_path: Path) -> None:
    told = kill_workers(breakable, tmp_path, conversations=12, workers=2, turns_each=8, kills=2)
    assert told.kills == 2
    assert told.acknowledged >= 12 * 8 - 2 * 6  # each that died had so many under way


async def test_turns_outlive_a_redis_that_is_killed_under_them(breakable: RedisServer) -> None:
    told = await kill_redis(breakable, conversations=4, kills=4)
    assert told.acknowledged >= 2 * 4
