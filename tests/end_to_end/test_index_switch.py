"""Nobody who asks notices that the embedding model is changed, nor that the change is taken back."""

from pathlib import Path

from tests.end_to_end.index_switching import switch_and_go_back, switching_site
from tests.end_to_end.stacks import Servers
from tests.fakes.qdrant_server import FakeQdrantServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer


def test_no_question_fails_while_another_embedding_model_takes_over_and_while_it_is_given_up(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with RedisServer(tmp_path) as redis, FakeQdrantServer(api_key="qdrant-key") as qdrant:
        stores = Servers(redis, postgres, qdrant)
        with switching_site(tmp_path, stores, documents=10, clients=2, embedding_ms=50, rest_s=0.2) as site:
            switch_and_go_back(site, questions=10)
    asked = site.crowd.asked
    assert [each for each in asked if each.failed] == []
    assert [each for each in asked if not each.right] == []
    for phase in site.began:
        assert site.in_phase(phase), phase
