"""Every way in which Redis can be away, and that what was held in memory is there when it is back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from agents.leases import Leases
from tests.servers.redis import RedisServer
from tests.utils.checkpointer.chats import TENANTS, Chat, texts, turns
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer
from utils.errors import StoreUnavailable

USER, PASSWORD = "app", "secret"


@pytest.fixture
async def primary(breakable: RedisServer) -> AsyncIterator[RedisCheckpointer]:
    """A saver with a user of its own, so that its rights can be taken."""
    breakable.run("ACL SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
    url = breakable.url_of(user=USER, password=PASSWORD)
    saver = RedisCheckpointer.from_url(url, ttl_s=600, connect_timeout_s=0.2, timeout_s=0.2)
    yield saver
    await saver.aclose()


@pytest.fixture
def saver(primary: RedisCheckpointer) -> FallbackCheckpointer:
    """Tries Redis again at once, so that no test has to wait."""
    return FallbackCheckpointer(primary, retry_s=0)


@pytest.fixture
async def clients(breakable: RedisServer) -> AsyncIterator[Connections]:
    """For leases, ours and another worker's."""
    made = Connections(breakable.url)
    yield made
    await made.aclose()


@pytest.fixture
async def leases(clients: Connections) -> Leases:
    return Leases(clients.asynchronous(), hold_s=60, wait_s=1, retry_s=0)


@pytest.fixture
def chat(saver: FallbackCheckpointer) -> Chat:
    return Chat(saver)


async def stored(server: RedisServer, thread_id: str) -> list[str]:
    """What another process finds of a conversation."""
    other = RedisCheckpointer.from_url(server.url, ttl_s=600)
    try:
        return await texts(other, thread_id)
    finally:
        await other.aclose()


def killed(server: RedisServer) -> None:
    server.kill()


def started(server: RedisServer) -> None:
    server.start()
    server.run("ACL SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")


def without_rights(server: RedisServer) -> None:
    server.run("ACL SETUSER", USER, "-evalsha", "-eval", "-set")


def with_rights(server: RedisServer) -> None:
    server.run("ACL SETUSER", USER, "+@all")


def with_another_password(server: RedisServer) -> None:
    server.run("ACL SETUSER", USER, "resetpass", ">another")
    server.run("CLIENT", "KILL", "USER", USER)


def with_the_password(server: RedisServer) -> None:
    server.run("ACL SETUSER", USER, "resetpass", f">{PASSWORD}")


def full(server: RedisServer) -> None:
    server.client.config_set("maxmemory", "1mb")


def emptied(server: RedisServer) -> None:
    server.client.config_set("maxmemory", "0")


OUTAGES: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], None]]] = {
    "killed": (killed, started),
    "paused": (RedisServer.pause, RedisServer.resume),
    "rights taken": (without_rights, with_rights),
    "password changed": (with_another_password, with_the_password),
    "full": (full, emptied),
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_what_was_said_meanwhile_is_written_without_another_turn(
    outage: str, chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    leave, come_back = OUTAGES[outage]
    for tenant in TENANTS:
        await chat.say(f"before {tenant}", f"{tenant}a")
    leave(breakable)
    for tenant in TENANTS:
        await chat.say(f"during {tenant}", f"{tenant}a")
        held = await chat.say(f"still {tenant}", f"{tenant}a")
        assert held[-4:] == turns(f"during {tenant}", f"still {tenant}")
    assert await saver.probe() == saver.persistence_of("acme.a") == "memory"
    assert await saver.return_held() == 0
    come_back(breakable)
    assert await saver.return_held() == 2
    assert (saver.persistence, saver.held_conversations) == ("redis", 0)
    for tenant in TENANTS:
        assert saver.persistence_of(f"{tenant}a") == "redis"
        expected = turns(f"before {tenant}", f"during {tenant}", f"still {tenant}")
        assert await stored(breakable, f"{tenant}a") == expected
        assert await chat.say("after", f"{tenant}a") == [*expected, *turns("after")]
    assert await saver.return_held() == 0


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_turn_in_whose_middle_it_happens_ends_and_is_written(
    outage: str, chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    leave, come_back = OUTAGES[outage]
    await chat.say("before", "a")
    await chat.say("theirs", "acme.a")

    async def outage_now() -> None:
        leave(breakable)

    chat.during_answer = outage_now
    assert await chat.say("during") == turns("before", "during")
    assert saver.persistence_of("a") == "memory"
    come_back(breakable)
    assert await saver.return_held() == 1
    assert await stored(breakable, "a") == turns("before", "during")
    assert await stored(breakable, "acme.a") == turns("theirs")


async def test_redis_that_comes_only_after_the_service_is_found(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    breakable.kill()
    assert await saver.probe() == "memory"
    await chat.say("first")
    started(breakable)
    assert await saver.probe() == "redis"
    assert await saver.return_held() == 1
    assert await stored(breakable, "a") == turns("first")


async def test_redis_that_comes_back_empty_gets_what_memory_holds(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    await chat.say("lost")
    await chat.say("lost, too", "acme.a")

    async def forget_everything() -> None:
        breakable.kill()
        breakable.lose_data()

    chat.during_answer = forget_everything
    await chat.say("kept", "a")
    started(breakable)
    assert await saver.return_held() == 1
    assert await stored(breakable, "a") == turns("lost", "kept")  # a turn under way knows the whole conversation
    assert await texts(saver, "acme.a") == []
    chat.during_answer = Chat(saver).during_answer
    assert await chat.say("anew", "acme.a") == turns("anew")
    assert await chat.say("on", "a") == turns("lost", "kept", "on")


async def test_a_turn_that_goes_on_over_an_emptied_redis_keeps_its_conversation(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    await chat.say("one")

    async def empty_it() -> None:
        breakable.client.flushall()

    chat.during_answer = empty_it
    assert await chat.say("two") == turns("one", "two")
    assert await stored(breakable, "a") == turns("one", "two")
    assert saver.persistence_of("a") == "redis"


async def test_outages_one_after_the_other_lose_nothing(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    said = []
    for number in range(4):
        breakable.kill()
        await chat.say(f"{number} without", "acme.a")
        started(breakable)
        await saver.return_held()
        await chat.say(f"{number} with", "acme.a")
        said += [f"{number} without", f"{number} with"]
    assert await stored(breakable, "acme.a") == turns(*said)


async def test_a_redis_that_cannot_be_written_to_is_not_taken_for_back(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    full(breakable)
    await chat.say("one")
    assert await breakable_exists(breakable) is False  # it answers a question
    assert [await saver.probe() for _ in range(3)] == ["memory"] * 3


async def breakable_exists(server: RedisServer) -> bool:
    return bool(server.client.exists("checkpoint:a"))


async def test_a_conversation_is_not_written_back_while_its_turn_is_under_way(
    primary: RedisCheckpointer, breakable: RedisServer, leases: Leases
) -> None:
    saver = FallbackCheckpointer(primary, retry_s=0, leases=leases)
    chat = Chat(saver)
    breakable.kill()
    await chat.say("held", "acme.a")

    async def redis_comes_back() -> None:
        started(breakable)
        assert await saver.return_held() == 1  # the other one
        assert await stored(breakable, "acme.a") == turns("held")
        assert saver.persistence_of("a") == "memory"

    chat.during_answer = redis_comes_back
    async with leases.hold("a"):
        assert await chat.say("hello") == turns("hello")
    assert await saver.return_held() == 1
    assert await stored(breakable, "a") == turns("hello")


async def test_a_conversation_in_which_another_worker_has_a_turn_waits(
    primary: RedisCheckpointer, breakable: RedisServer, leases: Leases, clients: Connections
) -> None:
    saver = FallbackCheckpointer(primary, retry_s=0, leases=leases)
    breakable.kill()
    await Chat(saver).say("mine")
    started(breakable)
    async with Leases(clients.asynchronous(), hold_s=60, wait_s=1).hold("a"):
        assert await saver.return_held() == 0
        assert await texts(saver) == turns("mine")  # looking at it does not move it either
        assert saver.persistence_of("a") == "memory"
    assert await saver.return_held() == 1
    assert await stored(breakable, "a") == turns("mine")


async def test_what_redis_has_in_a_foreign_form_stays_and_keeps_no_other_from_returning(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    breakable.client.set("state:{checkpoint:a}", "somebody else's", ex=600)
    breakable.kill()
    await chat.say("one")
    await chat.say("two", "acme.a")
    started(breakable)
    assert [await saver.return_held() for _ in range(3)] == [1, 0, 0]
    assert await stored(breakable, "acme.a") == turns("two")
    assert breakable.client.get("state:{checkpoint:a}") == b"somebody else's"
    assert sum("stays in memory" in record.message for record in caplog.records) == 1


async def test_a_deleted_conversation_does_not_return(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    await chat.say("kept", "acme.a")
    for moment_ms in range(0, 16, 2):
        breakable.kill()
        for number in range(3):
            await chat.say(f"{number}")
        started(breakable)
        returning = asyncio.create_task(saver.return_held())
        await asyncio.wait([returning], timeout=moment_ms / 1000)
        await saver.adelete_thread("a")
        await returning
        assert await stored(breakable, "a") == []
        assert await texts(saver, "a") == []
    assert await stored(breakable, "acme.a") == turns("kept")


async def test_a_return_that_is_cut_short_is_finished_by_the_next(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    breakable.kill()
    for number in range(3):
        await chat.say(f"{number}", "acme.a")
    started(breakable)
    for steps in range(1, 40):
        returning = asyncio.create_task(saver.return_held())
        for _ in range(steps):
            await asyncio.sleep(0)
        returning.cancel()
        await asyncio.gather(returning, return_exceptions=True)
    while saver.held_conversations:
        await saver.return_held()
    assert await stored(breakable, "acme.a") == turns("0", "1", "2")


async def test_returning_takes_no_longer_than_it_may(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    breakable.kill()
    for number in range(8):
        await chat.say("hello", f"acme.{number}")
    started(breakable)
    assert await saver.return_held(within_s=0) == 1
    assert saver.held_conversations == 7
    assert await saver.return_held() == 7


async def test_turns_of_many_are_served_at_once_while_redis_hangs(
    primary: RedisCheckpointer, breakable: RedisServer
) -> None:
    saver = FallbackCheckpointer(primary, retry_s=60)
    chat = Chat(saver)
    breakable.pause()
    began = time.monotonic()
    await asyncio.gather(*(chat.say("hello", f"{tenant}{n}") for tenant in TENANTS for n in range(40)))
    assert time.monotonic() - began < 5
    breakable.resume()


async def test_deleting_while_redis_is_away_is_refused_and_keeps_what_is_held(
    chat: Chat, saver: FallbackCheckpointer, breakable: RedisServer
) -> None:
    breakable.kill()
    await chat.say("hello", "acme.a")
    with pytest.raises(StoreUnavailable):
        await saver.adelete_thread("acme.a")
    assert await texts(saver, "acme.a") == turns("hello")
