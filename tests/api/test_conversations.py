"""One's own conversations: listed, searched, renamed, deleted, restored, gone on with; two tenants use the same ids."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from bootstrap.valkey import read_publication
from domain.db import Database
from domain.db_opening import open_database
from domain.models import AnswerRating, Conversation, Turn, now
from domain.scoping import select_everywhere, update_everywhere
from tests.service import Service, ask, await_knowledge, one_document

QUESTION = "How much does a dormitory room cost?"
ALL = "/v1/conversations"


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("conversations")
    variables = {"RATE_LIMIT_ENABLED": "false", "TRANSCRIPT_RETENTION_DAYS": "30"}
    with Service(folder / "data", **one_document(folder), **variables) as running:
        await_knowledge(running, QUESTION)
        yield running


@pytest.fixture
def clients(talking: Service) -> Iterator[list[httpx.Client]]:
    """A key each of two tenants, with conversations of its own, none yet."""
    keys = [talking.new_key("default"), talking.new_key("globex")]
    with talking.client(keys[0]) as default, talking.client(keys[1]) as globex:
        yield [default, globex]


@pytest.fixture
def records(talking: Service) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{talking.data_dir / 'pustaka.db'}")) as database:
        yield database


def listed(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    told = client.get(ALL, params=query)
    assert told.status_code == 200, told.text
    conversations: list[dict[str, Any]] = told.json()["conversations"]
    return conversations


def talk(service: Service, client: httpx.Client, conversation_id: str, *questions: str) -> None:
    """Ask, and wait until the list knows of it."""
    for question in questions:
        assert ask(client, question, conversation_id).status_code == 200
    await_messages(service, client, conversation_id, 2 * len(questions))


def await_messages(service: Service, client: httpx.Client, conversation_id: str, count: int) -> None:
    """Wait until the list knows of so many in the conversation."""
    service.wait_for(
        lambda: any(one["id"] == conversation_id and one["message_count"] == count for one in listed(client))
    )


def forget_states(service: Service) -> None:
    """Let the state of every conversation expire."""
    let_expire(service, "checkpoint:*", "state:*", "places:*")


def let_expire(service: Service, *patterns: str) -> None:
    """Remove such keys from Redis, as their expiry would."""
    published = read_publication(service.data_dir)
    assert published is not None
    with Redis(unix_socket_path=published.socket) as redis:
        for pattern in patterns:
            for key in redis.scan_iter(match=pattern, count=1000):
                redis.delete(key)


def test_a_key_used_again_after_its_day_asks_anew_and_nothing_of_before_is_lost(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    """In the state of the conversation, in SQL, and in a state that is made of what SQL has."""
    for client in clients:
        ids: list[str] = []
        for number in range(3):
            headers = {"X-Conversation-Id": "reused", "Idempotency-Key": "again"}
            said = client.post("/v1/chat", json={"message": f"{QUESTION} {number}"}, headers=headers)
            assert (said.status_code, said.headers.get("Idempotency-Replayed")) == (200, None)
            ids.append(said.json()["run_id"])
            let_expire(talking, f"run:*:{ids[0]}*")
            await_messages(talking, client, "reused", 2 * (number + 1))
            for _ in ("from Redis", "from SQL"):
                messages = client.get(f"{ALL}/reused").json()["messages"]
                asked, answers = ([one for one in messages if one["role"] == role] for role in ("user", "assistant"))
                assert [one["content"] for one in asked] == [f"{QUESTION} {earlier}" for earlier in range(number + 1)]
                assert [one["run_id"] for one in answers] == [None] * number + [ids[0]]
                assert answers[-1]["rating"] is None
                if number == 1:
                    forget_states(talking)
            rating = client.put(f"{ALL}/reused/answers/{ids[0]}/rating", json={"rating": "up"})
            assert (rating.status_code, rating.json()["question"]) == (200, f"{QUESTION} {number}")
            with records.open_write_session() as session:  # of the day before
                rated = update_everywhere(AnswerRating).where(AnswerRating.run_id == ids[0])
                session.execute(rated.values(rated_at=now() - timedelta(days=1)))
        assert len(set(ids)) == 1


def test_ones_own_conversations_are_listed_the_last_used_first(talking: Service, clients: list[httpx.Client]) -> None:
    for number, client in enumerate(clients):
        talk(talking, client, "first", f"How much does room number {number} cost?")
        talk(talking, client, "second", QUESTION)
    for number, client in enumerate(clients):
        [second, first] = listed(client)
        assert (first["id"], first["title"]) == ("first", f"How much does room number {number} cost?")
        assert (second["id"], second["message_count"], second["channel"]) == ("second", 2, "api")
        assert second["language"] == "en"
        assert 0 < second["expires_in_s"] <= 30 * 86_400
        assert second["created_at"] <= second["updated_at"]
        parts, address = [], f"{ALL}?limit=1"
        while address:
            part = client.get(address).json()
            assert part["total"] == 2
            parts += [one["id"] for one in part["conversations"]]
            address = part["next"]
        assert parts == ["second", "first"]


def test_a_list_refuses_what_it_does_not_know(clients: list[httpx.Client]) -> None:
    for query in ("limit=0", "limit=201", "after=nonsense", "sort=title", f"q={'x' * 201}", "q=%00", "q=+", "bot_id=@"):
        for client in clients:
            assert client.get(f"{ALL}?{query}").status_code == 400, query


def test_conversations_are_found_by_words_of_title_question_and_answer(
    talking: Service, clients: list[httpx.Client]
) -> None:
    for client in clients:
        talk(talking, client, "rent", QUESTION, "And is the Straße loud?")
        talk(talking, client, "greeting", "Good morning")
        assert [one["id"] for one in listed(client, q="LOUD dormitory")] == ["rent"]
        assert [one["id"] for one in listed(client, q="STRASSE")] == ["rent"]
        assert [one["id"] for one in listed(client, q="morning")] == ["greeting"]
        assert listed(client, q="morning dormitory") == []
        assert listed(client, q="%") == []
        assert client.patch(f"{ALL}/greeting", json={"title": "Ein Gruß"}).status_code == 200
        assert [one["id"] for one in listed(client, q="gruss")] == ["greeting"]
        assert len(listed(client, q="")) == 2
    assert [one["id"] for one in listed(clients[0], q="850,000 loud")] == ["rent"]  # of an answer and a question
    assert clients[0].patch(f"{ALL}/greeting", json={"title": "only here"}).status_code == 200
    assert listed(clients[1], q="only") == []


def test_a_title_is_given_changed_and_made_again(talking: Service, clients: list[httpx.Client]) -> None:
    hostile = "\u202e" + "<b>'; DROP TABLE conversations;--" + "x" * 160
    for client in clients:
        talk(talking, client, "named", QUESTION)
        renamed = client.patch(f"{ALL}/named", json={"title": f"  {hostile} "})
        assert (renamed.status_code, renamed.json()["title"]) == (200, hostile)
        assert client.get(f"{ALL}/named").json()["title"] == hostile
        assert [one["title"] for one in listed(client)] == [hostile]
    assert clients[0].patch(f"{ALL}/named", json={"title": None}).json()["title"] == QUESTION
    assert clients[0].patch(f"{ALL}/named", json={}).json()["title"] == QUESTION
    assert [one["title"] for one in listed(clients[1])] == [hostile]
    for wrong in ({"title": ""}, {"title": "x" * 201}, {"title": 1}, {"titel": "x"}, {"title": "a\0b"}):
        assert clients[0].patch(f"{ALL}/named", json=wrong).status_code == 400
    # At once, before the first turn is in SQL.
    assert ask(clients[0], QUESTION, "new").status_code == 200
    assert clients[0].patch(f"{ALL}/new", json={"title": "quick"}).json()["title"] == "quick"
    assert clients[1].patch(f"{ALL}/new", json={"title": "quick"}).status_code == 404
    assert clients[0].patch(f"{ALL}/nothing", json={"title": "x"}).status_code == 404


def test_a_deleted_conversation_is_gone_at_once_and_can_be_restored(
    talking: Service, clients: list[httpx.Client]
) -> None:
    for client in clients:
        talk(talking, client, "undone", QUESTION, "And two rooms?")
    before = clients[0].get(f"{ALL}/undone").json()
    assert clients[0].delete(f"{ALL}/undone").status_code == 204
    assert clients[0].get(f"{ALL}/undone").status_code == 404
    assert clients[0].delete(f"{ALL}/undone").status_code == 404
    assert clients[0].patch(f"{ALL}/undone", json={"title": "x"}).status_code == 404
    assert (listed(clients[0]), listed(clients[0], q="rooms")) == ([], [])
    assert len(listed(clients[1])) == 1
    assert clients[1].post(f"{ALL}/undone/restore").status_code in (404, 409)
    restored = clients[0].post(f"{ALL}/undone/restore")
    assert (restored.status_code, restored.json()["title"]) == (200, QUESTION)
    after = clients[0].get(f"{ALL}/undone").json()
    assert after["messages"] == before["messages"]
    assert clients[0].post(f"{ALL}/undone/restore").status_code == 404
    answer = ask(clients[0], "And three rooms?", "undone")
    assert answer.status_code == 200
    assert len(clients[0].get(f"{ALL}/undone").json()["messages"]) == len(before["messages"]) + 2


def test_all_conversations_are_deleted_at_once_and_no_one_elses(talking: Service, clients: list[httpx.Client]) -> None:
    for client in clients:
        for name in ("first", "second"):
            talk(talking, client, name, QUESTION)
    mine, others = clients
    told = {"kept_s": 30 * 86_400, "undo_s": 60, "are_shareable": False, "are_sources_shared": False}
    assert mine.get("/v1/terms").json() == told | {
        "most_file_count": 0,
        "most_file_bytes": 10_485_760,
        "are_recordings_taken": False,
        "are_answers_spoken": False,
    }
    cleared = mine.post(f"{ALL}/clear", json={}).json()
    assert cleared == {"deleted_count": 2, "busy_count": 0, "remaining_count": 0}
    assert (listed(mine), len(listed(others))) == ([], 2)
    assert mine.post(f"{ALL}/first/restore").status_code == 200
    assert mine.post(f"{ALL}/clear", json={"permanent": True}).json()["deleted_count"] == 1
    assert mine.post(f"{ALL}/first/restore").status_code == 404
    assert others.get(f"{ALL}/first").status_code == 200
    assert mine.delete(f"{ALL}/").status_code == 405  # an id that was forgotten deletes nothing


def test_what_still_waits_for_sql_is_restored_too(talking: Service, clients: list[httpx.Client]) -> None:
    for client in clients:
        ask(client, QUESTION, "at-once")
        before = client.get(f"{ALL}/at-once").json()["messages"]
        assert client.delete(f"{ALL}/at-once").status_code == 204
        assert client.post(f"{ALL}/at-once/restore").status_code == 200
        assert client.get(f"{ALL}/at-once").json()["messages"] == before


def test_a_conversation_is_erased_when_it_cannot_be_restored_any_more(
    talking: Service, records: Database, clients: list[httpx.Client]
) -> None:
    for client in clients:
        talk(talking, client, "late", QUESTION)
        assert client.delete(f"{ALL}/late").status_code == 204
    with records.open_write_session() as session:
        late = update_everywhere(Conversation).where(Conversation.conversation_id == "late")
        session.execute(late.values(deleted_at=now() - timedelta(seconds=61)))
    for client in clients:
        assert client.post(f"{ALL}/late/restore").status_code == 404

    def is_erased() -> bool:
        with records.open_read_session() as session:
            turns = session.scalars(select_everywhere(Turn).where(Turn.conversation_id == "late")).all()
            titles = set(
                session.scalars(
                    select_everywhere(Conversation)
                    .with_only_columns(Conversation.title)
                    .where(Conversation.conversation_id == "late")
                )
            )
            return not turns and titles == {""}

    talking.wait_for(is_erased)


def test_another_conversation_of_its_id_takes_the_place_of_a_deleted_one(
    talking: Service, clients: list[httpx.Client]
) -> None:
    for client in clients:
        talk(talking, client, "reused", QUESTION)
        assert client.delete(f"{ALL}/reused").status_code == 204
        ask(client, "Good morning", "reused")
        assert client.post(f"{ALL}/reused/restore").status_code == 409
        talking.wait_for(lambda client=client: [one["title"] for one in listed(client)] == ["Good morning"])  # type: ignore[misc]
        said = client.get(f"{ALL}/reused").json()["messages"]
        assert (said[0]["content"], len(said)) == ("Good morning", 2)


def test_a_conversation_whose_state_has_expired_is_read_rated_and_gone_on_with(
    talking: Service, clients: list[httpx.Client]
) -> None:
    before = []
    for client in clients:
        talk(talking, client, "old", QUESTION, "And is the room for two?", "And for three?")
        before.append(client.get(f"{ALL}/old").json())
    forget_states(talking)
    for client, was in zip(clients, before, strict=True):
        shown = client.get(f"{ALL}/old").json()
        assert shown["persistence"] == "database"
        assert {**shown, "expires_in_s": 0, "persistence": ""} == {**was, "expires_in_s": 0, "persistence": ""}
        part = client.get(f"{ALL}/old?limit=2").json()
        assert (part["messages"], part["offset"], part["total"]) == (was["messages"][-2:], 4, 6)
        assert client.get(part["next"]).json()["messages"] == was["messages"][2:4]
        run_id = shown["messages"][-1]["run_id"]
        rated = client.put(f"{ALL}/old/answers/{run_id}/rating", json={"rating": "up"})
        assert (rated.status_code, rated.json()["stands_alone"]) == (200, False)
        assert ask(client, "And for four?", "old").status_code == 200
        after = client.get(f"{ALL}/old").json()
        assert after["persistence"] == "redis"
        contents = [message["content"] for message in after["messages"]]
        assert contents[:7] == [message["content"] for message in was["messages"]] + ["And for four?"]
        assert len(contents) == 8
    assert clients[0].delete(f"{ALL}/old?permanent=true").status_code == 204
    assert clients[0].get(f"{ALL}/old").status_code == 404
    assert clients[1].get(f"{ALL}/old").status_code == 200


def test_a_key_needs_the_scopes_of_reading_and_writing(talking: Service) -> None:
    asking = talking.new_key("default", scopes=["chat:write"])
    reading = talking.new_key("default", scopes=["chat:write", "conversations:read"])
    with talking.client(asking) as client:
        assert client.get(ALL).status_code == 403
    with talking.client(reading) as client:
        assert client.get(ALL).status_code == 200
        assert client.patch(f"{ALL}/x", json={"title": "x"}).status_code == 403
        assert client.post(f"{ALL}/x/restore").status_code == 403


@pytest.mark.long
def test_with_retention_off_nothing_is_kept_and_deleting_is_for_good(tmp_path: Path) -> None:
    variables = {"RATE_LIMIT_ENABLED": "false", "TRANSCRIPT_RETENTION_DAYS": "0"}
    with Service(tmp_path / "data", **one_document(tmp_path), **variables) as service:
        await_knowledge(service, QUESTION)
        keys = [service.key, service.new_key("globex", scopes=["all"])]
        for key in keys:
            with service.client(key) as client:
                ask(client, QUESTION, "unkept")
                assert listed(client) == []
                assert client.get(f"{ALL}/unkept").status_code == 200
                assert client.delete(f"{ALL}/unkept").status_code == 204
                assert client.get(f"{ALL}/unkept").status_code == 404
                assert client.post(f"{ALL}/unkept/restore").status_code == 404
        assert kept_turns(service) == 0
        # A tenant may keep its conversations nevertheless, or keep none where others do.
        set_to = service.flask("tenant", "retention", "globex", "--days", "1")
        assert (
            set_to.stdout == "Conversations of globex are kept for 1 day after their last use in SQL, as set for it.\n"
        )

        def is_kept() -> bool:
            with service.client(keys[1]) as client:
                ask(client, QUESTION, "kept")
                return bool(listed(client))

        service.wait_for(is_kept, 30)
        with service.client() as client:
            ask(client, QUESTION, "kept")
            assert listed(client) == []
        assert (
            "are not kept in SQL, as set for it" in service.flask("tenant", "retention", "globex", "--days", "0").stdout
        )
        service.wait_for(lambda: kept_turns(service) == 0, 90)
        assert "as the settings say" in service.flask("tenant", "retention", "globex", "--default").stdout
        for arguments in (("nobody",), ("globex", "--days", "-1"), ("globex", "--days", "1", "--default")):
            assert service.flask("tenant", "retention", *arguments).returncode != 0


def kept_turns(service: Service) -> int:
    """How many turns the database has."""
    with closing(open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")) as database:  # noqa: SIM117 - too long
        with database.open_read_session() as session:
            return len(session.scalars(select_everywhere(Turn)).all())
