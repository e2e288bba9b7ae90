"""`soak.py` with small numbers: nothing that was acknowledged is lost, doubled or out of order."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from tests.servers.redis import RedisServer
from tests.utils.checkpointer.chats import TENANTS, Chat, texts, turns
from tests.utils.checkpointer.soak import kill_redis, kill_workers
from utils.checkpointer import FallbackCheckpointer, RedisCheckpointer

pytestmark = pytest.mark.long


def test_turns_outlive_the_workers_that_took_them(breakable: RedisServer, tmp_path: Path) -> None:
    told = kill_workers(breakable, tmp_path, conversations=12, workers=2, turns_each=8, kills=2)
    assert told.kills == 2
    assert told.acknowledged >= 12 * 8 - 2 * 6  # each that died had so many under way


async def test_turns_outlive_a_redis_that_is_killed_under_them(breakable: RedisServer) -> None:
    told = await kill_redis(breakable, conversations=4, kills=4)
    assert told.acknowledged >= 2 * 4


async def test_a_turn_that_could_not_read_its_past_does_not_take_its_place(breakable: RedisServer) -> None:
    class BackInTime(FallbackCheckpointer):
        """Redis is away when the turn reads, and answers when it writes."""

        async def aput(self, config: RunnableConfig, *args: Any) -> RunnableConfig:
            breakable.start()
            return await super().aput(config, *args)

    saver = BackInTime(RedisCheckpointer.from_url(breakable.url, ttl_s=600), retry_s=0)
    chat = Chat(saver)
    for thread_id in [f"{tenant}a" for tenant in TENANTS]:
        await chat.say("before", thread_id)
        breakable.kill()
        await chat.say("during", thread_id)
        await saver.return_held()
        assert await texts(saver, thread_id) == turns("before", "during")
        assert await chat.say("after", thread_id) == turns("before", "during", "after")
    await saver.aclose()


async def test_a_turn_after_a_return_that_broke_off_does_not_end_it(breakable: RedisServer) -> None:
    class Dying(RedisCheckpointer):
        """Redis dies when the first checkpoint has returned to it, once."""

        deaths = 0

        async def arestore(self, *args: Any) -> None:
            await super().arestore(*args)
            if self.deaths:
                self.deaths -= 1
                breakable.kill()

    primary = Dying.from_url(breakable.url, ttl_s=600, connect_timeout_s=0.5, timeout_s=0.5)
    assert isinstance(primary, Dying)
    saver = FallbackCheckpointer(primary, retry_s=0)
    chat = Chat(saver)
    for thread_id in [f"{tenant}a" for tenant in TENANTS]:
        await chat.say("before", thread_id)
        breakable.kill()
        await chat.say("during", thread_id)
        breakable.start()
        primary.deaths = 1
        assert await saver.return_held() == 0
        await chat.say("after", thread_id)
        breakable.start()
        assert await saver.return_held() == 1
        assert await texts(primary, thread_id) == turns("before", "during", "after")
    await saver.aclose()
