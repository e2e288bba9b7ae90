"""How many requests a key may make."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service import Service, ask

LIMIT = 12


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that allows few requests."""
    with Service(tmp_path_factory.mktemp("limited") / "data", RATE_LIMIT_PER_HOUR=str(LIMIT)) as running:
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


def test_an_answer_tells_what_is_left(limited: Service) -> None:
    with limited.client(limited.new_key("acme")) as client:
        left = [int(ask(client, "How do I apply?").headers["ratelimit-remaining"]) for _ in range(3)]
    assert left == [LIMIT - 1, LIMIT - 2, LIMIT - 3]


def test_a_made_up_key_uses_up_nobodys_requests(limited: Service) -> None:
    key = limited.new_key("acme")
    with limited.client(key[:-4] + "0000") as stranger:
        assert {stranger.get("/v1/conversations/none").status_code for _ in range(LIMIT + 1)} == {401}
    with limited.client(key) as client:
        assert client.get("/v1/conversations/none").status_code == 404


def test_the_limit_holds_over_a_restart(tmp_path: Path) -> None:
    with Service(tmp_path / "data", RATE_LIMIT_PER_HOUR="2", API_KEY="operator-chose-this") as service:
        with service.client() as client:
            assert [client.get("/v1/conversations/none").status_code for _ in range(3)] == [404, 404, 429]
        service.stop()
        service.start()
        with service.client() as client:
            assert client.get("/v1/conversations/none").status_code == 429
