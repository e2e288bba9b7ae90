"""Ratings of answers on a running service."""

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
from domain.models import AnswerRating, now
from domain.scoping import select_everywhere, update_everywhere
from evaluation.cases import Case, load_set
from tests.service import Service, ask, await_knowledge, one_document

QUESTION = "How much does a room cost?"


@pytest.fixture(scope="module")
def rating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("rating")
    with Service(folder / "data", **one_document(folder), RATE_LIMIT_ENABLED="false") as running:
        await_knowledge(running, QUESTION)
        yield running


@pytest.fixture
def client(rating: Service) -> Iterator[httpx.Client]:
    with rating.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def globex_key(rating: Service) -> str:
    return rating.new_key("globex", scopes=["all"])


@pytest.fixture
def globex(rating: Service, globex_key: str) -> Iterator[httpx.Client]:
    with rating.client(globex_key) as opened:
        yield opened


def answered(client: httpx.Client, conversation_id: str, question: str = QUESTION) -> str:
    """The run that has answered the question in that conversation."""
    told = ask(client, question, conversation_id)
    assert told.status_code == 200, told.text
    return str(told.json()["run_id"])


def path(conversation_id: str, run_id: str) -> str:
    return f"/v1/conversations/{conversation_id}/answers/{run_id}/rating"


def verdicts(client: httpx.Client, conversation_id: str) -> list[str | None]:
    messages = client.get(f"/v1/conversations/{conversation_id}").json()["messages"]
    return [message["rating"] for message in messages if message["role"] == "assistant"]


def test_an_answer_is_rated_seen_so_changed_and_the_rating_taken_back(client: httpx.Client) -> None:
    first, second = answered(client, "rated"), answered(client, "rated", "And a room for a month?")
    given = client.put(path("rated", second), json={"rating": "down", "comment": " Too long. "})
    assert given.status_code == 200, given.text
    shown = given.json()
    assert (shown["rating"], shown["comment"], shown["stands_alone"]) == ("down", "Too long.", False)
    assert shown["question"] == "And a room for a month?"
    assert verdicts(client, "rated") == [None, "down"]
    client.put(path("rated", first), json={"rating": "up"})
    client.put(path("rated", second), json={"rating": "up"})
    assert verdicts(client, "rated") == ["up", "up"]
    assert client.delete(path("rated", first)).status_code == 204
    assert client.delete(path("rated", first)).status_code == 404
    assert verdicts(client, "rated") == [None, "up"]


def test_only_answers_of_the_callers_own_conversations_can_be_rated(client: httpx.Client, globex: httpx.Client) -> None:
    run_id = answered(client, "own")
    assert globex.put(path("own", run_id), json={"rating": "up"}).status_code == 404
    ask(globex, "What do you know?", "own")
    refused = globex.put(path("own", run_id), json={"rating": "up"})
    assert (refused.status_code, "no answer of this run" in refused.json()["detail"]) == (404, True)
    client.put(path("own", run_id), json={"rating": "up"})
    assert globex.delete(path("own", run_id)).status_code == 404
    assert globex.get("/v1/tenant/ratings").json()["ratings"] == []
    assert verdicts(client, "own") == ["up"]


@pytest.mark.parametrize(
    "body",
    [{}, {"rating": "meh"}, {"rating": "up", "stars": 5}, {"rating": "up", "comment": "x" * 2001}, {"rating": 1}],
)
def test_what_is_no_rating_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    run_id = answered(client, "refused")
    refused = client.put(path("refused", run_id), json=body)
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert set(verdicts(client, "refused")) == {None}


@pytest.mark.parametrize(("run_id", "status"), [("unknown", 404), ("a%20b", 400), ("", 404)])
def test_what_is_no_answer_cannot_be_rated(client: httpx.Client, run_id: str, status: int) -> None:
    answered(client, "no-answer")
    assert client.put(path("no-answer", run_id), json={"rating": "up"}).status_code == status


def test_ratings_go_with_their_conversation(client: httpx.Client) -> None:
    run_id = answered(client, "forgotten")
    client.put(path("forgotten", run_id), json={"rating": "down"})
    assert client.delete("/v1/conversations/forgotten").status_code == 204
    assert client.delete(path("forgotten", run_id)).status_code == 404
    assert client.delete("/v1/conversations/forgotten").status_code == 404


def test_ratings_of_an_expired_conversation_can_be_deleted(client: httpx.Client, rating: Service) -> None:
    run_id = answered(client, "expired")
    client.put(path("expired", run_id), json={"rating": "down"})
    published = read_publication(rating.data_dir)
    assert published is not None
    with Redis(unix_socket_path=published.socket) as store:
        assert store.delete(*store.keys("*checkpoint:expired*"))
    rating.wait_for(lambda: client.get("/v1/conversations/expired").json().get("persistence") == "database")
    assert client.delete("/v1/conversations/expired").status_code == 204
    assert client.delete("/v1/conversations/expired").status_code == 404
    assert client.delete(path("expired", run_id)).status_code == 404


def test_a_conversation_that_cannot_be_read_can_be_deleted_with_its_ratings(
    client: httpx.Client, globex: httpx.Client, rating: Service
) -> None:
    run_id = answered(client, "broken")
    client.put(path("broken", run_id), json={"rating": "down"})
    published = read_publication(rating.data_dir)
    assert published is not None
    with Redis(unix_socket_path=published.socket) as store:
        [key] = store.keys("state:{checkpoint:broken}")
        records = [name for name in store.hkeys(key) if name.startswith(b"c")]
        store.hset(key, mapping=dict.fromkeys(records, b"broken"))
    assert client.get("/v1/conversations/broken").json()["type"] == "urn:pustaka:problem:state-unreadable"
    assert globex.delete("/v1/conversations/broken").status_code == 404
    assert client.delete("/v1/conversations/broken").status_code == 204
    assert client.get("/v1/conversations/broken").status_code == 404
    assert client.delete(path("broken", run_id)).status_code == 404


def test_ratings_are_listed_a_page_at_a_time(client: httpx.Client) -> None:
    runs = [answered(client, f"listed-{number}") for number in range(3)]
    for number, run_id in enumerate(runs):
        client.put(path(f"listed-{number}", run_id), json={"rating": "down", "comment": "listed"})
    page = client.get("/v1/tenant/ratings", params={"rating": "down", "limit": 2}).json()
    assert [one["run_id"] for one in page["ratings"]] == [runs[2], runs[1]]
    assert page["total"] >= 3
    assert client.get("/v1/tenant/ratings", params={"limit": 0}).status_code == 400


def test_bad_answers_become_questions_to_measure(client: httpx.Client, rating: Service, tmp_path: Path) -> None:
    run_id = answered(client, "to-measure", "What does a dormitory room cost?")
    client.put(path("to-measure", run_id), json={"rating": "down", "expected": "850,000 rupiah"})
    printed = rating.flask("ratings")
    assert printed.returncode == 0, printed.stderr
    assert "to be completed" in printed.stderr
    file = tmp_path / "bad.yaml"
    file.write_text(printed.stdout)
    assert Case(question="What does a dormitory room cost?", answer=["850,000 rupiah"]) in load_set(file).cases
    assert rating.flask("ratings", "--forget").stdout == printed.stdout
    assert client.get("/v1/tenant/ratings").json()["total"] == 0
    assert "0 questions" in rating.flask("ratings", "--tenant", "globex").stderr


def test_the_operators_deletion_of_a_conversation_takes_its_ratings_along(
    rating: Service, client: httpx.Client, globex: httpx.Client
) -> None:
    for tenant in (client, globex):
        tenant.put(path("to-go", answered(tenant, "to-go")), json={"rating": "up"})
    rating.flask("state", "delete", "to-go", "--tenant", "globex", "--yes")
    assert globex.get("/v1/tenant/ratings").json()["ratings"] == []
    assert verdicts(client, "to-go") == ["up"]


@pytest.mark.long
def test_ratings_are_forgotten_when_their_days_are_over(tmp_path: Path) -> None:
    with Service(tmp_path / "data", **one_document(tmp_path), RATINGS_KEEP_DAYS="2") as service:
        await_knowledge(service, QUESTION)
        for key in (service.key, service.new_key("globex")):
            with service.client(key) as client:
                for conversation in ("old", "new"):
                    run_id = str(ask(client, QUESTION, conversation).json()["run_id"])
                    assert client.put(path(conversation, run_id), json={"rating": "down"}).status_code == 200
        service.stop()
        with closing(open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")) as database:
            with database.open_write_session() as session:
                old = update_everywhere(AnswerRating).where(AnswerRating.conversation_id == "old")
                session.execute(old.values(rated_at=now() - timedelta(days=3)))
            service.launch()
            service.wait_for(lambda: left(database) == [("default", "new"), ("globex", "new")])


def left(database: Database) -> list[tuple[str, str]]:
    with database.open_read_session() as session:
        return sorted((row.tenant_id, row.conversation_id) for row in session.scalars(select_everywhere(AnswerRating)))
