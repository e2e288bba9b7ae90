"""Whichever adapter holds the passages, and wherever they were moved from: the same answers in the same order."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from auth.principal import Principal
from retrieval.index import PassageIndex
from tests.retrieval.conftest import ADAPTERS, opened
from tests.retrieval.corpus import ACME
from tests.retrieval.random_corpus import TENANTS, answers, corpus_of, fill
from utils.passages import Hit


@pytest.mark.parametrize("other", ["server", "memory"])
async def test_the_adapters_rank_alike(other: str, tmp_path: Path) -> None:
    async with opened(ADAPTERS["edge"], tmp_path / "edge") as ours, opened(ADAPTERS[other], tmp_path / other) as theirs:
        await fill(ours)
        await fill(theirs)
        for tenant in TENANTS:
            expected = await answers(ours, tenant)
            assert_alike(expected, await answers(theirs, tenant))
            assert sum(map(bool, expected)) == 7, "questions were found by words, by meaning and by both"


@pytest.mark.parametrize(("source", "target"), [("edge", "server"), ("server", "edge"), ("server", "memory")])
async def test_what_was_moved_is_found_as_before(source: str, target: str, tmp_path: Path) -> None:
    async with opened(ADAPTERS[source], tmp_path / "old") as old, opened(ADAPTERS[target], tmp_path / "new") as new:
        await fill(old)
        for tenant in TENANTS:
            await move(tenant, old, new)
        for tenant in TENANTS:
            assert_alike(await answers(old, tenant), await answers(new, tenant))
            assert await new.counts(tenant) == await old.counts(tenant)


async def test_an_export_holds_the_tenants_passages_once_with_their_vectors(index: PassageIndex) -> None:
    await fill(index)
    for tenant in TENANTS:
        corpus = corpus_of(tenant)
        stored = [each for batch in [batch async for batch in index.export(tenant)] for each in batch]
        assert len(stored) == len(corpus.passages)
        assert {each.passage.passage_id: each.passage for each in stored} == {
            each.passage_id: each for each in corpus.passages
        }
        vectors = {each.passage.passage_id: each.vector for each in stored if each.vector is not None}
        assert vectors.keys() == corpus.vectors.keys()
        assert all(vectors[key] == pytest.approx(corpus.vectors[key], abs=1e-6) for key in vectors)


async def test_the_documents_of_a_tenant_are_told(index: PassageIndex) -> None:
    assert [page async for page in index.list_entries(ACME)] == []
    assert [batch async for batch in index.export(ACME)] == []
    await fill(index)
    for tenant in TENANTS:
        await index.delete_documents(tenant, [f"{tenant.tenant_id} 3"])
        assert {entry.document_id async for page in index.list_entries(tenant) for entry in page} == {
            f"{tenant.tenant_id} {number}" for number in (0, 1, 2, 4, 5, 6)
        }


async def move(ctx: Principal, old: PassageIndex, new: PassageIndex) -> None:
    async for batch in old.export(ctx):
        await new.put(ctx, [stored.passage for stored in batch])
        vectors = {stored.passage.passage_id: stored.vector for stored in batch if stored.vector is not None}
        await new.put_vectors(ctx, vectors)


def assert_alike(ours: Sequence[Sequence[Hit]], theirs: Sequence[Sequence[Hit]]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert [hit.passage for hit in mine] == [hit.passage for hit in other]
        for name in ("score", "lexical", "dense"):
            assert [getattr(hit, name) for hit in mine] == pytest.approx(
                [getattr(hit, name) for hit in other], abs=1e-4
            )
