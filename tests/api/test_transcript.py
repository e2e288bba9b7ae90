"""What SQL keeps of conversations, on a running service: two tenants use the same ids."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from redis import Redis
from sqlalchemy import func

from bootstrap.valkey import read_publication
from domain.db import Database
from domain.db_opening import open_database
from domain.models import Conversation, Turn, now
from domain.scoping import select_everywhere, update_everywhere
from tests.service import Service, ask, await_knowledge, one_document

QUESTION = "How much does a dormitory room cost?"
HOSTILE = "How much is a room \u202eesrever, <b>'; DROP TABLE messages;-- %_\\ \U0001f600?"


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("transcript")
    variables = {"RATE_LIMIT_ENABLED": "false", "TRANSCRIPT_RETENTION_DAYS": "30"}
    with Service(folder / "data", **one_document(folder), **variables) as running:
        await_knowledge(running, QUESTION)
        yield running


@pytest.fixture(scope="module")
def globex_key(talking: Service) -> str:
    return talking.new_key("globex", scopes=["all"])


@pytest.fixture
def clients(talking: Service, globex_key: str) -> Iterator[list[httpx.Client]]:
    """One of the default tenant, and one of another."""
    with talking.client() as default, talking.client(globex_key) as globex:
        yield [default, globex]


@pytest.fixture
def records(talking: Service) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{talking.data_dir / 'pustaka.db'}")) as database:
        yield database


def turns(records: Database, conversation_id: str) -> list[Turn]:
    """All turns of that id, of whichever tenant, in order."""
    with records.open_read_session() as session:
        wanted = select_everywhere(Turn).where(Turn.conversation_id == conversation_id)
        return list(session.scalars(wanted.order_by(Turn.tenant_id, Turn.sequence)))


def await_turns(service: Service, records: Database, conversation_id: str, count: int) -> list[Turn]:
    service.wait_for(lambda: len(turns(records, conversation_id)) >= count)
    return turns(records, conversation_id)


def test_a_turn_comes_to_sql_once_with_all_that_was_told_of_it(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    told = [ask(client, QUESTION, "told").json() for client in clients]
    kept = await_turns(talking, records, "told", 2)
    assert [turn.tenant_id for turn in kept] == ["default", "globex"]
    for turn, answer in zip(kept, told, strict=True):
        assert (turn.run_id, turn.question, turn.answer) == (answer["run_id"], QUESTION, answer["answer"])
        assert (turn.status, turn.language, turn.tool_calls) == ("completed", "en", [])
        assert turn.is_refusal is not answer["answered"]
        places = [(one["document_id"], one["version"], one["start"], one["end"]) for one in turn.citations]
        assert places == [(one["document_id"], one["version"], one["start"], one["end"]) for one in answer["citations"]]
        assert turn.asked_at <= turn.ended_at
    with records.open_read_session() as session:
        found = session.scalars(select_everywhere(Conversation).where(Conversation.conversation_id == "told"))
        described = {(one.tenant_id, one.owner_id, one.bot_id, one.channel, one.title) for one in found}
    assert described == {
        ("default", "", "default", "api", QUESTION),
        ("globex", "", "default", "api", QUESTION),
    }


def test_hostile_and_long_texts_are_kept_as_they_were_said(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    long = ("How much does a dormitory room cost, and why? " * 120)[:5000]
    for client in clients:
        for question in (HOSTILE, long):
            assert ask(client, question, "hostile").status_code == 200
    kept = await_turns(talking, records, "hostile", 4)
    assert [turn.question for turn in kept] == [HOSTILE, long] * 2
    with records.open_read_session() as session:
        titles = set(
            session.scalars(
                select_everywhere(Conversation)
                .with_only_columns(Conversation.title)
                .where(Conversation.conversation_id == "hostile")
            )
        )
    assert titles == {HOSTILE}


@pytest.mark.parametrize("question", ["a\0b", "a\ud800b"])
def test_a_question_that_cannot_be_kept_is_refused_before_it_is_answered(
    records: Database, clients: list[httpx.Client], question: str
) -> None:
    for client in clients:
        body = json.dumps({"message": question, "session_id": "unstorable"})
        sent = client.post("/v1/chat", content=body, headers={"Content-Type": "application/json"})
        assert sent.status_code == 400
    assert turns(records, "unstorable") == []


def test_what_is_deleted_for_good_stands_in_no_store_and_no_file(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    mark = "zebraquagga"
    for client in clients:
        for number in range(3):
            ask(client, f"How much does a room for a {mark}{number} cost?", "erased")
    await_turns(talking, records, "erased", 6)
    ask(clients[0], f"And does a {mark} pay for a dormitory room?", "erased")  # may still wait for SQL
    for client in clients:
        assert client.delete("/v1/conversations/erased?permanent=true").status_code == 204
        assert client.get("/v1/conversations/erased").status_code == 404
    assert turns(records, "erased") == []
    published = read_publication(talking.data_dir)
    assert published is not None
    with Redis(unix_socket_path=published.socket) as redis:
        names = [key for key in redis.scan_iter(count=1000) if b"erased" in key]
        texts = [redis.dump(key) for key in redis.scan_iter(count=1000)]
    kept = {b"lease:{checkpoint", b"runs:deleted:{checkpoint"}  # that it was deleted, for who still works on it
    assert {name.partition(b":erased")[0].partition(b":globex.")[0] for name in names} == kept
    assert not any(mark.encode() in text for text in texts if isinstance(text, bytes))
    talking.wait_for(lambda: files_with(talking, mark) == [])


def files_with(service: Service, mark: str) -> list[Path]:
    """Files of the service that hold *mark*."""
    found = []
    for path in service.data_dir.rglob("*"):
        with suppress(FileNotFoundError):  # Redis renames its files as it rewrites them
            if path.is_file() and mark.encode() in path.read_bytes():
                found.append(path)
    return found


def test_a_turn_of_before_a_deletion_does_not_come_back(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    for client in clients:
        ask(client, QUESTION, "again")
    before = await_turns(talking, records, "again", 2)
    assert clients[0].delete("/v1/conversations/again?permanent=true").status_code == 204
    assert [turn.tenant_id for turn in turns(records, "again")] == ["globex"]
    ask(clients[0], QUESTION, "again")
    after = await_turns(talking, records, "again", 2)
    assert {turn.run_id for turn in after if turn.tenant_id == "default"}.isdisjoint({turn.run_id for turn in before})


def test_expired_conversations_are_removed(talking: Service, records: Database, clients: list[httpx.Client]) -> None:
    for client in clients:
        ask(client, QUESTION, "expiring")
    await_turns(talking, records, "expiring", 2)
    with records.open_write_session() as session:
        old = update_everywhere(Conversation).where(Conversation.conversation_id == "expiring")
        session.execute(old.values(used_at=now() - timedelta(days=31)))
    talking.stop()
    talking.start()
    talking.wait_for(lambda: turns(records, "expiring") == [])
    with records.open_read_session() as session:
        assert session.scalar(select_everywhere(Turn).with_only_columns(func.count(Turn.tenant_id)))
