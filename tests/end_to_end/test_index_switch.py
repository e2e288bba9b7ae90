"""Nobody who asks notices that an index gives way to another, nor that the change is taken back."""

from pathlib import Path

import pytest

from tests.end_to_end.index_switching import SMALLER_PASSAGES, SwitchingSite, switch_and_go_back, switching_site
from tests.end_to_end.stacks import Servers
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.long, pytest.mark.soak]


def test_no_question_fails_while_another_embedding_model_takes_over_and_while_it_is_given_up(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with RedisServer(tmp_path) as redis, FakeQdrantServer(api_key="qdrant-key") as qdrant:
        stores = Servers(redis, postgres, qdrant)
        with switching_site(tmp_path, stores, documents=10, clients=2, embedding_ms=50, rest_s=0.2) as site:
            switch_and_go_back(site, site.another_model, questions=10)
    assert_nobody_noticed(site)


def test_no_question_fails_while_smaller_passages_take_over_and_while_they_are_given_up(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with RedisServer(tmp_path) as redis, FakeQdrantServer(api_key="qdrant-key") as qdrant:
        stores = Servers(redis, postgres, qdrant)
        shape = {"documents": 10, "asides": 5, "clients": 2}
        with switching_site(tmp_path, stores, **shape, embedding_ms=50, rest_s=0.2) as site:
            former = site.passages()
            switch_and_go_back(site, SMALLER_PASSAGES, questions=10)
            assert site.passages() > 2 * former
    assert_nobody_noticed(site)


def assert_nobody_noticed(site: SwitchingSite) -> None:
    asked = site.crowd.asked
    assert [each for each in asked if each.failed] == []
    assert [each for each in asked if not each.right] == []
    for phase in site.began:
        assert site.in_phase(phase), phase
