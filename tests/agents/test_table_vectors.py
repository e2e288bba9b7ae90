"""Tables compared with a question by meaning: their vectors are kept, also those of before a failure."""

from pydantic import SecretStr

from agents.tools.table_vectors import TableVectors
from providers.embeddings.openai import OpenAIEmbedder
from tests.fakes.model_server import FakeModelServer

TEXTS = [f"archive of records {number}" for number in range(6)] + ["machines in the plant"]


async def test_vectors_are_kept_and_a_model_that_fails_costs_what_is_missing_alone(
    model_server: FakeModelServer,
) -> None:
    model_server.reset()
    embedder = await OpenAIEmbedder.create(
        base_url=model_server.base_url, api_key=SecretStr("none"), model="any", max_retries=0
    )
    vectors = TableVectors()
    first = await vectors.compare("Which machines are in the plant?", TEXTS, embedder)
    assert max(range(len(TEXTS)), key=first.__getitem__) == 6
    asked = model_server.counters()["embeddings"]
    assert await vectors.compare("Which machines are in the plant?", TEXTS, embedder) == first
    assert model_server.counters()["embeddings"] == asked + 1  # the question alone
    model_server.configure(faults=[{"kind": "status", "times": -1}])
    assert await vectors.compare("Which machines?", TEXTS, embedder) == []
    model_server.reset()
    some = await vectors.compare("Which machines?", [*TEXTS, "a new table"], embedder)
    assert len(some) == 8
    assert min(some) > -1
    await embedder.aclose()
