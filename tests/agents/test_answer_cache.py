"""Answers to first questions that are given again, and when they must not be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from agents.answer_cache import AnswerCache, AnswerCacheSession, normalise
from agents.bots import BotConfig
from agents.messages import answer_id, repeat_answer
from auth.principal import Principal
from domain.db import Database
from domain.documents import replace_document
from tests.domain.records import ACME, GLOBEX, content, two_tenants

QUESTION = "When does the office open?"
BOT = BotConfig()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = two_tenants(f"sqlite:///{tmp_path / 'app.db'}")
    yield made
    made.close()


@pytest.fixture
async def cache(database: Database) -> AsyncIterator[AnswerCache]:
    async def is_deleted(thread_id: str) -> bool:
        return False

    made = AnswerCache(database, size=10, ttl_s=3600, is_deleted=is_deleted)
    yield made
    made.close()


async def answered(cache: AnswerCache, ctx: Principal, question: str, text: str = "At eight [1].") -> None:
    """A turn that found nothing kept, and keeps its answer."""
    turn = cache.open_session(ctx, BOT, "a")
    assert await turn.find(question) is None
    turn.keep(AIMessage(text, id="first", additional_kwargs={"answered": True, "citations": [{"number": 1}]}))


async def test_the_same_first_question_gets_the_same_answer_as_a_message_of_its_own(cache: AnswerCache) -> None:
    await answered(cache, ACME, QUESTION)
    found = await cache.open_session(ACME, BOT, "a").find("  when does the OFFICE open ")
    assert found is not None
    message = repeat_answer(found, "run2")
    assert (message.text, message.id) == ("At eight [1].", answer_id("run2"))
    assert message.additional_kwargs["citations"] == [{"number": 1}]
    assert message.additional_kwargs["cached"] is True
    message.additional_kwargs["citations"].clear()
    again = await cache.open_session(ACME, BOT, "a").find(QUESTION)
    assert again is not None
    assert again.additional_kwargs["citations"] == [{"number": 1}]


async def test_a_turn_that_was_worse_than_it_could_be_is_not_kept(cache: AnswerCache) -> None:
    turn = cache.open_session(ACME, BOT, "a")
    await turn.find(QUESTION)
    turn.forget()
    turn.keep(AIMessage("At eight [1]."))
    assert len(cache.answers) == 0


async def test_another_tenant_never_gets_it(cache: AnswerCache) -> None:
    await answered(cache, ACME, QUESTION)
    assert await cache.open_session(GLOBEX, BOT, "a").find(QUESTION) is None
    await answered(cache, GLOBEX, QUESTION, "At nine [1].")
    found = await cache.open_session(ACME, BOT, "a").find(QUESTION)
    assert found is not None
    assert found.text == "At eight [1]."


@pytest.mark.parametrize(
    "other", [BotConfig("helper", 1), BotConfig("default", 1)], ids=["another bot", "its next version"]
)
async def test_another_bot_never_gets_it(cache: AnswerCache, other: BotConfig) -> None:
    await answered(cache, ACME, QUESTION)
    assert await cache.open_session(ACME, other, "a").find(QUESTION) is None


async def test_a_changed_document_ends_it_for_its_tenant_alone(cache: AnswerCache, database: Database) -> None:
    await answered(cache, ACME, QUESTION)
    await answered(cache, GLOBEX, QUESTION)
    with database.open_write_session() as session:
        replace_document(session, ACME, "/a", content("The office opens at nine."))
    async with asyncio.timeout(5):
        while await cache.open_session(ACME, BOT, "a").find(QUESTION):
            await asyncio.sleep(0.05)
    assert await cache.open_session(GLOBEX, BOT, "a").find(QUESTION) is not None


async def test_an_answer_is_kept_under_the_documents_from_before_it_was_searched_for(
    cache: AnswerCache, database: Database
) -> None:
    turn = cache.open_session(ACME, BOT, "a")
    before = await cache.make_key(ACME, BOT.key, QUESTION)
    await turn.find(QUESTION)
    with database.open_write_session() as session:
        replace_document(session, ACME, "/a", content("The office opens at nine."))
    async with asyncio.timeout(5):
        while await cache.make_key(ACME, BOT.key, QUESTION) == before:
            await asyncio.sleep(0.05)
    turn.keep(AIMessage("At eight [1]."))
    assert await cache.open_session(ACME, BOT, "a").find(QUESTION) is None


async def test_a_crowd_asks_the_database_once(cache: AnswerCache, database: Database) -> None:
    reads = 0
    read = cache._read

    def counted(ctx: Principal) -> str:
        nonlocal reads
        reads += 1
        return read(ctx)

    cache._read = counted  # type: ignore[method-assign] # to count, not to replace
    await asyncio.gather(*(cache.open_session(ACME, BOT, "a").find(f"question {n}") for n in range(50)))
    assert reads == 1


async def test_while_the_database_is_away_nothing_is_found_and_nothing_fails(
    cache: AnswerCache, database: Database, tmp_path: Path
) -> None:
    database.close()
    for file in tmp_path.iterdir():
        file.unlink()
    turn = cache.open_session(ACME, BOT, "a")
    assert await turn.find(QUESTION) is None
    turn.keep(AIMessage("At eight [1]."))
    assert len(cache.answers) == 0


async def test_a_turn_that_did_not_ask_or_has_no_cache_keeps_nothing(cache: AnswerCache) -> None:
    cache.open_session(ACME, BOT, "a").keep(AIMessage("x"))
    assert len(cache.answers) == 0
    assert await AnswerCacheSession().find(QUESTION) is None
    AnswerCacheSession().keep(AIMessage("x"))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Berapa UKT?", "berapa  ukt", True),
        ("¿Cuánto cuesta?", "cuánto cuesta", True),
        ("\uff35\uff2b\uff34", "ukt", True),
        ("Is C++ taught?", "Is C taught?", False),
        ("How much is 1.5?", "How much is 15?", False),
        ("cuánto", "cuanto", False),
    ],
)
def test_questions_are_equal_when_they_mean_the_same(one: str, other: str, equal: bool) -> None:
    assert (normalise(one) == normalise(other)) is equal


async def test_an_answer_ends_with_the_conversation_it_was_first_given_in(database: Database) -> None:
    deleted: set[str] = set()

    async def is_deleted(thread_id: str) -> bool:
        return thread_id in deleted

    cache = AnswerCache(database, size=10, ttl_s=3600, is_deleted=is_deleted)
    try:
        for ctx, thread_id in ((ACME, "acme.one.a"), (GLOBEX, "globex.one.a")):
            turn = cache.open_session(ctx, BOT, thread_id)
            assert await turn.find(QUESTION) is None
            turn.keep(AIMessage("At eight [1]."))
        deleted.add("acme.another.a")
        assert await cache.open_session(ACME, BOT, "acme.one.b").find(QUESTION) is not None
        deleted.add("acme.one.a")
        assert await cache.open_session(ACME, BOT, "acme.one.b").find(QUESTION) is None
        assert len(cache.answers) == 1
        assert await cache.open_session(GLOBEX, BOT, "globex.one.b").find(QUESTION) is not None
        cache.forget("globex.one.a")
        assert await cache.open_session(GLOBEX, BOT, "globex.one.b").find(QUESTION) is None
    finally:
        cache.close()
