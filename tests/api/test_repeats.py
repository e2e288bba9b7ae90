"""Requests that are sent again with the same Idempotency-Key: worked on once, by whatever route."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from flask import Response

from api.access import checks_if_match, requires, requires_before_body
from api.repeats import Repeatable, Repeats
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.valkey import find_valkey
from tests.api.problem import assert_refused
from tests.domain.records import ACME
from tests.servers.cutting import CuttingProxy
from tests.servers.redis import RedisServer
from tests.service import Service, one_document

DATASETS = "/v1/tenant/datasets"


def keyed(key: str | None = None) -> dict[str, str]:
    """The header, with a key of its own unless it is given."""
    return {"Idempotency-Key": key or uuid4().hex}


@pytest.fixture
def dataset_id(client: httpx.Client) -> Iterator[str]:
    """An empty dataset, removed afterwards."""
    made = client.post(DATASETS, json={"name": f"Repeats {uuid4().hex}"}).json()["id"]
    yield made
    client.delete(f"{DATASETS}/{made}")


def named(client: httpx.Client, name: str) -> list[Any]:
    """The datasets called *name*."""
    found = client.get(DATASETS, params={"limit": 200}).json()["datasets"]
    return [dataset for dataset in found if dataset["name"] == name]


def same(first: httpx.Response, again: httpx.Response) -> bool:
    """Whether *again* is what *first* was, and says that it is."""
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    told = (first.status_code, first.content, first.headers["content-type"], first.headers.get("location"))
    return told == (again.status_code, again.content, again.headers["content-type"], again.headers.get("location"))


def test_a_repeated_request_makes_nothing_and_gets_what_the_first_one_came_to(client: httpx.Client) -> None:
    body, headers = {"name": uuid4().hex}, keyed()
    first = client.post(DATASETS, json=body, headers=headers)
    assert first.status_code == 201
    assert same(first, client.post(f"{DATASETS}/", json=body, headers=headers))
    assert len(named(client, body["name"])) == 1


def test_a_key_for_another_request_is_refused(client: httpx.Client, dataset_id: str) -> None:
    headers = keyed()
    assert client.post(DATASETS, json={"name": uuid4().hex}, headers=headers).status_code == 201
    refused = client.post(DATASETS, json={"name": uuid4().hex}, headers=headers)
    assert_refused(refused, 422)
    asked = {"Idempotency-Key": uuid4().hex, "X-Conversation-Id": uuid4().hex}
    client.post("/v1/chat", json={"message": "How high is it?"}, headers=asked)
    other = client.post("/v1/chat", json={"message": "How wide is it?"}, headers=asked)
    assert other.json()["detail"] == refused.json()["detail"], "the same problem in other words"
    text = {"title": "Towers", "content": "The tower has nine floors."}
    assert_refused(client.post(f"{DATASETS}/{dataset_id}/documents", json=text, headers=headers), 422)


def test_a_refused_request_may_be_mended_under_its_key(client: httpx.Client) -> None:
    headers, name = keyed(), uuid4().hex
    assert_refused(client.post(DATASETS, json={"name": name, "colour": "red"}, headers=headers), 400)
    assert client.post(DATASETS, json={"name": name}, headers=headers).status_code == 201


def test_keys_of_two_tenants_and_of_two_keys_are_not_the_same(
    service: Service, client: httpx.Client, other_client: httpx.Client
) -> None:
    headers, name = keyed(), uuid4().hex
    made = client.post(DATASETS, json={"name": name}, headers=headers)
    theirs = other_client.post(DATASETS, json={"name": name}, headers=headers)
    assert (made.status_code, theirs.status_code) == (201, 201)
    assert made.json()["id"] != theirs.json()["id"]
    with service.client(service.new_key("acme")) as colleague:
        refused = colleague.post(DATASETS, json={"name": name}, headers=headers)
    assert_refused(refused, 409)
    assert refused.json()["type"].endswith(":conflict"), "the work was done, and the name is taken"


def test_of_many_at_once_one_is_worked_on(client: httpx.Client) -> None:
    body, headers = {"name": uuid4().hex}, keyed()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(DATASETS, json=body, headers=headers), range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "urn:pustaka:problem:request-under-way"
            assert answer.headers["retry-after"] == "1"
    assert len(named(client, body["name"])) == 1


@pytest.mark.parametrize("key", ["", "a b", "ä".encode(), "x" * 256])
def test_what_is_no_key_is_refused(client: httpx.Client, key: Any) -> None:
    refused = client.post(DATASETS, json={"name": uuid4().hex}, headers={"Idempotency-Key": key})
    assert_refused(refused, 400)
    assert refused.json()["errors"][0]["field"] == "Idempotency-Key"


def test_an_upload_is_taken_once_whatever_boundary_its_parts_have(client: httpx.Client, dataset_id: str) -> None:
    path, headers = f"{DATASETS}/{dataset_id}/documents/upload", keyed()

    def sent(*contents: bytes, **data: str) -> httpx.Response:
        files = [("files", (f"{number}.txt", content)) for number, content in enumerate(contents)]
        return client.post(path, files=files, data=data, headers=headers)

    first = sent(b"The tower has nine floors.", b"x" * 300_000)
    assert first.status_code == 202
    assert same(first, sent(b"The tower has nine floors.", b"x" * 300_000))
    for other in (
        sent(b"The tower has ten floors.", b"x" * 300_000),
        sent(b"The tower has nine floors."),
        sent(b"The tower has nine floors.", b"x" * 300_000, metadata='{"floor": 9}'),
    ):
        assert_refused(other, 422)
    assert client.get(f"{DATASETS}/{dataset_id}/documents").json()["total"] == 2


@pytest.mark.parametrize("action", ["text", "load", "web source"])
def test_other_routes_that_make_something_do_it_once(client: httpx.Client, dataset_id: str, action: str) -> None:
    path, body = {
        "text": (f"{DATASETS}/{dataset_id}/documents", {"title": "Hours", "content": f"Nine. {uuid4().hex}"}),
        "load": ("/api/load-document", {"company": "default", "filename": f"{uuid4().hex}.txt", "content": "bmluZQ=="}),
        "web source": ("/v1/tenant/web-sources", {"url": f"https://{uuid4().hex}.example/", "kind": "page"}),
    }[action]
    headers = keyed()
    first = client.post(path, json=body, headers=headers)
    assert first.is_success, first.text
    assert same(first, client.post(path, json=body, headers=headers))
    if "location" in first.headers:
        client.delete(first.headers["location"])


def test_the_description_names_the_key_on_every_post_that_makes_something(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    posts = {path: item["post"] for path, item in paths.items() if "post" in item}
    taking = {
        path
        for path, operation in posts.items()
        if "Idempotency-Key" in [parameter["name"] for parameter in operation.get("parameters", [])]
    }
    looking = {"/v1/visitors", "/v1/search", "/v1/embeddings", "/v1/audio/speech"}
    looking |= {"/v1/tenant/models/{model_id}/check", "/v1/conversations/{conversation_id}/answers/{run_id}/speech"}
    looking |= {f"/v1/tenant/data-sources/{{source_id}}/{what}" for what in ("test", "schema", "glossary-proposals")}
    assert set(posts) - taking == looking


def test_a_view_that_reads_its_body_itself_answers_repeats_itself() -> None:
    async def view(ctx: Principal) -> Response:
        return Response(ctx.tenant_id)

    assert requires_before_body(Scope.DOCUMENTS_WRITE)(view).__dict__["policy"].repeats == "own"
    assert requires(Scope.SEARCH, repeats="none")(view).__dict__["policy"].repeats == "none"
    with pytest.raises(TypeError, match="below"):
        checks_if_match(requires(Scope.SEARCH)(view))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, RedisServer]]:
    """A service on a Redis of its own, which encrypts what it keeps."""
    folder = tmp_path_factory.mktemp("repeats")
    keys = "first:" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    options = {"unixsocket": str(folder / "redis.sock")}
    with RedisServer(folder / "redis", binary=find_valkey(), options=options) as redis:
        variables = {"REDIS_URL": redis.url, "STATE_ENCRYPTION_KEYS": keys, **one_document(folder)}
        with Service(folder / "data", RATE_LIMIT_ENABLED="false", **variables) as running:
            yield running, redis


@pytest.mark.long
def test_results_outlive_a_restart_and_are_encrypted_for_a_day(stored: tuple[Service, RedisServer]) -> None:
    service, redis = stored
    body, headers = {"name": f"Secret {uuid4().hex}"}, keyed()
    with service.client() as client:
        first = client.post(DATASETS, json=body, headers=headers)
    service.stop()
    service.start()
    with service.client() as client:
        assert same(first, client.post(DATASETS, json=body, headers=headers))
    [name] = redis.client.keys("idempotency:*")
    assert body["name"].encode() not in redis.client.get(name)
    assert 86_000 < redis.client.ttl(name) <= 86_400


def test_without_redis_nothing_is_promised_and_nothing_begun(stored: tuple[Service, RedisServer]) -> None:
    service, redis = stored
    name = uuid4().hex
    with service.client() as client:
        redis.stop()
        try:
            refused = client.post(DATASETS, json={"name": name}, headers=keyed())
            unkeyed = client.post(DATASETS, json={"name": f"{name} without"})
        finally:
            redis.start()
        assert_refused(refused, 503)
        assert refused.headers["retry-after"] == "5"
        assert unkeyed.status_code == 201
        assert named(client, name) == []


def test_the_key_of_a_request_under_way_is_free_in_half_a_minute_should_its_worker_die(
    stored: tuple[Service, RedisServer],
) -> None:
    service, redis = stored
    body, headers = {"name": uuid4().hex}, keyed()
    before = set(redis.client.keys("idempotency:*"))
    records = sqlite3.connect(service.data_dir / "pustaka.db", isolation_level=None)
    with service.client() as client, ThreadPoolExecutor(1) as other, closing(records):
        records.execute("BEGIN IMMEDIATE")  # whoever writes waits
        first = other.submit(client.post, DATASETS, json=body, headers=headers)
        service.wait_for(lambda: set(redis.client.keys("idempotency:*")) - before)
        [name] = set(redis.client.keys("idempotency:*")) - before
        left_ms = redis.client.pttl(name)
        again = client.post(DATASETS, json=body, headers=headers)
        records.execute("ROLLBACK")
        assert 0 < left_ms <= 30_000
        assert_refused(again, 409)
        assert first.result(30).status_code == 201


async def answer() -> Response:
    return Response("done", 201)


async def hold(repeats: Repeats, request: Repeatable) -> None:
    async with repeats.hold(request):
        pass


@asynccontextmanager
async def repeats_through_proxy(folder: Path, socket: Path) -> AsyncIterator[tuple[CuttingProxy, Repeats]]:
    with CuttingProxy(folder / "proxy.sock", socket) as proxy:
        repeats = Repeats(proxy.url)
        try:
            yield proxy, repeats
        finally:
            await repeats.aclose()


def repeatable(redis: RedisServer) -> tuple[Repeatable, Path]:
    """A request with a new key; and the socket of the server."""
    socket = redis.client.config_get("unixsocket")["unixsocket"]
    return Repeatable.from_request(ACME, uuid4().hex, bytes(32)), Path(str(socket))


@pytest.mark.parametrize("is_held", [False, True])
async def test_the_key_of_one_who_leaves_while_it_is_claimed_is_free(
    stored: tuple[Service, RedisServer], tmp_path: Path, is_held: bool
) -> None:
    redis = stored[1]
    request, socket = repeatable(redis)
    async with repeats_through_proxy(tmp_path, socket) as (proxy, repeats):
        proxy.cut("held")
        claiming = asyncio.create_task(hold(repeats, request) if is_held else repeats.answer_once(request, answer))
        async with asyncio.timeout(5):
            while not await asyncio.to_thread(redis.client.exists, request.name):
                await asyncio.sleep(0.01)
        claiming.cancel()
        proxy.release()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        assert not redis.client.exists(request.name)
        assert (await repeats.answer_once(request, answer)).status_code == 201


async def test_a_claim_whose_answer_was_lost_is_not_taken_for_anothers(
    stored: tuple[Service, RedisServer], tmp_path: Path
) -> None:
    request, socket = repeatable(stored[1])
    async with repeats_through_proxy(tmp_path, socket) as (proxy, repeats):
        proxy.cut("after")
        assert (await repeats.answer_once(request, answer)).status_code == 201
