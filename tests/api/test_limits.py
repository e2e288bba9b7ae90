"""How many requests a key may make."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.limits import RateLimits, RemainingRequests, make_refusal
from api.visitor_limits import QuestionLimits, Visit, VisitorLimits
from auth.operators import make_operator
from bootstrap.valkey import find_valkey
from domain.db_opening import open_database
from domain.keys import rotate_key
from tests.conftest import PAGE_KEY
from tests.servers.fixtures import redis_cluster
from tests.servers.redis import RedisServer
from tests.service import Service, ask, free_port, one_document
from utils.errors import RateLimited

__all__ = ["redis_cluster"]

LIMIT = 12


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that allows few requests."""
    folder = tmp_path_factory.mktemp("limited")
    of_visitors = {"CHAT_PAGE_KEY": PAGE_KEY, "VISITOR_QUESTIONS_PER_DAY": "2"}
    with Service(folder / "data", RATE_LIMIT_PER_HOUR=str(LIMIT), **of_visitors, **one_document(folder)) as running:
        yield running


def test_the_request_after_the_last_is_refused_and_says_when_to_come_back(limited: Service) -> None:
    key = limited.new_key("acme")
    with limited.client(key) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/v1/conversations/none"), range(LIMIT + 8)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 8
        assert 0 < int(refused[0].headers["retry-after"]) <= 3600
        assert refused[0].headers["ratelimit-limit"] == str(LIMIT)
        assert refused[0].headers["ratelimit-remaining"] == "0"
        assert refused[0].json()["title"] == "Too many requests"
    with limited.client(limited.new_key("acme")) as client:
        assert client.get("/v1/conversations/none").status_code == 404


def test_the_requests_of_an_assistant_are_counted_like_others(limited: Service) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with limited.client(limited.new_key("acme")) as client:
        assert client.get("/v1/conversations/none").status_code == 404
        answers = [client.post("/v1/mcp", json=body) for _ in range(LIMIT)]
    assert [answer.status_code for answer in answers] == [200] * (LIMIT - 1) + [429]
    assert answers[-1].json()["error"]["code"] == 429
    assert int(answers[-1].headers["retry-after"]) > 0


def test_an_answer_tells_what_is_left(limited: Service) -> None:
    with limited.client(limited.new_key("acme")) as client:
        left = [int(ask(client, "How do I apply?").headers["ratelimit-remaining"]) for _ in range(3)]
    assert left == [LIMIT - 1, LIMIT - 2, LIMIT - 3]


def test_what_is_left_is_told_in_one_header_and_the_rule_in_another(limited: Service) -> None:
    with limited.client(limited.new_key("acme")) as client:
        told = client.get("/v1/conversations/none").headers
    left = re.fullmatch(rf'"hour";r={LIMIT - 1};t=(\d+)', told["ratelimit"])
    assert left
    assert 3590 <= int(left[1]) <= 3600
    assert told["ratelimit-policy"] == f'"hour";q={LIMIT};w=3600'


def test_the_headers_of_the_earlier_draft_tell_of_the_rule_that_a_visitor_reaches_first(limited: Service) -> None:
    with limited.client(PAGE_KEY) as visitor:
        for status, left in ((200, 1), (200, 0), (429, 0)):
            answer = ask(visitor, "How much does a dormitory room cost?")
            assert answer.status_code == status
            rules = re.findall(r'"([^"]+)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
            reset = {name: (int(remaining), reset_s) for name, remaining, reset_s in rules}["visitor-day"]
            told = [answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
            assert told == ["2", str(left), reset[1]]


def test_a_made_up_key_uses_up_nobodys_requests(limited: Service) -> None:
    key = limited.new_key("acme")
    with limited.client(key[:-4] + "0000") as stranger:
        assert {stranger.get("/v1/conversations/none").status_code for _ in range(LIMIT + 1)} == {401}
    with limited.client(key) as client:
        assert client.get("/v1/conversations/none").status_code == 404


def test_what_a_key_may_not_do_uses_up_none_of_its_requests(limited: Service) -> None:
    for tenant in ("acme", "globex"):
        with limited.client(limited.new_key(tenant, scopes=["search"])) as client:
            refused = [client.get("/v1/conversations/none") for _ in range(LIMIT + 1)]
            assert {(answer.status_code, "ratelimit" in answer.headers) for answer in refused} == {(403, False)}
            found = client.post("/v1/search", json={"query": "How do I apply?"})
            assert (found.status_code, found.headers["ratelimit-remaining"]) == (200, str(LIMIT - 1))


def test_a_rotated_key_is_counted_on(limited: Service) -> None:
    key, other = limited.new_key("acme"), limited.new_key("globex")
    with limited.client(key) as client:
        assert client.get("/v1/conversations/none").headers["ratelimit-remaining"] == str(LIMIT - 1)
    database = open_database(f"sqlite:///{limited.data_dir / 'pustaka.db'}")
    with database.open_write_session() as session:
        _, rotated = rotate_key(session, make_operator("acme"), key[8:16], overlap=timedelta(0))
    database.close()
    for used, left in ((rotated, LIMIT - 2), (other, LIMIT - 1)):
        with limited.client(used) as client:
            assert client.get("/v1/conversations/none").headers["ratelimit-remaining"] == str(left)


@pytest.mark.long
def test_the_limit_holds_over_a_restart(tmp_path: Path) -> None:
    variables = {"RATE_LIMIT_PER_HOUR": "2", "API_KEY": "operator-chose-this", **one_document(tmp_path)}
    with Service(tmp_path / "data", **variables) as service:
        with service.client() as client:
            assert [client.get("/v1/conversations/none").status_code for _ in range(3)] == [404, 404, 429]
        service.stop()
        service.start()
        with service.client() as client:
            assert client.get("/v1/conversations/none").status_code == 429


# ---- the counting itself, without the service around it

ACME, GLOBEX = ("acme", "key"), ("globex", "key")


async def allowed(limits: RateLimits, whose: tuple[str, str], times: int) -> int:
    """How many of so many requests at once are allowed."""

    async def one() -> bool:
        try:
            await limits.spend(*whose)
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(times))))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of our own."""
    with RedisServer(tmp_path / "redis", binary=find_valkey()) as server:
        yield server


@pytest.fixture(params=["redis", "redis_cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Of one server, and of a cluster."""
    return str(request.getfixturevalue(request.param).url)


@asynccontextmanager
async def counting(url: str, *, per_hour: int, workers: int = 2) -> AsyncIterator[list[RateLimits]]:
    """What so many workers have."""
    made = [RateLimits(url, limit=per_hour, reason="That was enough.") for _ in range(workers)]
    try:
        yield made
    finally:
        for limits in made:
            await limits.aclose()


async def test_two_workers_count_exactly_together(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.limits._PATIENCE_S", 5.0)  # on a busy machine each would count alone now and then
    async with counting(url, per_hour=100) as (one, other):
        assert sum(await asyncio.gather(allowed(one, ACME, 60), allowed(other, ACME, 60))) == 100
        assert sum(await asyncio.gather(allowed(one, GLOBEX, 30), allowed(other, GLOBEX, 30))) == 60
        left = await one.spend(*GLOBEX)
        assert (left.limit, left.remaining) == (100, 39)
        assert 3590 < left.reset_s <= 3600


async def test_the_window_slides_and_ends(redis: RedisServer) -> None:
    async with counting(redis.url, per_hour=2, workers=1) as (limits,):
        assert await allowed(limits, ACME, 3) == 2
        (key,) = redis.client.keys()
        assert key == b"limit:acme/key"
        assert 3590 < redis.client.ttl(key) <= 3600
        oldest: Any = redis.client.zrange(key, 0, 0)[0]
        redis.client.zadd(key, {oldest: 1})  # as if it had been long ago
        assert await allowed(limits, ACME, 2) == 1


async def test_without_redis_at_the_start_a_process_counts_alone_until_it_comes(redis: RedisServer) -> None:
    redis.kill()
    async with counting(redis.url, per_hour=3, workers=1) as (limits,):
        limits._circuit._retry_s = 0
        assert await allowed(limits, ACME, 5) == 3
        redis.start()
        assert await allowed(limits, ACME, 5) == 3
        assert redis.client.zcard("limit:acme/key") == 3


async def test_a_redis_that_hangs_delays_one_request_at_most_and_is_found_when_it_is_back(redis: RedisServer) -> None:
    async with counting(redis.url, per_hour=50, workers=1) as (limits,):
        assert await allowed(limits, ACME, 10) == 10
        redis.pause()
        began = time.monotonic()
        await limits.spend(*ACME)
        assert time.monotonic() - began < 1
        began = time.monotonic()
        assert await allowed(limits, ACME, 60) == 49  # alone, from the one before on
        assert time.monotonic() - began < 1
        redis.resume()
        limits._circuit._retry_s = 0
        limits._circuit.note_failure(OSError())  # as if the time until the next try were over
        assert (await limits.spend(*ACME)).remaining < 40


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
async def test_a_redis_that_is_nowhere_stops_nothing(scheme: str) -> None:
    rest = "/name" if scheme == "redis+sentinel" else ""
    async with counting(f"{scheme}://127.0.0.1:{free_port()}{rest}", per_hour=3, workers=1) as (limits,):
        assert await allowed(limits, ACME, 5) == 3
        assert await allowed(limits, GLOBEX, 5) == 3


@pytest.mark.parametrize(
    ("wait_s", "told"),
    [
        (0, "1 second"),
        (1, "1 second"),
        (2, "2 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (7140, "119 minutes"),
        (7141, "2 hours"),
        (86_400, "24 hours"),
    ],
)
def test_a_refusal_says_in_words_when_to_come_back(wait_s: int, told: str) -> None:
    refused = make_refusal("That was enough.", RemainingRequests(10, 0, wait_s))
    assert refused.detail == f"That was enough. Please try again in {told}."
    assert refused.headers["Retry-After"] == str(max(1, wait_s))


# ---- visitors


def visitor_limits(url: str, **of_visitor: int) -> VisitorLimits:
    """Of one worker."""
    visitor = QuestionLimits(**{"per_minute": 100, "per_day": 100, "tokens_per_day": 1000, **of_visitor})
    address = QuestionLimits(1000, 1000, 5000)
    return VisitorLimits(
        url,
        secret="a key",
        visitor=visitor,
        address=address,
        requests_per_minute=1000,
        visitor_files=1,
        address_files=1,
    )


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_visitor_who_has_used_up_the_tokens_of_a_day_is_refused_and_others_of_the_address_are_not(
    redis: RedisServer, is_away: bool
) -> None:
    one, other = Visit("default", "visitor-1", "net"), Visit("default", "visitor-2", "net")
    limits = visitor_limits(redis.url)
    if is_away:
        redis.kill()
    try:
        await limits.spend_question(one)
        limits.charge(one, 999)
        await asyncio.gather(*limits._charging)
        await limits.spend_question(one)
        limits.charge(one, 1)
        await asyncio.gather(*limits._charging)
        with pytest.raises(RateLimited, match=r"as much as is allowed in a day\. Please try again in 24 h") as told:
            await limits.spend_question(one)
        assert told.value.headers["RateLimit-Policy"] == '"visitor-tokens";q=1000;w=86400'
        await limits.spend_question(other)
        limits.charge(other, 4000)
        await asyncio.gather(*limits._charging)
        with pytest.raises(RateLimited, match="Your address has sent"):
            await limits.spend_question(Visit("default", "visitor-3", "net"))
        await limits.spend_question(Visit("default", "visitor-3", "elsewhere"))
    finally:
        await limits.aclose()


async def test_visitors_are_counted_exactly_over_workers(url: str) -> None:
    workers = [visitor_limits(url, per_minute=10) for _ in range(2)]
    visit = Visit("default", uuid4().hex, uuid4().hex)
    # Each of more would open a connection of its own, and on a busy machine wait for longer than a worker waits.
    at_once = asyncio.Semaphore(8)

    async def ask_one(number: int) -> bool:
        async with at_once:
            try:
                await workers[number % 2].spend_question(visit)
            except RateLimited:
                return False
            return True

    try:
        assert sum(await asyncio.gather(*map(ask_one, range(60)))) == 10
    finally:
        for limits in workers:
            await limits.aclose()
