"""Passages over HTTP: what is found, limited and explained, and whose."""

from typing import Any

import httpx
import pytest

from tests.service import Service

QUESTION = "How much does a dormitory room cost?"


def search(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"query": QUESTION, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_best_passages_come_with_their_scores_and_places(client: httpx.Client) -> None:
    found = search(client, limit=3)
    assert [each["rank"] for each in found["passages"]] == [1, 2, 3]
    best = found["passages"][0]
    assert best["source"].endswith("student-dormitory.md")
    assert len(best["text"]) == best["end"] - best["start"]
    assert 0.8 < best["similarity"] < 1
    assert best["words"] > 0
    scores = [each["score"] for each in found["passages"]]
    assert scores == sorted(scores, reverse=True)
    assert found["answerable"] is True
    assert found["evidence"] >= 1
    assert found["degraded"] is None
    assert "stages" not in found


def test_what_is_not_in_the_documents_is_found_but_not_called_an_answer(client: httpx.Client) -> None:
    found = search(client, query="Who won the 2018 world cup?")
    assert found["passages"]
    assert found["answerable"] is False


def test_explained_every_stage_tells_scores_ranks_and_times(client: httpx.Client) -> None:
    found = search(client, limit=2, explain=True)
    assert [stage["stage"] for stage in found["stages"]] == ["embedding", "index", "sentences", "selection"]
    assert all(stage["duration_ms"] >= 0 for stage in found["stages"])
    _, index, _, selection = found["stages"]
    assert [each["passage_id"] for each in selection["passages"]] == [each["id"] for each in found["passages"]]
    assert len(index["passages"]) > 2
    assert [each["rank"] for each in index["passages"]] == [*range(1, len(index["passages"]) + 1)]
    assert {"similarity_rank", "words_rank", "score"} <= index["passages"][0].keys()
    assert 1 in [each["similarity_rank"] for each in index["passages"]]


def test_filters_limit_what_is_found(client: httpx.Client) -> None:
    everything = search(client, limit=50)["passages"]
    assert {each["language"] for each in everything} == {"en", "es", "id"}
    spanish = search(client, limit=50, filters={"languages": ["es"]})["passages"]
    assert {each["language"] for each in spanish} == {"es"}
    document = everything[0]["document_id"]
    only = search(client, limit=50, filters={"document_ids": [document, "no-such-document"]})["passages"]
    assert {each["document_id"] for each in only} == {document}
    assert search(client, filters={"dataset_ids": ["no-such-dataset"]})["passages"] == []


def test_a_tenant_finds_nothing_of_another(service: Service, client: httpx.Client, key_without_documents: str) -> None:
    document = search(client)["passages"][0]["document_id"]
    with service.client(key_without_documents) as other_client:
        for filters in ({}, {"document_ids": [document]}):
            found = search(other_client, filters=filters, explain=True)
            assert found["passages"] == []
            assert found["answerable"] is False
            assert all(stage["passages"] == [] for stage in found["stages"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": "  "}, "query"),
        ({"query": "x" * 5001}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "limit": "5"}, "limit"),
        ({"query": "x", "explain": 1}, "explain"),
        ({"query": "x", "tenant_id": "acme"}, "tenant_id"),
        ({"query": "x", "filters": {"tenant_id": ["acme"]}}, "filters.tenant_id"),
        ({"query": "x", "filters": {"languages": ["x" * 201]}}, "filters.languages.0"),
        ({"query": "x", "filters": {"labels": ["a=b"] * 101}}, "filters.labels"),
    ],
)
def test_a_wrong_search_is_refused_and_its_field_named(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_search_needs_a_key(service: Any) -> None:
    assert httpx.post(f"{service.url}/v1/search", json={"query": "x"}).status_code == 401
