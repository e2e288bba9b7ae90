"""What has to hold on every worker at once: revoked keys, deleted conversations, limits of visitors."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from api.visitors import ADDRESS_HEADER, VISITOR_HEADER, sign_visitor
from auth.credentials import make_key_principal
from domain.db import Database
from domain.db_opening import open_database
from domain.keys import list_keys, revoke_key, rotate_key
from domain.models import ApiKey, now
from domain.scoping import EVERYWHERE
from tests.api.test_sessions import BY_STATUS, ROWS, add_source, make_database
from tests.conftest import PAGE_KEY
from tests.faults.site import QUESTION, Site, site
from tests.service import ask

pytestmark = pytest.mark.long

ACME = make_key_principal("acme", "test")
NOWHERE = "/v1/conversations/none"  # 404 for a key that is valid


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service with two workers that share their stores."""
    variables = {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_PER_HOUR": "1000000", "CHAT_PAGE_KEY": PAGE_KEY}
    variables |= {"CACHE_ENABLED": "true", "VISITOR_QUESTIONS_PER_MINUTE": "5", "ADDRESS_QUESTIONS_PER_DAY": "20"}
    databases = tmp_path_factory.mktemp("databases")
    make_database(databases / "acme" / "plant.db")
    with site(tmp_path_factory.mktemp("two-workers"), DATA_SOURCE_DIR=str(databases), **variables) as made:
        yield made


@pytest.fixture
def each(two_workers: Site) -> Iterator[list[httpx.Client]]:
    """A client of each worker."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(two_workers.client_of(worker))) for worker in two_workers.service.workers()]


@pytest.fixture
def records(two_workers: Site) -> Iterator[Database]:
    """The service's database."""
    database = open_database(f"sqlite:///{two_workers.service.data_dir / 'pustaka.db'}")
    yield database
    database.close()


def statuses(clients: list[httpx.Client], key: str) -> list[int]:
    return [client.get(NOWHERE, headers={"X-API-Key": key}).status_code for client in clients]


def test_a_revoked_key_and_a_former_secret_are_refused_by_every_worker_within_ten_seconds(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    revoked, rotated, stays = (two_workers.service.new_key("acme") for _ in range(3))
    for key in (revoked, rotated, stays):
        assert statuses(each, key) == [404, 404]
    with records.open_write_session() as session:
        revoke_key(session, ACME, revoked[8:16])
        _, new = rotate_key(session, ACME, rotated[8:16], overlap=timedelta(0))
    began = time.monotonic()
    assert statuses(each, new) == [404, 404]
    while {*statuses(each, revoked), *statuses(each, rotated)} != {401}:
        assert time.monotonic() - began < 10.5, "it takes longer than 10 s and the time of a question"
        time.sleep(0.1)  # between two looks
    for _ in range(3):
        assert statuses(each, revoked) == statuses(each, rotated) == [401, 401]
        assert statuses(each, stays) == statuses(each, new) == [404, 404]


def test_a_key_that_expires_is_refused_at_once_though_it_was_used_a_moment_before(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    key = two_workers.service.new_key("acme")
    with records.open_write_session() as session:
        session.get_one(ApiKey, key[8:16], execution_options=EVERYWHERE).expires_at = now() + timedelta(seconds=2)
    began = time.monotonic()
    assert statuses(each, key) == [404, 404]
    while statuses(each, key) != [401, 401]:
        assert time.monotonic() - began < 5
        time.sleep(0.05)  # between two looks
    assert time.monotonic() - began > 1.5


def test_the_last_use_of_a_key_is_written_beside_the_requests(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    used, unused = (two_workers.service.new_key("acme") for _ in range(2))
    began = now()
    assert statuses(each, used) == [404, 404]

    def last_uses() -> dict[str, datetime | None]:
        with records.open_read_session() as session:
            return {key.key_id: key.last_used_at for key in list_keys(session, ACME)}

    two_workers.service.wait_for(lambda: last_uses()[used[8:16]] is not None, limit_s=5)
    written = last_uses()
    assert written[unused[8:16]] is None
    last_use = written[used[8:16]]
    assert last_use is not None
    assert began <= last_use <= now()


# ---- conversations that are deleted


def stored(two_workers: Site) -> bytes:
    """All that Redis holds: every key with its value, whatever its type."""
    store, found = two_workers.redis.client, list[bytes]()
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"zset": lambda key: store.zrange(key, 0, -1),
        b"stream": store.xrange,
        b"list": lambda key: store.lrange(key, 0, -1),
        b"none": lambda _: None,  # it expired since it was listed
    }
    for key in store.scan_iter():
        found += [key, repr(read[store.type(key)](key)).encode()]
    return b"\n".join(found)


def mark() -> str:
    """A word that the fake model repeats in its answer."""
    return f"mk{uuid4().hex[:8]}"


def talk_of(each: list[httpx.Client], key: str, words: str, conversation_id: str) -> list[str]:
    """A conversation that both workers have taken part in; the ids of its runs."""
    first, second = each
    headers = {"X-API-Key": key, "X-Conversation-Id": conversation_id, "Idempotency-Key": f"for-{words}"}
    asked = first.post("/v1/chat", json={"message": f"{QUESTION} {words}"}, headers=headers)
    assert asked.status_code == 200
    del headers["Idempotency-Key"]
    streamed = second.post(
        "/v1/chat", json={"message": f"{QUESTION} {words}?"}, headers={**headers, "Accept": "text/event-stream"}
    )
    assert streamed.status_code == 200
    return [asked.json()["run_id"], streamed.headers["X-Run-Id"]]


def test_after_a_conversation_is_deleted_nothing_of_it_is_left_nor_told_by_any_worker(
    two_workers: Site, each: list[httpx.Client]
) -> None:
    keys = {name: two_workers.service.new_key(name) for name in ("default", "acme")}
    keys["another"] = two_workers.service.new_key("default")
    words = {name: mark() for name in keys}
    talk = uuid4().hex
    runs = {name: talk_of(each, key, words[name], talk) for name, key in keys.items()}
    before = stored(two_workers)
    assert all(word.encode() in before for word in words.values())
    deleting = {"X-API-Key": keys["default"]}
    assert each[1].delete(f"/v1/conversations/{talk}", headers=deleting).status_code == 204
    after = stored(two_workers)
    assert [name for name, word in words.items() if word.encode() in after] == ["acme", "another"]
    store = two_workers.redis.client
    left = {run: [store.hgetall(key) for key in store.scan_iter(f"run:*{run}*")] for run in runs["default"]}
    assert left == {run: [{b"deleted": b"1"}] for run in runs["default"]}
    for client in each:
        for name, key in keys.items():
            headers = {"X-API-Key": key}
            is_there = name != "default"
            for path in (f"/v1/conversations/{talk}", *(f"/v1/runs/{run}" for run in runs[name])):
                shown = client.get(path, headers=headers)
                assert shown.status_code == (200 if is_there else 404)
                assert is_there or words[name] not in shown.text
            assert is_there == (words[name] in client.get(f"/v1/conversations/{talk}", headers=headers).text)
        assert client.get(f"/v1/runs/{runs['default'][0]}/events", headers=deleting).status_code == 404
        assert client.delete(f"/v1/conversations/{talk}", headers=deleting).status_code == 404
    again = {**deleting, "X-Conversation-Id": talk, "Idempotency-Key": f"for-{words['default']}"}
    repeated = each[0].post("/v1/chat", json={"message": "How much is a room?"}, headers=again)
    assert repeated.status_code == 200, "what the key was used for is forgotten too"
    assert "Idempotency-Replayed" not in repeated.headers


def test_a_cached_answer_is_not_given_again_once_its_conversation_is_deleted(
    two_workers: Site, each: list[httpx.Client]
) -> None:
    key, other_key = (two_workers.service.new_key("default") for _ in range(2))
    question, talks = "How much does a dormitory room cost a month?", [uuid4().hex for _ in range(4)]

    def ask_in(client: httpx.Client, talk: str, key: str = key) -> bool:
        headers = {"X-API-Key": key, "X-Conversation-Id": talk}
        return bool(client.post("/v1/chat", json={"message": question}, headers=headers).json()["cached"])

    assert [ask_in(each[0], talk) for talk in talks[:2]] == [False, True]
    assert ask_in(each[0], talks[0], other_key), "another subject's conversation of that id"
    assert each[1].delete(f"/v1/conversations/{talks[0]}", headers={"X-API-Key": other_key}).status_code == 204
    assert ask_in(each[0], talks[2])
    assert each[1].delete(f"/v1/conversations/{talks[0]}", headers={"X-API-Key": key}).status_code == 204
    assert not ask_in(each[0], talks[3])


def test_runs_whose_conversation_has_expired_are_deleted_too(two_workers: Site, each: list[httpx.Client]) -> None:
    key, words, talk = two_workers.service.new_key("acme"), mark(), uuid4().hex
    runs = talk_of(each, key, words, talk)
    store = two_workers.redis.client
    assert store.delete(*store.scan_iter(f"*checkpoint:*{talk}*")) >= 2
    headers = {"X-API-Key": key}

    def is_in_transcript() -> bool:
        read = each[0].get(f"/v1/conversations/{talk}", headers=headers)
        return read.status_code == 200 and read.json()["persistence"] == "database"

    two_workers.service.wait_for(is_in_transcript)
    assert each[0].delete(f"/v1/conversations/{talk}", headers=headers).status_code == 204
    assert words.encode() not in stored(two_workers)
    assert {client.get(f"/v1/runs/{run}", headers=headers).status_code for client in each for run in runs} == {404}
    assert each[0].delete(f"/v1/conversations/{talk}", headers=headers).status_code == 404


# ---- limits of visitors


def ask_as(
    client: httpx.Client, address: str, visitor: str | None = None, *, key: str = PAGE_KEY, question: str = QUESTION
) -> httpx.Response:
    """A question that the chat page passes on for somebody at *address*."""
    headers = {"X-API-Key": key, "X-Conversation-Id": uuid4().hex, ADDRESS_HEADER: address}
    if visitor:
        headers[VISITOR_HEADER] = sign_visitor(PAGE_KEY, visitor, int(time.time()) + 3600)
    return client.post("/v1/chat", json={"message": question}, headers=headers)


def test_a_thousand_anonymous_questions_from_one_address_are_limited_as_set_and_others_are_served(
    two_workers: Site, each: list[httpx.Client]
) -> None:
    def ask_once(number: int) -> int:
        return ask_as(each[number % 2], "203.0.113.9", f"visitor-of-the-crowd-{number}").status_code

    with ThreadPoolExecutor(2) as pool:
        crowd = pool.map(ask_once, range(1000))
        others = [
            ask_as(client, f"198.51.100.{number}", f"somebody-else-{number}-x") for number, client in enumerate(each)
        ]
        key = two_workers.service.new_key("default")
        others.append(ask_as(each[0], "203.0.113.9", key=key))
        counted = Counter(crowd)
    assert counted == {200: 20, 429: 980}
    assert [other.status_code for other in others] == [200, 200, 200]


def test_a_visitor_is_limited_on_whichever_worker_and_from_wherever_and_told_politely(
    each: list[httpx.Client],
) -> None:
    visitor, other = f"visitor-{uuid4().hex}", f"visitor-{uuid4().hex}"
    answers = [ask_as(each[number % 2], f"192.0.2.{number}", visitor) for number in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert '"visitor-minute";r=4;t=' in answers[0].headers["RateLimit"]
    refused = answers[-1]
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].startswith('"visitor-minute";r=0;t=')
    assert refused.headers["RateLimit-Policy"] == '"visitor-minute";q=5;w=60'
    detail = refused.json()["detail"]
    assert detail.startswith("You have asked as many questions as are allowed in a minute. Please try again in ")
    assert "_" not in detail
    assert ask_as(each[0], "192.0.2.1", other).status_code == 200


def test_visitors_whom_the_page_does_not_name_count_as_one_by_address(each: list[httpx.Client]) -> None:
    assert [ask_as(each[number % 2], "192.0.2.200").status_code for number in range(6)] == [200] * 5 + [429]
    addresses = [f"2001:db8:1:1::{number}" for number in range(6)]
    assert [ask_as(each[0], address).status_code for address in addresses] == [200] * 5 + [429]
    assert ask_as(each[0], "192.0.2.201").status_code == 200


def test_tokens_of_a_visitors_turn_are_counted_and_no_address_is_kept(
    two_workers: Site, each: list[httpx.Client]
) -> None:
    store = two_workers.redis.client
    before = set(store.scan_iter("limit:tokens/*"))
    question = "How much does a dormitory room cost, a month?"  # not one that is answered from the cache
    assert ask_as(each[0], "192.0.2.77", f"visitor-{uuid4().hex}", question=question).json()["cached"] is False
    two_workers.service.wait_for(lambda: len(set(store.scan_iter("limit:tokens/*")) - before) == 2, limit_s=5)
    spent = [int(store.get(key)) for key in set(store.scan_iter("limit:tokens/*")) - before]
    assert min(spent) > 100, "the passages are part of it"
    assert b"192.0.2.77" not in stored(two_workers)


@pytest.mark.performance
def test_20_questions_at_once_have_their_files_on_every_worker_until_they_are_deleted(
    two_workers: Site, each: list[httpx.Client]
) -> None:
    key = two_workers.service.new_key("acme", ["all"])
    for client in each:
        client.headers["X-API-Key"] = key
    one, other = each
    bot = {"id": "plant", "name": "Plant", "tools": ["query_data", "draw_chart"]}
    assert one.post("/v1/tenant/bots", json=bot).is_success
    body = {"bot_id": "plant", "data_source_id": add_source(one, "Plant")}
    call = {"tool": "draw_chart", "arguments": {"question": BY_STATUS, "mark": "bar"}}
    sql = "SELECT status, COUNT(*) AS n FROM equipment GROUP BY status ORDER BY status"
    two_workers.model.configure(
        plans={"machines": [[call], "ANSWER"]}, replies={"<table_schema>": sql, 'tool="draw_chart"': "See [1]."}
    )

    def ask_in(session: str) -> object:
        with two_workers.service.client(key) as client:
            return ask(client, BY_STATUS, session, **body).json()["data"]["rows"]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask_in, [f"files-{at}" for at in range(20)])) == [ROWS] * 20
    sessions = {"bot_id": "plant"}
    for at in (0, 1):
        path = f"/v1/download/data/files-{at}"
        assert one.get(path, params=sessions).text == other.get(path, params=sessions).text
    assert other.get("/v1/download/image/files-0", params=sessions).content.startswith(b"\x89PNG")
    assert other.delete("/v1/sessions/files-0", params=sessions).is_success
    two_workers.model.reset()
    for client in each:
        assert client.get("/v1/download/data/files-0", params=sessions).status_code == 404
        assert client.get("/v1/download/data/files-1", params=sessions).status_code == 200
