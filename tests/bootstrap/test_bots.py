"""How bots answer is asked of the database at each turn; while it is away, what it last said holds."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from agents.bots import BotConfig
from auth.principal import Principal
from bootstrap.bots import StoredBots
from domain import bots
from domain.bots import BotAnswers
from domain.db import Database
from tests.domain.records import ACME, GLOBEX
from tests.domain.test_lists import statements
from utils.errors import Conflict, NotFound, StoreUnavailable

BY_SETTINGS = BotConfig(institution="by the settings")


@pytest.fixture
def directory(database: Database) -> Iterator[StoredBots]:
    """The bot `guide` in two tenants, known to a process."""
    with closing(StoredBots(database, BY_SETTINGS)) as opened:
        for ctx in (ACME, GLOBEX):
            with database.open_write_session() as session:
                bots.create_bot(session, ctx, "guide", "Guide", BotAnswers(institution=ctx.tenant_id))
        yield opened


def change(database: Database, ctx: Principal = ACME, bot_id: str = "guide", **changed: Any) -> None:
    with database.open_write_session() as session:
        bots.change_bot(session, ctx, bot_id, **changed)


def remove(database: Database, bot_id: str = "guide") -> None:
    with database.open_write_session() as session:
        bots.remove_bot(session, ACME, bot_id)


@contextmanager
def without_bots(database: Database) -> Iterator[None]:
    """The database does not say how bots answer, to the end of the block."""
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE bots RENAME TO bots_elsewhere"))
    yield
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE bots_elsewhere RENAME TO bots"))


async def ask(directory: StoredBots, ctx: Principal = ACME, bot_id: str = "guide") -> str:
    """Whose documents the bot says it answers from, or why it does not."""
    try:
        return (await directory.get(ctx.with_bot(bot_id))).institution
    except (NotFound, Conflict, StoreUnavailable) as refusal:
        return type(refusal).__name__


async def test_a_change_holds_for_the_next_turn_of_its_tenant_alone(database: Database, directory: StoredBots) -> None:
    assert [await ask(directory, ctx) for ctx in (ACME, GLOBEX)] == ["acme", "globex"]
    change(database, answers=BotAnswers(institution="changed"))
    assert [await ask(directory, ctx) for ctx in (ACME, GLOBEX)] == ["changed", "globex"]
    change(database, is_enabled=False)
    assert [await ask(directory, ctx) for ctx in (ACME, GLOBEX)] == ["Conflict", "globex"]
    remove(database)
    assert [await ask(directory, ctx) for ctx in (ACME, GLOBEX)] == ["NotFound", "globex"]


async def test_a_run_goes_on_with_its_version_also_of_a_bot_that_is_removed(
    database: Database, directory: StoredBots
) -> None:
    change(database, answers=BotAnswers(institution="changed"))
    remove(database)
    guide = ACME.with_bot("guide")
    assert [(await directory.get(guide, version)).institution for version in (1, 2)] == ["acme", "changed"]
    with pytest.raises(NotFound):
        await directory.get(guide, 3)
    with pytest.raises(NotFound):
        await directory.get(GLOBEX.with_bot("guide"), 2)


async def test_while_the_database_is_away_what_it_last_said_of_a_bot_holds(
    database: Database, directory: StoredBots
) -> None:
    for bot_id in ("off", "gone", "default"):
        with database.open_write_session() as session:
            bots.create_bot(session, ACME, bot_id, bot_id, BotAnswers(institution=bot_id))
        assert await ask(directory, bot_id=bot_id) == bot_id
    change(database, bot_id="off", is_enabled=False)
    remove(database, "gone")
    remove(database, "default")
    expected = {"guide": "acme", "off": "Conflict", "gone": "NotFound", "default": "by the settings"}
    assert {bot_id: await ask(directory, bot_id=bot_id) for bot_id in expected} == expected
    with without_bots(database):
        for _ in range(2):
            assert {bot_id: await ask(directory, bot_id=bot_id) for bot_id in expected} == expected
        assert await ask(directory, bot_id="unknown") == "StoreUnavailable"
        assert await ask(directory, GLOBEX) == "StoreUnavailable"
        assert await ask(directory, GLOBEX, "default") == "by the settings"


async def test_questions_about_bots_that_never_were_push_no_other_out_of_what_is_known(
    database: Database, directory: StoredBots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.bots._MAX_KEPT", 2)
    with closing(StoredBots(database, BY_SETTINGS)) as small:
        assert await ask(small) == "acme"
        for number in range(3):
            assert await ask(small, bot_id=f"never-{number}") == "NotFound"
        with without_bots(database):
            assert await ask(small) == "acme"


async def test_a_turn_with_a_bot_that_is_known_reads_one_row(database: Database, directory: StoredBots) -> None:
    assert await ask(directory) == "acme"
    with statements(database) as asked:
        assert await ask(directory) == "acme"
    assert len([statement for statement, _ in asked if "bot" in statement]) == 1


def test_a_change_that_changes_nothing_does_not_count_as_one(database: Database, directory: StoredBots) -> None:
    def read_moment() -> Any:
        with database.open_read_session() as session:
            return bots.get_bot(session, ACME, "guide").bot.updated_at

    made_at = read_moment()
    change(database, name="Guide", is_enabled=True, answers=BotAnswers(institution="acme"))
    change(database)
    assert read_moment() == made_at
    change(database, name="Other")
    assert read_moment() > made_at


async def test_turns_that_begin_together_share_a_read(database: Database, directory: StoredBots) -> None:
    assert await ask(directory) == "acme"
    with statements(database) as asked:
        said = await asyncio.gather(*(ask(directory, ctx) for ctx in (ACME, GLOBEX) * 20))
    assert said == ["acme", "globex"] * 20
    assert len([statement for statement, _ in asked if "FROM bots" in statement]) == 2


async def test_a_turn_does_not_take_what_was_read_before_it_began(database: Database, directory: StoredBots) -> None:
    assert await ask(directory) == "acme"
    with held_reads(database) as (reached, go_on):
        early = asyncio.create_task(ask(directory))
        await asyncio.to_thread(reached.wait, 10)
        change(database, answers=BotAnswers(institution="changed"))
        late = asyncio.create_task(ask(directory))
        await asyncio.sleep(0)  # it has asked
        go_on.set()
        assert [await early, await late] == ["acme", "changed"]


async def test_a_database_that_hangs_is_away(database: Database, directory: StoredBots) -> None:
    assert await ask(directory) == "acme"
    with held_reads(database) as (reached, _):
        assert await asyncio.gather(*(ask(directory) for _ in range(3))) == ["acme"] * 3
        assert await ask(directory, GLOBEX) == "StoreUnavailable"
        assert reached.is_set()
    while database.engine.pool.checkedout():  # type: ignore[attr-defined] # until the one that hung has ended
        await asyncio.sleep(0.01)


@contextmanager
def held_reads(database: Database) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Whoever has read about bots waits for the second event; the first one says that somebody does."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM bots" in statement and threading.current_thread().name.startswith("bots"):
            reached.set()
            go_on.wait(10)

    event.listen(database.engine, "after_cursor_execute", hold)
    try:
        yield reached, go_on
    finally:
        go_on.set()
        event.remove(database.engine, "after_cursor_execute", hold)
