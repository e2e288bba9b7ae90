"""A conversation is read as it was at one moment, also while a run begins another branch of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AnyMessage

from agents.answer_places import AnswerPlaces
from agents.branches import ConversationTurn
from agents.messages import answer_id, make_question_message
from agents.reading import ConversationReader, PageRequest
from bootstrap.valkey import find_valkey
from domain.branches import START
from tests.servers.redis import RedisServer
from tests.utils.checkpointer.test_checkpointer_growth import Conversation
from utils.checkpointer import Connections, FallbackCheckpointer, RedisCheckpointer

THREAD = "a"
READINGS = 200


@pytest.fixture
async def connections(tmp_path: Path) -> AsyncIterator[Connections]:
    with RedisServer(tmp_path, binary=find_valkey()) as server:
        yield Connections(server.url, connect_timeout_s=1, timeout_s=2)


def make_turn(run_id: str) -> list[AnyMessage]:
    return [make_question_message("Where?", run_id), AIMessage("Here.", id=answer_id(run_id))]


async def test_both_versions_of_a_question_and_their_answers_are_found_while_one_takes_the_place_of_the_other(
    connections: Connections,
) -> None:
    saver = RedisCheckpointer(connections, ttl_s=600)
    store = FallbackCheckpointer(saver)
    reader = ConversationReader(store, AnswerPlaces(connections.asynchronous(), ttl_s=600))
    conversation = Conversation(saver)
    versions = [make_turn("first"), make_turn("second")]
    await conversation.put(messages=versions[0], aside=[])

    async def take_turns() -> None:
        while True:
            for shown, other in (versions[::-1], versions):
                await conversation.put(messages=shown, aside=ConversationTurn("", START, other).add_parent())

    writing = asyncio.create_task(take_turns())
    try:
        pages = [await reader.read_page(THREAD, PageRequest(limit=50)) for _ in range(READINGS)]
        answers = [(await reader.answer(THREAD, "first")).answer for _ in range(READINGS)]
    finally:
        writing.cancel()
        await store.aclose()
    seen = {tuple(sorted(page["messages"][0]["siblings"])) for page in pages if page["total"]}
    assert seen - {("first",)} == {("first", "second")}
    assert {page["total"] for page in pages} == {2}
    assert {answer["run_id"] for answer in answers} == {"first"}
